//! Responses are compressed when the caller wants it and nothing speaks against it, and decoders
//! that others wrote get back what the upstream sent.

use std::fs;
use std::io::BufRead;
use std::process::Command;

use super::harness::gate::Gate;
use super::harness::http::{Request, Response};
use super::harness::scripted::{Asked, Say, Scripted, whole};
use super::harness::setup::Setup;
use super::harness::tools;

const APIS: &str = r#"
[[api]]
name = "coded"
base_path = "/coded"
upstream = "recorder"
access = "public"
compression = {}
[[api.operation]]
id = "any"
methods = ["*"]
path = "/{rest...}"

[[api]]
name = "gzip"
base_path = "/gzip"
upstream = "recorder"
access = "public"
compression = { algorithms = ["gzip"], bytes_min = "10B", types = ["application/vnd.x+json", "text/*"] }
[[api.operation]]
id = "any"
methods = ["*"]
path = "/{rest...}"
[api.headers.response]
remove = ["Vary"]

[[api]]
name = "plain"
base_path = "/plain"
upstream = "recorder"
access = "public"
[[api.operation]]
id = "any"
methods = ["*"]
path = "/{rest...}"
"#;

const LARGE_BYTES: usize = 2 * 1024 * 1024;

/// Text that compresses, and is different everywhere.
fn text(bytes: usize) -> Vec<u8> {
    let line = |n: usize| format!("{{\"number\":{n},\"name\":\"payment {}\"}}\n", n * 7919 % 1000);
    let mut text: Vec<u8> = (0..=bytes / 30).flat_map(|n| line(n).into_bytes()).collect();
    text.truncate(bytes);
    text
}

/// Answers by the last part of the path.
fn script(asked: &Asked) -> Vec<Say> {
    let json = "Content-Type: application/json\r\n";
    let with = |fields: &str| whole(asked, "200 OK", &format!("{json}{fields}"), &text(4000));
    let chunk = |bytes: &[u8]| {
        Say::Bytes([format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat())
    };
    let open = |content_type: &str| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n");
        Say::Bytes(format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes())
    };
    let last = || Say::Bytes(b"0\r\n\r\n".to_vec());
    match asked.target.rsplit('/').next().unwrap_or_default() {
        "small" => whole(asked, "200 OK", json, b"{\"small\":true}"),
        "empty" => whole(asked, "200 OK", json, b""),
        "large" => whole(asked, "200 OK", json, &text(LARGE_BYTES)),
        "absent" => whole(asked, "404 Not Found", json, &text(4000)),
        "image" => whole(asked, "200 OK", "Content-Type: image/png\r\n", &text(4000)),
        "vendor" => whole(asked, "200 OK", "Content-Type: application/vnd.x+json\r\n", &text(4000)),
        "encoded" => with("Content-Encoding: x-own\r\n"),
        "no-transform" => with("Cache-Control: private, no-transform\r\n"),
        "tagged" => {
            with("ETag: \"v1\"\r\nAccept-Ranges: bytes\r\nDigest: sha-256=x\r\nVary: Accept\r\n")
        }
        "weak" => with("ETag: W/\"v1\"\r\nVary: accept-encoding, Origin\r\n"),
        "part" => whole(
            asked,
            "206 Partial Content",
            &format!("{json}Content-Range: bytes 0-3999/9000\r\n"),
            &text(4000),
        ),
        "same" => vec![Say::Bytes(b"HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n".to_vec())],
        "nothing" => vec![Say::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec())],
        "chunked" => {
            let body = text(300_000);
            let mut said = vec![open("application/json")];
            said.extend(body.chunks(1000).map(chunk));
            said.push(last());
            said
        }
        "closing" => {
            let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n";
            vec![Say::Bytes([&head[..], &text(50_000)].concat()), Say::Close]
        }
        "empty-chunked" => vec![open("application/json"), last()],
        "trickle" => {
            vec![
                open("application/x-ndjson"),
                chunk(b"first\n"),
                Say::Wait,
                chunk(b"last\n"),
                last(),
            ]
        }
        "events" => {
            let first = b"data: first\n\n";
            vec![
                open("text/event-stream"),
                chunk(first),
                Say::Wait,
                chunk(b"data: last\n\n"),
                last(),
            ]
        }
        _ => with(""),
    }
}

