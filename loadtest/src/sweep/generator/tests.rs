//! The generator against servers that behave and servers that do not: nothing that was due may be
//! lost from the tally. No test looks at how fast anything was.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use super::*;
use crate::sweep::tally::Failures;

/// What a server does with each request.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Answers as the stub does, in pieces of so many bytes.
    Pieces(usize),
    Status(u16),
    TooShort,
    /// Ends the connection.
    Ends,
    Nonsense,
    Silent,
}

/// Serves until the test's process ends.
fn serve(manner: Manner) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer_all(stream, manner));
        }
    });
    address
}

fn answer_all(mut stream: TcpStream, manner: Manner) {
    stream.set_nodelay(true).expect("it is open");
    let mut head = Vec::new();
    let mut byte = [0];
    while matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut head)).expect("a request is text");
        if !answer_one(&mut stream, &text, manner) {
            return;
        }
    }
}

fn answer_one(stream: &mut TcpStream, request: &str, manner: Manner) -> bool {
    let path = request.split(' ').nth(1).expect("a path");
    let bytes = path.split_once("/bytes/").map_or(1024, |(_, n)| n.parse().expect("a number"));
    let whole = |status: u16, bytes: usize| {
        let body = "x".repeat(bytes);
        format!("HTTP/1.1 {status} so\r\nContent-Length: {bytes}\r\n\r\n{body}").into_bytes()
    };
    let (answer, piece) = match manner {
        Manner::Pieces(piece) => (whole(200, bytes), piece),
        Manner::Status(status) => (whole(status, bytes), usize::MAX),
        Manner::TooShort => (whole(200, bytes - 1), usize::MAX),
        Manner::Nonsense => (b"what do you want?\r\n\r\n".to_vec(), usize::MAX),
        Manner::Silent => return true,
        Manner::Ends => return false,
    };
    answer.chunks(piece.min(answer.len())).all(|piece| stream.write_all(piece).is_ok())
}

fn tally_of(address: SocketAddr, timeout: Duration) -> Tally {
    let workload = Workload::new(&["a".into(), "b".into()]);
    let task = Task {
        address,
        workload: &workload,
        pace: Pace::Open { per_second: 200, arrivals: Arrivals::Poisson },
        connections: 3,
        warm_up: Duration::from_millis(50),
        measured: Duration::from_millis(300),
        timeout,
        seed: [1, 2, 3],
    };
    let mut generator = Generator::open(&task).expect("it listens");
    generator.run().expect("nobody interrupts");
    generator.into_tally()
}

/// Every intended request is in the tally once, and in the latencies once.
fn check_nothing_is_lost(tally: &Tally) {
    assert!(tally.intended > 20, "{tally:?}");
    assert_eq!(tally.intended, tally.right + tally.failures.all(), "{tally:?}");
    assert_eq!(tally.intended, tally.latency.count(), "{tally:?}");
    assert_eq!(tally.intended, tally.lag.count(), "{tally:?}");
}

#[test]
fn answers_are_right_in_whatever_pieces() {
    for piece in [usize::MAX, 700, 61] {
        let tally = tally_of(serve(Manner::Pieces(piece)), PATIENT);
        check_nothing_is_lost(&tally);
        assert_eq!((tally.failures, tally.reconnects), (Failures::default(), 0), "{piece}");
        assert!(tally.sent >= tally.intended);
    }
}

#[test]
fn every_failure_is_counted_as_what_it_is() {
    let check = |manner: Manner, kind: &str| {
        let tally = tally_of(serve(manner), PATIENT);
        check_nothing_is_lost(&tally);
        assert_eq!((tally.right, tally.in_window), (0, 0), "{manner:?}");
        let others = tally.failures.named().into_iter().filter(|(name, _)| *name != kind);
        assert_eq!(others.map(|(_, count)| count).sum::<u64>(), 0, "{manner:?}: {tally:?}");
        assert!(tally.latency.at(0.0) >= 9_900_000_000, "{manner:?}: a failure is a long wait");
    };
    check(Manner::Status(429), "refused");
    check(Manner::Status(503), "refused");
    check(Manner::Status(401), "wrong status");
    check(Manner::TooShort, "wrong length");
    check(Manner::Ends, "broken");
    check(Manner::Nonsense, "broken");
}

#[test]
fn a_server_that_says_nothing_times_out_and_blocks_those_behind() {
    let tally = tally_of(serve(Manner::Silent), Duration::from_millis(40));
    check_nothing_is_lost(&tally);
    let Failures { timed_out, unsent, .. } = tally.failures;
    assert!(timed_out > 0 && timed_out + unsent == tally.intended, "{tally:?}");
    assert!(tally.reconnects >= timed_out, "a connection that owes an answer is not used again");
}

#[test]
fn equal_seeds_send_the_same() {
    let address = serve(Manner::Pieces(usize::MAX));
    let (first, second) = (tally_of(address, PATIENT), tally_of(address, PATIENT));
    assert_eq!((first.intended, first.sent), (second.intended, second.sent));
}

#[test]
fn flat_out_keeps_every_connection_busy_and_ends() {
    let workload = Workload::new(&["a".into()]);
    let task = Task {
        address: serve(Manner::Pieces(usize::MAX)),
        workload: &workload,
        pace: Pace::FlatOut,
        connections: 3,
        warm_up: Duration::ZERO,
        measured: Duration::from_millis(100),
        timeout: PATIENT,
        seed: [1, 2, 3],
    };
    let mut generator = Generator::open(&task).expect("it listens");
    generator.run().expect("nobody interrupts");
    let tally = generator.into_tally();
    assert!(tally.right > 3 && tally.right == tally.intended, "{tally:?}");
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let workload = Workload::new(&["a".into()]);
    let task = Task {
        address,
        workload: &workload,
        pace: Pace::FlatOut,
        connections: 1,
        warm_up: Duration::ZERO,
        measured: Duration::ZERO,
        timeout: PATIENT,
        seed: [0; 3],
    };
    assert!(Generator::open(&task).is_err());
}

/// Longer than any machine takes.
const PATIENT: Duration = Duration::from_secs(10);
