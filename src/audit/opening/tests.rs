//! What is written is read again, and nothing else does harm.

use super::*;
use crate::audit::tests::{bare, full, message};
use crate::model::record::McpDetail;
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
fn a_message_keeps_all_but_how_it_went() {
    let check = |detail: McpDetail| {
        let surface = Surface::Mcp;
        let record = RequestRecord { surface, mcp: Some(Box::new(detail.clone())), ..full(2) };
        round_trip(&Opening::of(&record));
        let mut room = vec![0; 1000];
        let mut writer = Writer::over(&mut room);
        begin(&mut writer, (record.id, record.time, record.trace_id), surface, record.status);
        push_mcp(&mut writer, &detail);
        let opening = Opening::decode(writer.written().expect("room")).expect("an opening");
        assert_eq!(opening.mcp, McpTexts::of(&detail));
        assert_eq!(opening.surface, surface);
    };
    check(message());
    check(McpDetail::default());
    check(McpDetail { tool: None, ..message() });
    check(McpDetail { agent: Some("\u{10ffff}".repeat(32).into()), ..message() });
    check(McpDetail { rpc_id: Some("9".repeat(128).into()), agent: None, ..message() });
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
