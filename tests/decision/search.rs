//! Whether a search finds what a sentence asks for: recorded tasks over an API of more than 300 operations with
//! many alike. The sentences stay as they are, whoever tunes the search.

use std::fs;
use std::path::Path;

use onegate::config;
use onegate::model::policy::Policy;

/// Answers that are looked at.
const FIRST: usize = 5;

#[test]
fn what_a_sentence_asks_for_is_among_the_first_answers() {
    check("tasks.txt", 100, 95);
}

/// Nobody tuned the search for these: fewer are found, and a change that loses some fits the others too well.
#[test]
fn so_is_most_of_what_nobody_tuned_it_for() {
    check("unseen_tasks.txt", 60, 42);
}

#[expect(clippy::print_stdout, reason = "what is missed is told")]
fn check(tasks: &str, all: usize, found_min: usize) {
    let policy = policy();
    let catalogue = &policy.mcp.as_ref().expect("an endpoint").catalogue;
    let tools = catalogue.tools();
    assert!(tools.len() >= 300, "{} tools", tools.len());
    let name = |at: usize| tools[at].name.strip_prefix("platform_").unwrap_or_default();
    let mut missed = String::new();
    let (mut asked, mut found, mut first) = (0, 0, 0);
    for (needed, sentence) in read(tasks).lines().filter_map(task) {
        assert!((0..tools.len()).any(|at| name(at) == needed), "{needed} is an operation");
        let hits = catalogue.index().search(sentence, |_| true, tools.len());
        let rank = hits.iter().position(|hit| name(hit.index) == needed);
        asked += 1;
        first += usize::from(rank == Some(0));
        if rank.is_some_and(|rank| rank < FIRST) {
            found += 1;
            continue;
        }
        let rank = rank.map_or("not".into(), |rank| format!("as number {}", rank + 1));
        missed += &format!("\n{needed} is found {rank} by {sentence:?}; first are:");
        for hit in hits.iter().take(FIRST) {
            missed += &format!(" {} {:.2}", name(hit.index), hit.score);
        }
    }
    let told = format!("{found} of {asked} are among the first {FIRST}, {first} the first{missed}");
    assert_eq!(asked, all);
    assert!(found >= found_min, "{told}");
    println!("{told}");
}

fn policy() -> Policy {
    let file = fixtures().join("platform.toml");
    config::load(&file).unwrap_or_else(|problems| panic!("{problems}")).policy
}

fn read(tasks: &str) -> String {
    fs::read_to_string(fixtures().join(tasks)).expect("the tasks")
}

fn fixtures() -> Box<Path> {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decision/fixtures").into()
}

fn task(line: &str) -> Option<(&str, &str)> {
    line.split_once(": ").filter(|_| !line.starts_with('#'))
}
