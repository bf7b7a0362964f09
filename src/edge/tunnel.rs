//! A connection that has left HTTP for WebSocket: whether the handshake may be tried, and how the
//! conversation ended. It reads the headers of frames as they pass (RFC 6455, 5.2), and nothing of
//! what they carry; it changes and refuses none.

use http::{HeaderMap, Method, Version, header};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;

use crate::model::record::End;

use super::flight::{Flight, Tail};

/// Whether a head asks for WebSocket as RFC 6455 has it (4.1): anything else that asks to leave
/// HTTP is an ordinary request (RFC 9110, 7.8).
pub fn asks(head: &RequestHeader) -> bool {
    let bodiless = head.headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0")
        && !head.headers.contains_key(header::TRANSFER_ENCODING);
    let get = head.version == Version::HTTP_11 && head.method == Method::GET;
    get && bodiless && agrees(&head.headers)
}

/// Keeps the end of the request open until the upstream has answered.
///
/// Pingora 0.9.1 takes the end of a request without a body for the end of the WebSocket when the
/// 101 comes before it has looked (its issue 946). So towards Pingora this request has a body whose
/// end the lane tells only when the upstream did not switch.
pub fn hold(session: &mut Session, flight: &Flight) -> Result<()> {
    let head = session.req_header_mut();
    head.remove_header(&header::CONTENT_LENGTH);
    flight.set_tail(Tail::Held);
    head.insert_header(header::TRANSFER_ENCODING, "chunked")
}

/// Towards the upstream it has none. Saying so keeps Pingora from announcing one.
pub fn without_body(head: &mut RequestHeader) -> Result<()> {
    head.remove_header(&header::TRANSFER_ENCODING);
    head.insert_header(header::CONTENT_LENGTH, "0")
}

/// Whether a `101` says the same.
pub fn agreed(head: &ResponseHeader) -> bool {
    head.version == Version::HTTP_11 && agrees(&head.headers)
}

/// `Upgrade: websocket`, once, and `Connection` names it.
fn agrees(headers: &HeaderMap) -> bool {
    let mut upgrades = headers.get_all(header::UPGRADE).iter();
    let websocket = upgrades.next().is_some_and(|value| is(value.as_bytes(), b"websocket"));
    let mut connection = headers.get_all(header::CONNECTION).iter();
    let options = |value: &[u8]| value.split(|b| *b == b',').any(|option| is(option, b"upgrade"));
    websocket && upgrades.next().is_none() && connection.any(|value| options(value.as_bytes()))
}

fn is(value: &[u8], token: &[u8]) -> bool {
    value.trim_ascii().eq_ignore_ascii_case(token)
}

/// Who speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    Caller,
    Upstream,
}

/// Both directions of one WebSocket.
#[derive(Debug, Default)]
pub struct Tunnel {
    from_caller: Frames,
    from_upstream: Frames,
    /// Whose end of the connection came first.
    left: Option<Side>,
}

impl Tunnel {
    pub fn passes(&mut self, side: Side, bytes: &[u8]) {
        match side {
            Side::Caller => self.from_caller.pass(bytes),
            Side::Upstream => self.from_upstream.pass(bytes),
        }
    }

    pub fn left(&mut self, side: Side) {
        self.left.get_or_insert(side);
    }

    /// Whether one of them said so before the connection ended (RFC 6455, 7.1.4).
    pub fn was_closed(&self) -> bool {
        self.from_caller.closed || self.from_upstream.closed
    }

    /// How it ended, when neither an error nor the gate ended it.
    pub fn end(&self) -> End {
        match self.left {
            _ if self.was_closed() => End::Complete,
            Some(Side::Caller) => End::ClientAbort,
            Some(Side::Upstream) => End::UpstreamError,
            None => End::Complete,
        }
    }
}

/// Walks from frame to frame in one direction.
#[derive(Debug, Default)]
struct Frames {
    /// The header of the next frame, as far as it came.
    header: [u8; HEADER_BYTES_MAX],
    have: usize,
    /// Bytes of the payload that are still to pass.
    payload: u64,
    closed: bool,
}

/// Two bytes, eight of a long length, four of a mask.
const HEADER_BYTES_MAX: usize = 14;

const CLOSE: u8 = 8;

impl Frames {
    fn pass(&mut self, mut bytes: &[u8]) {
        loop {
            let skip = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
            self.payload -= skip as u64;
            let Some((byte, rest)) = bytes.get(skip..).and_then(<[u8]>::split_first) else {
                return;
            };
            bytes = rest;
            if let Some(place) = self.header.get_mut(self.have) {
                *place = *byte;
                self.have += 1;
            }
            if self.have >= 2 && self.have >= self.header_bytes() {
                self.begin_payload();
            }
        }
    }

