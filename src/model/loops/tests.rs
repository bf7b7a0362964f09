//! The brake against a slow reference that remembers everything, and its bounds.

use proptest::prelude::*;

use super::*;

fn brake(failures: u32, calls: u32) -> LoopBrake {
    LoopBrake {
        name: LimitName::parse(LoopBrake::NAME).expect("a good name"),
        mode: Mode::Enforced,
        failures,
        calls,
        window: Duration::from_secs(10),
        quarantine: Duration::from_secs(30),
    }
}

fn operation(n: usize) -> Called {
    Called::Operation(OperationId::parse_joined(&format!("lab.o{n}")).expect("a good id"))
}

/// Of a call that takes no time.
const fn once(at: MonoNs) -> When {
    When { came: at, ended: at }
}

const fn at(seconds: u64) -> MonoNs {
    MonoNs(seconds * 1_000_000_000)
}

#[test]
fn failures_in_a_row_brake_and_one_that_goes_well_begins_anew() {
    let (mut loops, brake, called) = (Loops::default(), brake(3, 100), operation(0));
    let mut tell = |ended, seconds| loops.tell(&called, ended, &brake, once(at(seconds)));
    for ended in [Ended::Badly, Ended::Badly, Ended::Well, Ended::Badly, Ended::Aside, Ended::Badly]
    {
        assert_eq!(tell(ended, 0), None);
    }
    assert_eq!(tell(Ended::Badly, 5), Some(Looping::Failed(3)));
    // Those that were under way then do not make it longer.
    assert_eq!([tell(Ended::Badly, 6), tell(Ended::Badly, 7), tell(Ended::Badly, 8)], [None; 3]);
    let held =
        |seconds| loops.braked(&called, at(seconds)).map(|(looping, until)| (looping, until.0));
    assert_eq!(held(34), Some((Looping::Failed(3), 35_000_000_000)));
    assert_eq!(held(35), None);
    assert_eq!(loops.braked(&operation(1), at(6)), None);
    assert_eq!(loops.braked(&Called::NoTool, at(6)), None);
}

/// Ten that fail together are one failure: nobody had heard of it.
#[test]
fn calls_that_were_under_way_together_repeat_nothing() {
    let (mut loops, brake, called) = (Loops::default(), brake(3, 100), operation(0));
    let mut tell = |came, ended| {
        let when = When { came: at(came), ended: at(ended) };
        loops.tell(&called, Ended::Badly, &brake, when)
    };
    for ended in 10..20 {
        assert_eq!(tell(0, ended), None);
    }
    assert_eq!([tell(9, 21), tell(10, 22), tell(11, 23)], [None; 3]);
    assert_eq!(tell(22, 24), Some(Looping::Failed(3)));
}

#[test]
fn calls_over_the_limits_are_counted_in_windows_whatever_comes_between() {
    let (mut loops, brake, called) = (Loops::default(), brake(2, 3), operation(0));
    let mut tell = |ended, seconds| loops.tell(&called, ended, &brake, once(at(seconds)));
    // A window of ten seconds begins with the first.
    assert_eq!(
        [tell(Ended::OverLimit, 0), tell(Ended::Well, 1), tell(Ended::OverLimit, 9)],
        [None; 3]
    );
    assert_eq!([tell(Ended::OverLimit, 10), tell(Ended::OverLimit, 11)], [None; 2]);
    assert_eq!(tell(Ended::OverLimit, 19), Some(Looping::TooFast(3)));
}