fn start() -> (Scripted, Gate) {
    let upstream = Scripted::start(script);
    let apis = APIS.to_owned();
    let gate = Gate::start(&Setup { apis, ..Setup::before_address(upstream.address) });
    (upstream, gate)
}

fn get(gate: &Gate, target: &str, accept: &str) -> Response {
    gate.call(&Request::get(target).field("Accept-Encoding", accept))
}

/// Decodes with the libraries of Python; each must have reached the end that its format marks.
const DECODE: &str = r#"
import brotli, sys, zlib, zstandard
coding, data = sys.argv[1], open(sys.argv[2], "rb").read()
if coding == "gzip":
    decoder = zlib.decompressobj(31)
    plain = decoder.decompress(data)
    assert decoder.eof and not decoder.unused_data
elif coding == "br":
    decoder = brotli.Decompressor()
    plain = decoder.process(data)
    assert decoder.is_finished()
else:
    decoder = zstandard.ZstdDecompressor(max_window_size=8 * 1024 * 1024).decompressobj()
    plain = decoder.decompress(data)
    assert decoder.eof and not decoder.unused_data
open(sys.argv[3], "wb").write(plain)
"#;

/// What a response holds, decoded by others.
fn decoded(gate: &Gate, response: &Response) -> Vec<u8> {
    let (coded, plain) = (gate.folder.at("coded"), gate.folder.at("plain"));
    fs::write(&coded, &response.body).expect("the folder is ours");
    let coding = response.field("content-encoding").expect("it is coded");
    let mut python = Command::new(tools::python());
    python.args(["-c", DECODE, coding, &coded, &plain]);
    tools::run(&mut python, b"").expect_success();
    fs::read(&plain).expect("it was written")
}

#[test]
fn decoders_of_others_get_back_what_was_sent() {
    let (_upstream, gate) = start();
    for coding in ["zstd", "br", "gzip"] {
        let check = |target: &str, expected: &[u8]| {
            let response = get(&gate, target, coding);
            assert!(response.complete && response.status == 200, "{coding} {target}");
            assert_eq!(response.field("content-encoding"), Some(coding), "{target}");
            assert_eq!(response.field("content-length"), None, "{target}");
            assert!(decoded(&gate, &response) == expected, "{coding} {target} is changed");
            let most = expected.len() / 3 + 100;
            assert!(response.body.len() < most, "{coding} {target}: {}", response.body.len());
            let record = gate.record_of(&response);
            assert_eq!(record["response_bytes"], response.body.len(), "{record}");
        };
        check("/coded/x", &text(4000));
        check("/coded/large", &text(LARGE_BYTES));
        check("/coded/chunked", &text(300_000));
        check("/coded/empty-chunked", b"");
    }
    let absent = get(&gate, "/coded/absent", "gzip");
    assert_eq!(absent.status, 404);
    assert_eq!(decoded(&gate, &absent), text(4000));
}

#[test]
fn curl_decodes_every_coding() {
    let (upstream, gate) = start();
    for coding in ["zstd", "br", "gzip", "gzip, br, zstd"] {
        for target in ["/coded/large", "/coded/chunked"] {
            let (file, url) = (gate.folder.at("got"), format!("http://{}{target}", gate.address));
            let accept = format!("Accept-Encoding: {coding}");
            let mut curl = Command::new("curl");
            curl.args(["-sS", "--compressed", "-H", &accept, "-o", &file, &url]);
            tools::run(&mut curl, b"").expect_success();
            let expected =
                if target.ends_with("large") { text(LARGE_BYTES) } else { text(300_000) };
            assert!(fs::read(&file).expect("it was written") == expected, "{coding} {target}");
        }
    }
    // HTTP/1.0 has no chunks, so a body keeps its length and is not coded.
    let (head, url) = (gate.folder.at("head"), format!("http://{}/coded/x", gate.address));
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--http1.0", "--compressed", "-D", &head, "-o", "/dev/null", &url]);
    tools::run(&mut curl, b"").expect_success();
    let head = fs::read_to_string(&head).expect("it was written").to_ascii_lowercase();
    assert!(head.contains("content-length: 4000\r\n") && !head.contains("encoding: "), "{head}");
    // The upstream is asked what the caller asked: it may code by itself.
    let asked = upstream.last_at("/coded/chunked");
    assert_eq!(asked.fields.value("accept-encoding"), Some("gzip, br, zstd"));
}