    fn header_bytes(&self) -> usize {
        let [_, second, ..] = self.header;
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        mask + match second & 0x7f {
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }

    fn begin_payload(&mut self) {
        let [first, second, ..] = self.header;
        let number = |bytes: usize| {
            let digits = self.header.iter().skip(2).take(bytes);
            digits.fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        self.payload = match second & 0x7f {
            126 => number(2),
            127 => number(8),
            short => u64::from(short),
        };
        self.have = 0;
        self.closed |= first & 0x0f == CLOSE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, mask: bool, payload: usize) -> Vec<u8> {
        let flag = if mask { 0x80 } else { 0 };
        let mut frame = vec![0x80 | opcode];
        match payload {
            0..126 => frame.push(flag + u8::try_from(payload).expect("short")),
            126..65_536 => {
                frame.push(flag + 126);
                frame.extend(u16::try_from(payload).expect("middle").to_be_bytes());
            }
            _ => {
                frame.push(flag + 127);
                frame.extend((payload as u64).to_be_bytes());
            }
        }
        frame.extend([9; 4].iter().take(if mask { 4 } else { 0 }));
        // Every byte of the payload would be a close frame's first.
        frame.extend(vec![0x88; payload]);
        frame
    }

    #[test]
    fn only_a_close_frame_closes_however_the_bytes_come() {
        let check = |frames: &[Vec<u8>], expected: bool| {
            for piece in [1, 3, 1000, usize::MAX] {
                let mut walk = Frames::default();
                frames.concat().chunks(piece).for_each(|bytes| walk.pass(bytes));
                assert_eq!(walk.closed, expected, "{} frames by {piece}", frames.len());
            }
        };
        for mask in [false, true] {
            let data: Vec<Vec<u8>> = [0, 1, 125, 126, 65_535, 65_536, 70_000]
                .iter()
                .flat_map(|payload| [frame(1, mask, *payload), frame(9, mask, 5)])
                .collect();
            check(&data, false);
            check(&[data, vec![frame(CLOSE, mask, 2)]].concat(), true);
            check(&[frame(CLOSE, mask, 0)], true);
        }
    }

    #[test]
    fn the_end_is_whoever_left_unless_it_was_closed() {
        let check = |close: Option<Side>, left: &[Side], expected: End| {
            let mut tunnel = Tunnel::default();
            if let Some(side) = close {
                tunnel.passes(side, &frame(CLOSE, side == Side::Caller, 2));
            }
            for side in left {
                tunnel.left(*side);
            }
            assert_eq!(tunnel.end(), expected);
        };
        check(None, &[Side::Caller, Side::Upstream], End::ClientAbort);
        check(None, &[Side::Upstream, Side::Caller], End::UpstreamError);
        check(Some(Side::Caller), &[Side::Upstream], End::Complete);
        check(Some(Side::Upstream), &[Side::Caller], End::Complete);
    }

    #[test]
    fn only_websocket_is_asked_for() {
        let check = |fields: &[(&'static str, &'static str)], expected: bool| {
            let mut head = RequestHeader::build("GET", b"/", None).expect("a head");
            for (name, value) in fields {
                head.append_header(*name, *value).expect("a field");
            }
            assert_eq!(asks(&head), expected, "{fields:?}");
            head.set_method(Method::POST);
            assert!(!asks(&head), "POST {fields:?}");
        };
        check(&[("upgrade", "websocket"), ("connection", "Upgrade")], true);
        check(&[("upgrade", "WebSocket"), ("connection", "keep-alive, upgrade")], true);
        let with = |field| [("upgrade", "websocket"), ("connection", "upgrade"), field];
        check(&with(("content-length", "0")), true);
        check(&with(("content-length", "1")), false);
        check(&with(("transfer-encoding", "chunked")), false);
        check(&[("upgrade", "websocket")], false);
        check(&[("upgrade", "websocket"), ("connection", "keep-alive")], false);
        check(&[("upgrade", "websocket, h2c"), ("connection", "upgrade")], false);
        check(&[("upgrade", "h2c"), ("connection", "upgrade, http2-settings")], false);
        let twice = [("upgrade", "websocket"), ("upgrade", "h2c"), ("connection", "upgrade")];
        check(&twice, false);
    }
}
