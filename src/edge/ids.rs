//! Fresh identifiers: request ids, trace and span ids. From a fast generator per thread, whose seed is the
//! system's: they are unique, and no secrets.

use std::cell::RefCell;

use rand::rngs::SmallRng;
use rand::{RngCore, SeedableRng};

use crate::model::hex;
use crate::model::id::RequestId;
use crate::model::time::UnixMicros;

/// The id and the trace of a request that came `at` this time, perhaps with a `traceparent` field.
pub fn fresh(at: UnixMicros, traceparent: Option<&[u8]>) -> (RequestId, Trace) {
    let [a, b, c, d] = GENERATOR.with_borrow_mut(|rng| [(); 4].map(|()| rng.next_u64()));
    let both = |high: u64, low: u64| (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    let [random @ .., _, _, _, _, _, _] = both(a, b);
    // A span is unique within its trace only.
    let (trace_id, span_id) = (both(c, d), a.to_be_bytes());
    let id = RequestId::from_parts(u64::try_from(at.millis()).unwrap_or(0), random);
    // W3C Trace Context, 3.2: a valid field is continued, by a span of our own.
    let (trace_id, flags) = traceparent.and_then(parse).unwrap_or((trace_id, 0));
    (id, Trace { trace_id, span_id, flags })
}

thread_local! {
    static GENERATOR: RefCell<SmallRng> = RefCell::new(SmallRng::from_os_rng());
}

/// The W3C trace context of one request: the caller's trace when it sent a valid one, and a span
/// of our own.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    pub trace_id: [u8; 16],
    span_id: [u8; 8],
    flags: u8,
}

impl Trace {
    /// The same span, in the caller's trace where this field is valid.
    pub fn of(self, traceparent: &[u8]) -> Self {
        let Some((trace_id, flags)) = parse(traceparent) else { return self };
        Self { trace_id, flags, ..self }
    }

    /// Our `traceparent` for the upstream.
    pub fn to_traceparent(self) -> [u8; 55] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        hex::write(&self.trace_id, &mut text[3..35]);
        hex::write(&self.span_id, &mut text[36..52]);
        hex::write(&[self.flags], &mut text[53..55]);
        text
    }
}

/// Trace id and flags of a valid field of version 00.
fn parse(field: &[u8]) -> Option<([u8; 16], u8)> {
    let field: &[u8; 55] = field.try_into().ok()?;
    if field[..3] != *b"00-" || field[35] != b'-' || field[52] != b'-' {
        return None;
    }
    let mut trace_id = [0; 16];
    hex::read(&field[3..35], &mut trace_id)?;
    let mut parent = [0; 8];
    hex::read(&field[36..52], &mut parent)?;
    let mut flags = [0; 1];
    hex::read(&field[53..55], &mut flags)?;
    (trace_id != [0; 16] && parent != [0; 8]).then_some((trace_id, flags[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_trace_goes_on_and_others_begin() {
        let check = |field: &str, continued: bool| {
            let (_, trace) = fresh(UnixMicros(0), Some(field.as_bytes()));
            let sent = String::from_utf8(trace.to_traceparent().to_vec()).expect("ASCII");
            assert_eq!(sent.len(), 55);
            let same = field.len() >= 36 && sent.as_bytes()[..36] == field.as_bytes()[..36];
            assert_eq!(same, continued, "{field} -> {sent}");
            assert_ne!(sent, field, "a span of our own");
        };
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true);
        check("00-00000000000000000000000000000000-b7ad6b7169203331-01", false);
        check("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false);
        check("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false);
        check("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false);
        check("junk", false);
    }
}