#[test]
fn the_callers_wish_chooses_the_coding() {
    let (_upstream, gate) = start();
    let check = |target: &str, accept: &str, coding: Option<&str>| {
        let response = get(&gate, target, accept);
        assert_eq!(response.field("content-encoding"), coding, "{target} {accept}");
        assert_eq!(response.field("vary"), Some("Accept-Encoding"), "{target} {accept}");
        match coding {
            Some(_) => assert_eq!(decoded(&gate, &response), text(4000), "{target} {accept}"),
            None => assert_eq!(response.body, text(4000), "{target} {accept}"),
        }
    };
    check("/coded/x", "gzip, deflate, br, zstd", Some("zstd"));
    check("/coded/x", "gzip, deflate, br", Some("br"));
    check("/coded/x", "gzip;q=1, br;q=0.5", Some("gzip"));
    check("/coded/x", "zstd;q=0, *", Some("br"));
    check("/coded/x", "deflate", None);
    check("/coded/x", "identity, gzip;q=0.9", None);
    check("/coded/x", "identity;q=0", None);
    check("/gzip/vendor", "gzip, br, zstd", Some("gzip"));
    check("/gzip/vendor", "br, zstd", None);
    let unasked = gate.call(&Request::get("/coded/x"));
    assert_eq!(unasked.field("content-encoding"), None);
    assert_eq!(unasked.field("vary"), Some("Accept-Encoding"));
    assert_eq!(unasked.body, text(4000));
}

#[test]
fn what_is_not_worth_it_or_not_allowed_stays_as_it_is() {
    let (_upstream, gate) = start();
    let check = |target: &str, accept: &str, vary: Option<&str>| {
        let response = get(&gate, target, accept);
        let own = Some("x-own").filter(|_| target.ends_with("encoded"));
        assert_eq!(response.field("content-encoding"), own, "{target}");
        assert_eq!(response.field("vary"), vary, "{target}");
        let length = response.field("content-length").map(str::to_owned);
        if !matches!(response.status, 204 | 304) {
            assert_eq!(length, Some(response.body.len().to_string()), "{target}");
        }
    };
    check("/coded/small", "gzip", None);
    check("/coded/empty", "gzip, identity;q=0", None);
    check("/coded/image", "gzip", None);
    check("/coded/vendor", "gzip", None);
    check("/gzip/x", "gzip", None);
    check("/coded/encoded", "gzip", None);
    check("/coded/no-transform", "gzip", None);
    check("/coded/part", "gzip", None);
    check("/coded/nothing", "gzip", None);
    check("/coded/same", "gzip", Some("Accept-Encoding"));
    check("/plain/x", "gzip", None);
    // Who refuses it as it is gets small ones coded too.
    let small = get(&gate, "/coded/small", "gzip, identity;q=0");
    assert_eq!(decoded(&gate, &small), b"{\"small\":true}");
    // A request may ask that nothing is changed.
    let untouched = Request::get("/coded/x").field("Accept-Encoding", "gzip");
    let untouched = gate.call(&untouched.field("Cache-Control", "no-transform"));
    assert_eq!(untouched.field("content-encoding"), None);
    assert_eq!(untouched.body, text(4000));
}

