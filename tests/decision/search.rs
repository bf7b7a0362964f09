//! Whether a search finds what a sentence asks for: 100 recorded tasks over an API of more than 300 operations
//! with many alike. The sentences were written before the search; whoever tunes it leaves them as they are.

use std::fs;
use std::path::Path;

use onegate::config;
use onegate::model::policy::Policy;

/// Answers that are looked at.
const FIRST: usize = 5;
/// Of 100 tasks.
const FOUND_MIN: usize = 95;

#[test]
fn what_a_sentence_asks_for_is_among_the_first_answers() {
    let (policy, tasks) = read();
    let catalogue = &policy.mcp.as_ref().expect("an endpoint").catalogue;
    let tools = catalogue.tools();
    assert!(tools.len() >= 300, "{} tools", tools.len());
    let name = |at: usize| tools[at].name.strip_prefix("platform_").unwrap_or_default();
    let mut missed = String::new();
    let (mut asked, mut found, mut first) = (0, 0, 0);
    for (needed, sentence) in tasks.lines().filter_map(task) {
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
    assert_eq!(asked, 100);
    assert!(found >= FOUND_MIN, "{told}");
    println!("{told}");
}

fn read() -> (Policy, String) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/decision/fixtures");
    let loaded = config::load(&fixtures.join("platform.toml")).unwrap_or_else(|p| panic!("{p}"));
    let tasks = fs::read_to_string(fixtures.join("tasks.txt")).expect("the tasks");
    (loaded.policy, tasks)
}

fn task(line: &str) -> Option<(&str, &str)> {
    line.split_once(": ").filter(|_| !line.starts_with('#'))
}
