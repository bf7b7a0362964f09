//! What a search over 1,000 operations costs, by the kind of question: at most 200,000 instructions for 5 to 8 words, for an agent
//! searches before each call. `ask` is not inlined, so that callgrind can count it alone:
//! `LD_BIND_NOW=1 valgrind --tool=callgrind --toggle-collect='search::ask' BENCH --bench --test search/typical`.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark stops at a surprise, and tells"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use onegate::model::tool::search::{Document, Hit, Index};
use onegate::openapi;

const OPERATIONS: usize = 1000;
const DOCUMENT: &str = include_str!("../tests/decision/fixtures/platform.yaml");

const QUESTIONS: [(&str, &str); 5] = [
    ("typical", "refund the last payment of acme partially"),
    ("common_words", "list all invoices of a customer by status"),
    ("unknown_words", "who deployed zeppelin quickstep to kubernetes yesterday"),
    ("slips", "serach for overdeu invioces of custmers"),
    (
        "long",
        "the customer complained that the subscription was charged twice last month so please find the \
         duplicate payment refund it partially add credit to the balance and email the corrected invoice",
    ),
];

/// The fixture's operations, again and again under other names.
fn index() -> Index {
    let read = openapi::read(DOCUMENT);
    let names: Vec<_> = (0..)
        .zip(read.operations.iter().cycle())
        .take(OPERATIONS)
        .map(|(n, operation)| {
            let api = n / read.operations.len();
            let (tool, id) =
                (format!("api{api}_{}", operation.id), format!("api{api}.{}", operation.id));
            (tool, id, format!("/api{api}{}", operation.template), operation)
        })
        .collect();
    Index::new(names.iter().map(|(tool, id, path, operation)| {
        let form = operation.form.as_ref().expect("a form");
        Document {
            tool,
            operation: id,
            method: operation.method.as_str(),
            path,
            summary: form.title.as_deref().unwrap_or_default(),
            description: &form.description,
            tags: &form.tags,
        }
    }))
}

#[inline(never)]
fn ask(index: &Index, question: &str) -> Vec<Hit> {
    index.search(question, |_| true, 10)
}

fn searching(criterion: &mut Criterion) {
    let index = index();
    println!("the index of {OPERATIONS} operations has {} bytes", index.bytes());
    // So that callgrind does not count what a process does the first time.
    drop(black_box(index.search("list refunds", |at| at > 0, 10)));
    let mut group = criterion.benchmark_group("search");
    for (kind, question) in QUESTIONS {
        group.bench_function(kind, |b| b.iter(|| ask(black_box(&index), black_box(question))));
    }
    group.finish();
}

criterion_group!(benches, searching);
criterion_main!(benches);
