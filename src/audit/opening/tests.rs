//! What is written is read again, and nothing else does harm.

use super::*;
use crate::audit::tests::{bare, full};
use proptest::prelude::*;

fn encoded(opening: &Opening<'_>) -> Vec<u8> {
    let mut room = vec![0; 100_000];
    let mut writer = Writer::over(&mut room);
    opening.encode(&mut writer);
    writer.written().expect("room").to_vec()
}

fn round_trip(opening: &Opening<'_>) {
    let bytes = encoded(opening);
    let scopes = opening.scopes.iter().collect::<Vec<_>>().join(" ");
    let expected = Opening { scopes: Scopes::Joined(&scopes), ..*opening };
    assert_eq!(Opening::decode(&bytes), Some(expected));
}

#[test]
fn what_was_written_is_read() {
    round_trip(&Opening::of(&bare(1)));
    let record = full(2);
    round_trip(&Opening::of(&record));
    let unix = Endpoint::Unix("/run/upstream.sock");
    round_trip(&Opening { endpoint: Some(unix), ..Opening::of(&record) });
    let v6 = Endpoint::Inet(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 443).into());
    round_trip(&Opening { endpoint: Some(v6), ..Opening::of(&record) });
    let ip = Some([10, 0, 0, 1].into());
    for (peer_ip, source_ip) in [(ip, ip), (ip, None), (None, ip), (None, None)] {
        round_trip(&Opening { peer_ip, source_ip, ..Opening::of(&record) });
    }
    let path = format!("/{}", "x".repeat(65_534));
    round_trip(&Opening { path: &path, host: "é.example", ..Opening::of(&record) });
}

#[test]
fn what_is_cut_says_as_much_as_it_can() {
    let record = full(2);
    let bytes =
        encoded(&Opening { path: "/ä", scopes: Scopes::Joined(""), ..Opening::of(&record) });
    let check = |cut: usize, expected: Option<&str>| {
        let kept = bytes.get(..bytes.len() - cut).expect("long enough");
        assert_eq!(Opening::decode(kept).map(|opening| opening.path), expected, "{cut}");
    };
    check(0, Some("/ä"));
    check(1, Some("/"));
    check(2, Some("/"));
    check(3, Some(""));
    check(4, Some(""));
    check(bytes.len() - HEAD_BYTES, Some(""));
    check(bytes.len() - HEAD_BYTES + 1, None);
    check(bytes.len(), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Some(opening) = Opening::decode(&bytes) {
            prop_assert!(opening.path.len() <= bytes.len());
        }
    }
}