#[test]
fn nothing_is_remembered_of_what_goes_well_and_little_of_the_rest() {
    let (mut loops, brake) = (Loops::default(), brake(2, 3));
    for n in 0..10 {
        loops.tell(&operation(n), Ended::Well, &brake, once(at(0)));
        loops.tell(&operation(n), Ended::Aside, &brake, once(at(0)));
    }
    assert!(loops.is_empty());
    loops.tell(&operation(0), Ended::Badly, &brake, once(at(0)));
    loops.tell(&operation(0), Ended::Well, &brake, once(at(0)));
    assert!(loops.is_empty());
    let braked = Called::NoTool;
    loops.tell(&braked, Ended::Badly, &brake, once(at(0)));
    loops.tell(&braked, Ended::Badly, &brake, once(at(0)));
    for n in 0..1000 {
        loops.tell(&operation(n), Ended::Badly, &brake, once(at(1)));
    }
    assert_eq!(loops.len(), LOOPS_MAX);
    assert!(loops.braked(&braked, at(2)).is_some(), "what is braked is forgotten last");
    // The newest are still there: one more failure brakes.
    assert_eq!(
        loops.tell(&operation(999), Ended::Badly, &brake, once(at(2))),
        Some(Looping::Failed(2))
    );
}

#[test]
fn an_operator_gives_back_one_or_all() {
    let (mut loops, brake) = (Loops::default(), brake(2, 3));
    let all = [operation(0), operation(1), Called::NoTool];
    for called in all.iter().chain(&all) {
        loops.tell(called, Ended::Badly, &brake, once(at(0)));
    }
    let held = |loops: &Loops| all.clone().map(|called| loops.braked(&called, at(1)).is_some());
    assert_eq!(held(&loops), [true; 3]);
    let Called::Operation(id) = operation(0) else { panic!("it is one") };
    loops.release(Some(&id));
    assert_eq!(held(&loops), [false, true, true]);
    loops.release(None);
    assert!(loops.is_empty());
}

/// All that was told of one thing, gone through from the beginning.
fn reference(
    told: &[(Ended, MonoNs)],
    brake: &LoopBrake,
    now: MonoNs,
) -> Option<(Looping, MonoNs)> {
    let (mut failures, mut over_limit) = (0, Vec::new());
    let mut braked: Option<(Looping, MonoNs)> = None;
    for (ended, at) in told {
        if *ended == Ended::Well {
            failures = 0;
        }
        if braked.is_some_and(|(_, until)| *at < until) {
            continue;
        }
        let looping = match ended {
            Ended::Badly => {
                failures += 1;
                (failures == brake.failures).then_some(Looping::Failed(failures))
            }
            Ended::OverLimit => {
                let first: Option<&MonoNs> = over_limit.first();
                if first.is_some_and(|first| *at >= first.after(brake.window)) {
                    over_limit.clear();
                }
                over_limit.push(*at);
                let is_full = over_limit.len() == brake.calls as usize;
                is_full.then_some(Looping::TooFast(brake.calls))
            }
            Ended::Well | Ended::Aside => None,
        };
        if let Some(looping) = looping {
            (failures, over_limit) = (0, Vec::new());
            braked = Some((looping, at.after(brake.quarantine)));
        }
    }
    braked.filter(|(_, until)| now < *until)
}

fn endings() -> impl Strategy<Value = Ended> {
    let all =
        [Ended::Well, Ended::Badly, Ended::Badly, Ended::OverLimit, Ended::OverLimit, Ended::Aside];
    prop::sample::select(all.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_brake_agrees_with_one_that_remembers_everything(
        (failures, calls) in (2..6_u32, 2..6_u32),
        told in prop::collection::vec((0..3_usize, endings(), 0..9_000_u64), 1..120),
    ) {
        let (mut loops, brake) = (Loops::default(), brake(failures, calls));
        let mut histories = [Vec::new(), Vec::new(), Vec::new()];
        let mut now = MonoNs(0);
        for (of, ended, gap_ms) in told {
            now = MonoNs(now.0 + gap_ms * 1_000_000);
            let was = loops.braked(&operation(of), now);
            prop_assert_eq!(was, reference(&histories[of], &brake, now));
            let on = loops.tell(&operation(of), ended, &brake, once(now));
            histories[of].push((ended, now));
            let is = reference(&histories[of], &brake, now);
            prop_assert_eq!(loops.braked(&operation(of), now), is);
            prop_assert_eq!(on, is.map(|(looping, _)| looping).filter(|_| was.is_none()));
        }
    }
}
