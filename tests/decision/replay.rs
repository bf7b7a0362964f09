//! Whatever was decided is found again from what a record holds of it: `audit explain` never says that a
//! record was made by other rules than it was. Every row of every table here goes through it.

use onegate::model::denial::{Denial, Refusal};
use onegate::model::id::{ClientId, CredentialId, ProductName};
use onegate::model::key::ClaimedKey;
use onegate::model::record::Caller;
use onegate::model::snapshot::Snapshot;
use onegate::request::explain::Teller;
use onegate::request::identify::Presented;
use onegate::request::replay::{Asked, Outcome, Recalled, Recorded, Verdict, compare, replay};
use onegate::request::{Ask, Seen};

use super::{World, now};

/// Replays a call from its record, and expects that it agrees, or says why it cannot.
pub fn expect_same(
    snapshot: &Snapshot,
    ask: &Ask<'_>,
    seen: &Seen,
    verdict: Result<&str, &Refusal>,
) {
    let outcome = verdict.map_or_else(|r| Outcome::Denied(r.denial), |_| Outcome::Allowed);
    let client = seen.caller.as_ref().and_then(Caller::client);
    let credential = seen.caller.as_ref().and_then(Caller::credential_id);
    let Ask { method, host, path, source_ip, .. } = *ask;
    let no_fields = http::HeaderMap::new();
    let call = Recorded {
        ask: Ask {
            method,
            host,
            path,
            presented: Presented::default(),
            body_bytes: None,
            body_may_follow: false,
            source_ip,
            fields: &no_fields,
        },
        caller: Recalled::of(client.map(ClientId::as_str), credential, outcome),
        outcome,
        api: seen.api.as_ref().map(|api| api.name.as_str()),
        operation: seen.operation.as_ref().map(|operation| operation.id.as_str()),
        product: seen.product.as_ref().map(ProductName::as_str),
        asked: Asked::Api,
    };
    let mut teller = Teller::default();
    let replayed = replay(snapshot, &call, now(), &mut teller);
    let found = compare(&call, &replayed);
    let may_be_stuck = match outcome {
        Outcome::Denied(denial) => matches!(
            denial,
            Denial::CredentialMissing
                | Denial::CredentialInvalid
                | Denial::CredentialConflict
                | Denial::PolicyRefused
                | Denial::BodyTooLarge
                // Of a rate.
                | Denial::Quarantined
        ),
        Outcome::Allowed | Outcome::Withdrawn | Outcome::Broken | Outcome::Unknown => {
            verdict.is_ok_and(|allowed| allowed.starts_with("preflight"))
        }
    };
    let told = format!("{call:?}\n{replayed:?}\n{:?}", teller.steps);
    match found {
        Verdict::Agrees | Verdict::AgreesBeforeLimits => {}
        Verdict::NotReplayed(_) => assert!(may_be_stuck, "not replayed: {told}"),
        Verdict::Differs => panic!("differs: {told}"),
    }
}

/// What the gate answers itself takes a client that may call, and nothing else.
#[test]
fn a_message_to_the_gate_is_replayed_by_who_sent_it() {
    let world = World::new();
    let credential = |client: &str| -> CredentialId {
        ClaimedKey::parse(world.key(client).as_bytes()).expect("a key").id
    };
    let check = |caller: Recalled, outcome: Outcome, expected: Verdict, words: &str| {
        let no_fields = http::HeaderMap::new();
        let call = Recorded {
            ask: Ask {
                method: "POST",
                host: "api.example.com",
                path: "/mcp",
                presented: Presented::default(),
                body_bytes: None,
                body_may_follow: false,
                source_ip: None,
                fields: &no_fields,
            },
            caller,
            outcome,
            api: Some("mcp"),
            operation: Some("mcp.tools/list"),
            product: None,
            asked: Asked::Gate,
        };
        let mut teller = Teller::default();
        let replayed = replay(&world.snapshot, &call, now(), &mut teller);
        let told = format!("{call:?}\n{replayed:?}\n{:?}", teller.steps);
        assert_eq!(compare(&call, &replayed), expected, "{told}");
        assert!(told.contains(words) && told.contains("mcp.tools/list"), "{words}: {told}");
    };
    let by = |client| Recalled::Proved(credential(client));
    let denied = Outcome::Denied;
    // It has no grant at all.
    check(by("lapsed"), Outcome::Allowed, Verdict::Agrees, "no grant is needed");
    check(by("slow"), Outcome::Allowed, Verdict::Agrees, "plan slow: its rates hold here too");
    check(by("good"), Outcome::Withdrawn, Verdict::Agrees, "no plan: not limited");
    let limited = denied(Denial::RateLimited);
    check(by("slow"), limited, Verdict::AgreesBeforeLimits, "plan slow");
    check(by("planless"), Outcome::Allowed, Verdict::Differs, "plan is not in the config");
    check(by("revoked"), Outcome::Allowed, Verdict::Differs, "the client is revoked");
    let invalid = denied(Denial::CredentialInvalid);
    check(by("revoked"), invalid, Verdict::Agrees, "the client is revoked");
    check(by("good"), invalid, Verdict::NotReplayed(MESSAGE), "all in force");
    let suspended = denied(Denial::ClientSuspended);
    check(by("suspended"), suspended, Verdict::Agrees, "the client is suspended");
    let unknown = Recalled::Unproved(CredentialId::parse("zzzzzzzzzzzz"));
    check(unknown, invalid, Verdict::Agrees, "no such key");
    let missing = denied(Denial::CredentialMissing);
    check(Recalled::Unproved(None), missing, Verdict::NotReplayed(SENT), "identify");
    let message = Verdict::NotReplayed(MESSAGE);
    check(by("good"), denied(Denial::NotFound), message, "all in force");
    check(by("good"), denied(Denial::PolicyRefused), message, "all in force");
    let repeated = Verdict::NotReplayed("how often such calls had failed before");
    check(by("good"), denied(Denial::RepeatedCall), repeated, "all in force");
    // There was no quarantine.
    check(by("good"), denied(Denial::Quarantined), Verdict::Differs, "all in force");
    let malformed = denied(Denial::MalformedRequest);
    let bytes = Verdict::NotReplayed("the bytes of the message");
    check(by("good"), malformed, bytes, "all in force");
    let foreign = Verdict::NotReplayed(SENT);
    check(Recalled::Nobody, denied(Denial::PolicyRefused), foreign, "identify");
}

const MESSAGE: &str = "the message and its header fields";
const SENT: &str = "what was sent as a credential, if anything";
