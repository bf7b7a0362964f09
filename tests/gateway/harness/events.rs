//! An answer of the MCP endpoint that is a stream, read event by event as it comes.

use std::io::BufRead;

use serde_json::Value;

use super::client::Client;
use super::gate::Gate;
use super::http::{Body, Response};
use super::mcp::Message;

pub struct Events {
    client: Client,
    pub head: Response,
    /// What came of the body, and is not read yet.
    text: String,
}

impl Events {
    /// Sends a message whose answer is a stream.
    pub fn open(gate: &Gate, key: &str, message: &Message) -> Self {
        let mut client = gate.client();
        client.send(&message.request(Some(key)).bytes());
        let head = client.read(Body::Absent).expect("a head");
        assert_eq!(head.status, 200, "{head:?}");
        let kind = head.field("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/event-stream"), "{head:?}");
        assert_eq!(head.field("transfer-encoding"), Some("chunked"), "{head:?}");
        Self { client, head, text: String::new() }
    }

    /// The next message. None at the end.
    pub fn next(&mut self) -> Option<Value> {
        loop {
            let frame = self.frame()?;
            let data = frame.lines().find_map(|line| line.strip_prefix("data:"));
            if let Some(data) = data {
                return Some(serde_json::from_str(data.trim()).expect("a message is JSON"));
            }
        }
    }

    /// The next frame, a comment perhaps. None at the end.
    pub fn frame(&mut self) -> Option<String> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(frame);
            }
            if !self.chunk() {
                assert_eq!(self.text, "", "half a frame");
                return None;
            }
        }
    }

    /// Reads one chunk; says whether there was one. A broken connection is an end too.
    fn chunk(&mut self) -> bool {
        let from = self.client.stream();
        let mut line = String::new();
        let came = from.read_line(&mut line);
        let timed_out = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        assert!(!came.as_ref().is_err_and(timed_out), "the stream is quiet");
        if !came.is_ok_and(|count| count > 0) {
            return false;
        }
        let length = usize::from_str_radix(line.trim(), 16).expect("a chunk's length");
        let mut chunk = vec![0; length + 2];
        if std::io::Read::read_exact(from, &mut chunk).is_err() || length == 0 {
            return false;
        }
        self.text.push_str(std::str::from_utf8(&chunk[..length]).expect("text"));
        true
    }

    /// All that is still to come, to the end.
    pub fn rest(mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.next()).collect()
    }
}
