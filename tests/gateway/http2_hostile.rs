//! HTTP/2 from callers that break its rules, frame by frame: nothing of it reaches an upstream, no
//! other connection notices, and memory stays where it was.

use onegate::model::denial::Denial;

use super::harness::bench::expect_denial;
use super::harness::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PING, RST_STREAM,
    SETTINGS, block, frame,
};
use super::harness::gate::Gate;
use super::harness::http::Request;
use super::harness::setup::Setup;
use super::harness::upstream::Upstream;

const PROTOCOL_ERROR: u32 = 1;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

const PSEUDO: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "gate.test"), (":path", "/open/ok/1")];

fn setup(upstream: &Upstream) -> Setup {
    Setup { listener: "http2 = true".to_owned(), ..Setup::before(upstream) }
}

/// What becomes of a stream.
#[derive(Debug, Eq, PartialEq)]
enum Outcome {
    Reset(u32),
    /// A denial in a body of the gate's own.
    Denied(String),
}

fn outcome(gate: &Gate, fields: &[(&str, &str)]) -> Outcome {
    let mut frames = Frames::begin(gate.address);
    frames.request(1, fields);
    let read = frames.read_stream(1);
    let last = read.last().unwrap_or_else(|| panic!("no word about {fields:?}"));
    if last.kind == RST_STREAM || last.kind == GOAWAY {
        return Outcome::Reset(last.code());
    }
    let body: Vec<u8> =
        read.iter().filter(|f| f.kind == DATA).flat_map(|f| f.payload.clone()).collect();
    let problem: serde_json::Value = serde_json::from_slice(&body).expect("a problem");
    let id = problem["request_id"].as_str().expect("an id");
    let records = gate.records(&["--id", id], |records| !records.is_empty());
    assert_eq!(records[0]["denial"], problem["code"], "{problem}");
    Outcome::Denied(problem["code"].as_str().expect("a code").to_owned())
}

#[test]
fn heads_that_break_a_rule_end_their_stream() {
    let upstream = Upstream::start();
    let gate = Gate::start(&setup(&upstream));
    let check = |fields: &[(&str, &str)], expected: Outcome| {
        assert_eq!(outcome(&gate, fields), expected, "{fields:?}");
    };
    let reset = || Outcome::Reset(PROTOCOL_ERROR);
    let denied = || Outcome::Denied(Denial::MalformedRequest.code().to_owned());
    let with = |name, value| [&PSEUDO[..], &[(name, value)]].concat();
    let changed = |at: usize, value| {
        let mut fields = PSEUDO;
        fields[at].1 = value;
        fields
    };
    let without = |at: usize| {
        let mut fields = PSEUDO.to_vec();
        fields.remove(at);
        fields
    };
    // The library's part: the stream is no request.
    check(&with("X-Upper", "1"), reset());
    check(&with("connection", "close"), reset());
    check(&with("keep-alive", "5"), reset());
    check(&with("proxy-connection", "close"), reset());
    check(&with("transfer-encoding", "chunked"), reset());
    check(&with("upgrade", "websocket"), reset());
    check(&with("te", "gzip"), reset());
    check(&with("a b", "1"), reset());
    check(&with("x", "a\r\nb: c"), reset());
    check(&with("x", "a\0b"), reset());
    check(&with(":path", "/open/ok/2"), reset());
    check(&with(":authority", "gate.test"), reset());
    check(&with(":other", "1"), reset());
    check(&with(":status", "200"), reset());
    check(&[&[("x", "first")], &PSEUDO[..]].concat(), reset());
    check(&without(0), reset());
    check(&without(1), reset());
    check(&without(3), reset());
    check(&changed(0, "G T"), reset());
    check(&changed(3, ""), reset());
    check(&with("content-length", "-1"), reset());
    // The gate's part: told and recorded.
    check(&without(2), denied());
    check(&changed(1, "ftp"), denied());
    check(&changed(2, "u:p@gate.test"), denied());
    check(&changed(2, "gate.test:99999"), denied());
    check(&with("host", "other.test"), denied());
    check(&with("x", " blank"), denied());
    check(&changed(3, "*"), denied());
    assert!(upstream.received().is_empty(), "{:?}", upstream.received());
    assert_eq!(outcome(&gate, &changed(3, "/nowhere")), Outcome::Denied("not_found".to_owned()));
}

