//! HTTP/2 as frames, for what no library would send.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::poll::PATIENCE;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub struct Frames {
    stream: TcpStream,
}

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code of RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

impl Frames {
    /// A connection that has begun: preface and settings are sent.
    pub fn begin(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the gate listens");
        stream.set_nodelay(true).expect("a socket of ours");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket of ours");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket of ours");
        let mut frames = Self { stream };
        frames.send_bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        frames.send(SETTINGS, 0, 0, &[]);
        frames
    }

    /// Sends bytes; whether the gate still takes them.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.send_bytes(&frame(kind, flags, stream, payload))
    }

    /// A whole head, without a body.
    pub fn request(&mut self, stream: u32, fields: &[(&str, &str)]) -> bool {
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &block(fields))
    }

    /// The next frame; None when the connection has ended.
    pub fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        if !self.fill(&mut head) {
            return None;
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n: u32, byte| n << 8 | u32::from(*byte));
        let (length, stream) = (number(&head[..3]), number(&head[5..]) & 0x7fff_ffff);
        let mut payload = vec![0; length as usize];
        let (kind, flags) = (head[3], head[4]);
        self.fill(&mut payload).then_some(Frame { kind, flags, stream, payload })
    }

    /// The frames of one stream up to its end; RST_STREAM, or END_STREAM, or the connection's end.
    pub fn read_stream(&mut self, stream: u32) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.read() {
            if frame.kind != GOAWAY && frame.stream != stream {
                continue;
            }
            let with_flags = matches!(frame.kind, DATA | HEADERS);
            let is_last = matches!(frame.kind, RST_STREAM | GOAWAY)
                || with_flags && frame.flags & END_STREAM != 0;
            frames.push(frame);
            if is_last {
                break;
            }
        }
        frames
    }

    /// Reads until the gate says goodbye or hangs up; gives the code of its goodbye.
    pub fn read_to_end(&mut self) -> Option<u32> {
        let mut goodbye = None;
        while let Some(frame) = self.read() {
            if frame.kind == GOAWAY {
                goodbye = Some(frame.code());
            }
        }
        goodbye
    }

    fn fill(&mut self, bytes: &mut [u8]) -> bool {
        match self.stream.read_exact(bytes) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                panic!("the gate must not hang")
            }
            Err(_) => false,
        }
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Fields as literals that are never indexed (RFC 7541, 6.2.3), names and values as they are.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0x10);
        push_text(&mut block, name);
        push_text(&mut block, value);
    }
    block
}

fn push_text(block: &mut Vec<u8>, text: &str) {
    // An integer with a prefix of seven bits (RFC 7541, 5.1).
    let length = text.len();
    if length < 127 {
        block.push(u8::try_from(length).expect("it fits"));
    } else {
        block.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).expect("it fits") | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).expect("it fits"));
    }
    block.extend(text.as_bytes());
}