#[test]
fn fields_tell_the_truth_of_coded_bytes() {
    let (_upstream, gate) = start();
    let response = get(&gate, "/coded/tagged", "gzip");
    let check = |name: &str, expected: Option<&str>| {
        let found: Vec<_> = response.fields.iter().filter(|(known, _)| known == name).collect();
        let found: Vec<&str> = found.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{name}");
    };
    check("etag", Some("W/\"v1\""));
    check("accept-ranges", None);
    check("digest", None);
    check("content-length", None);
    check("transfer-encoding", Some("chunked"));
    let varies: Vec<_> = response.fields.iter().filter(|(name, _)| name == "vary").collect();
    assert_eq!(varies.len(), 2, "{varies:?}");

    let plain = get(&gate, "/coded/tagged", "identity");
    assert_eq!(plain.field("etag"), Some("\"v1\""));
    assert_eq!(plain.field("accept-ranges"), Some("bytes"));
    let weak = get(&gate, "/coded/weak", "gzip");
    assert_eq!(weak.field("etag"), Some("W/\"v1\""));
    assert_eq!(weak.field("vary"), Some("accept-encoding, Origin"));

    // HEAD says what GET would, and the connection goes on.
    let mut client = gate.client();
    let head = Request::new("HEAD", "/coded/tagged").field("Accept-Encoding", "gzip");
    let head = client.call(&head);
    assert_eq!(head.field("content-encoding"), Some("gzip"));
    assert_eq!((head.field("etag"), head.field("content-length")), (Some("W/\"v1\""), None));
    assert_eq!(client.call(&Request::get("/coded/small")).body, b"{\"small\":true}");
}

#[test]
fn slow_streams_are_not_held_back_and_event_streams_not_coded() {
    let (upstream, gate) = start();
    // The upstream is silent until it is released, so what is read now was flushed.
    for coding in ["zstd", "br", "gzip"] {
        let mut client = gate.client();
        let request = Request::get("/coded/trickle").field("Accept-Encoding", coding);
        client.send(&request.bytes());
        let first = first_chunk(client.stream());
        let (coded, plain) = (gate.folder.at("coded"), gate.folder.at("plain"));
        fs::write(&coded, &first).expect("the folder is ours");
        let unfinished = DECODE.replace("assert ", "");
        let mut python = Command::new(tools::python());
        python.args(["-c", &unfinished, coding, &coded, &plain]);
        tools::run(&mut python, b"").expect_success();
        assert_eq!(fs::read(&plain).expect("it was written"), b"first\n", "{coding}");
    }
    for target in ["/coded/events", "/gzip/events"] {
        let mut client = gate.client();
        let request = Request::get(target).field("Accept-Encoding", "gzip, br, zstd");
        client.send(&request.bytes());
        assert_eq!(first_chunk(client.stream()), b"data: first\n\n", "{target}");
    }
    upstream.release();
    for coding in ["zstd", "br", "gzip"] {
        let whole = get(&gate, "/coded/trickle", coding);
        assert_eq!(decoded(&gate, &whole), b"first\nlast\n", "{coding}");
    }
    let events = get(&gate, "/coded/events", "gzip");
    assert_eq!(events.field("content-encoding"), None);
    assert_eq!(events.text(), "data: first\n\ndata: last\n\n");
}

/// The first chunk of a body, when no more has come.
fn first_chunk(from: &mut impl BufRead) -> Vec<u8> {
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        assert!(from.read_line(&mut line).expect("a head") > 0, "no head");
    }
    line.clear();
    from.read_line(&mut line).expect("a chunk");
    let length = usize::from_str_radix(line.trim_end(), 16).expect("a length");
    let mut chunk = vec![0; length];
    from.read_exact(&mut chunk).expect("the whole chunk");
    chunk
}

#[test]
fn a_body_without_an_announced_end_is_coded_to_its_end() {
    let (_upstream, gate) = start();
    // The end of the upstream's connection is the end of the body; the caller's goes on.
    let mut client = gate.client();
    for coding in ["zstd", "br", "gzip"] {
        let request = Request::get("/coded/closing").field("Accept-Encoding", coding);
        let response = client.call(&request);
        assert_eq!(decoded(&gate, &response), text(50_000), "{coding}");
    }
}