#[test]
fn floods_end_their_connection_and_nothing_else() {
    let upstream = Upstream::start();
    let gate = Gate::start(&setup(&upstream));
    let mut canary = gate.client();
    let mut check = |flood: &dyn Fn(&mut Frames), expected: &[Option<u32>]| {
        let before = gate.memory_kb("VmRSS");
        let mut frames = Frames::begin(gate.address);
        flood(&mut frames);
        let goodbye = frames.read_to_end();
        assert!(expected.contains(&goodbye), "{goodbye:?} is none of {expected:?}");
        assert_eq!(canary.call(&Request::get("/open/ok/1")).status, 200);
        let grown = gate.memory_kb("VmRSS").saturating_sub(before);
        assert!(grown < 64 * 1024, "{grown} KB more");
    };
    // Requests that are taken back at once.
    let rapid_reset = |frames: &mut Frames| {
        for stream in (1..200_001).step_by(2) {
            let head = frame(HEADERS, END_STREAM | END_HEADERS, stream, &block(&PSEUDO));
            let reset = frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
            if !frames.send_bytes(&[head, reset].concat()) {
                return;
            }
        }
    };
    check(&rapid_reset, &[Some(ENHANCE_YOUR_CALM), None]);
    // A head without an end.
    let continuation = |frames: &mut Frames| {
        frames.send(HEADERS, 0, 1, &block(&PSEUDO));
        let more = block(&[("a", &"a".repeat(16_000))]);
        for _ in 0..100_000 {
            if !frames.send(CONTINUATION, 0, 1, &more) {
                return;
            }
        }
    };
    check(&continuation, &[Some(ENHANCE_YOUR_CALM), Some(PROTOCOL_ERROR), None]);
    let empty_continuation = |frames: &mut Frames| {
        frames.send(HEADERS, 0, 1, &block(&PSEUDO));
        for _ in 0..100_000 {
            if !frames.send(CONTINUATION, 0, 1, &[]) {
                return;
            }
        }
    };
    check(&empty_continuation, &[Some(ENHANCE_YOUR_CALM), Some(PROTOCOL_ERROR), None]);
    // Data without bytes.
    let empty_data = |frames: &mut Frames| {
        let mut post = PSEUDO;
        (post[0].1, post[3].1) = ("POST", "/open/echo/1");
        frames.send(HEADERS, END_HEADERS, 1, &block(&post));
        for _ in 0..1_000_000 {
            if !frames.send(DATA, 0, 1, &[]) {
                return;
            }
        }
    };
    check(&empty_data, &[Some(ENHANCE_YOUR_CALM), Some(PROTOCOL_ERROR), None]);
}

#[test]
fn a_caller_that_takes_back_what_it_asks_is_sent_away() {
    let upstream = Upstream::start();
    let gate = Gate::start(&setup(&upstream));
    let mut frames = Frames::begin(gate.address);
    // Each is taken back only when it has arrived, so that no library can tell it from a change of
    // mind.
    for n in 0..101 {
        let (stream, path) = (2 * n + 1, format!("/open/hold/{n}"));
        let mut fields = PSEUDO;
        fields[3].1 = &path;
        frames.request(stream, &fields);
        upstream.wait_for(&path);
        frames.send(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
    }
    assert_eq!(frames.read_to_end(), Some(ENHANCE_YOUR_CALM));
    let counted = "onegate_refused_before_request_total{reason=\"http2_resets\"} 1";
    assert!(gate.metrics().contains(counted), "{}", gate.metrics());
    let records = gate.records(&["--api", "open"], |records| records.len() == 101);
    assert!(records.iter().all(|record| record["end"] == "client_abort"), "{records:?}");
}

#[test]
fn a_small_head_that_unpacks_to_a_large_one_is_refused() {
    let upstream = Upstream::start();
    let gate = Gate::start(&setup(&upstream));
    let before = gate.memory_kb("VmRSS");
    let mut frames = Frames::begin(gate.address);
    for stream in (1..200).step_by(2) {
        // A literal that is indexed (RFC 7541, 6.2.1), then the index of it, again and again.
        let mut head = block(&PSEUDO);
        head.extend([0x40, 1, b'x', 127, 0x81, 0x1e]);
        head.extend([b'x'; 4000]);
        head.extend([0x80 | 0x3e; 12_000]);
        if !frames.send(HEADERS, END_STREAM | END_HEADERS, stream, &head) {
            break;
        }
    }
    frames.send(GOAWAY, 0, 0, &[0; 8]);
    frames.read_to_end();
    assert!(upstream.received().is_empty(), "{:?}", upstream.received());
    let grown = gate.memory_kb("VmRSS").saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KB more");
    assert_eq!(gate.call(&Request::get("/open/ok/1")).status, 200);
}

#[test]
fn many_small_fields_are_refused_and_recorded() {
    let upstream = Upstream::start();
    let gate = Gate::start(&setup(&upstream));
    let fields = [&PSEUDO[..], &vec![("a", ""); 1000]].concat();
    let too_large = Outcome::Denied(Denial::HeadTooLarge.code().to_owned());
    assert_eq!(outcome(&gate, &fields), too_large);
    assert!(upstream.received().is_empty(), "{:?}", upstream.received());
}

#[test]
fn a_caller_that_does_not_read_is_ended() {
    let upstream = Upstream::start();
    let keys = "timeouts = { idle = \"500ms\" }";
    let gate = Gate::start(&Setup { upstream: keys, ..setup(&upstream) });
    let mut frames = Frames::begin(gate.address);
    // No stream may carry any data.
    frames.send(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    frames.request(1, &PSEUDO);
    let last = frames.read_stream(1).pop().expect("a word");
    assert_eq!((last.kind, last.code()), (RST_STREAM, CANCEL));
    let record = gate.record_of_path("/open/ok/1");
    assert_eq!(record["end"], "deadline", "{record}");
}

#[test]
fn an_idle_connection_is_closed_whatever_it_pings() {
    let upstream = Upstream::start();
    let bounds = "idle_timeout = \"1s\"\nhead_deadline = \"1s\"";
    let gate = Gate::start(&Setup { bounds, ..setup(&upstream) });
    let mut frames = Frames::begin(gate.address);
    frames.send(PING, 0, 0, b"12345678");
    assert_eq!(frames.read_to_end(), Some(0), "a goodbye without a fault");
    // Half a preface is a slow head; it has no answer that its sender could read.
    let mut half = gate.client();
    half.send(b"PRI * HTTP/2.0\r\n");
    assert!(half.read(super::harness::http::Body::Expected).is_none());
    // What only begins like one is HTTP/1.
    let mut other = gate.client();
    other.send(b"PRI * HTTP/2.0\r\n\r\nXX");
    let response = other.read(super::harness::http::Body::Expected).expect("an answer");
    expect_denial(&response, Denial::MalformedRequest, &[]);
}
