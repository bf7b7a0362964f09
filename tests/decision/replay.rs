//! Whatever was decided is found again from what a record holds of it: `audit explain` never says that a
//! record was made by other rules than it was. Every row of every table here goes through it.

use onegate::model::denial::{Denial, Refusal};
use onegate::model::id::{ClientId, ProductName};
use onegate::model::record::Caller;
use onegate::model::snapshot::Snapshot;
use onegate::request::explain::Teller;
use onegate::request::identify::Presented;
use onegate::request::replay::{Outcome, Recalled, Recorded, Verdict, compare, replay};
use onegate::request::{Ask, Seen};

use super::now;

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
