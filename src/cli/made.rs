//! How a change that was made is told: keys once, receipts, counts.

use super::output::{Failure, Format, Head, Output};
use crate::admin::wire::{IssuedKey, Made, Outcome, Receipt, Revision};

/// Prints the outcome; `done` says in words what was done. A warning comes last, as a problem.
pub fn show(made: Made, done: &str, output: &mut Output<'_>) -> Result<(), Failure> {
    match output.format {
        Format::Human => human(&made.outcome, done, output)?,
        Format::Json => json(&made, output)?,
    }
    made.warning.map_or(Ok(()), |warning| Err(Failure::problem_found(warning)))
}

fn json(made: &Made, output: &mut Output<'_>) -> Result<(), Failure> {
    match &made.outcome {
        Outcome::Done => output.json(&Revision { revision: made.revision }),
        Outcome::Issued(keys) | Outcome::Applied { keys, .. } => {
            keys.iter().try_for_each(|key| output.json(key))
        }
        Outcome::Stopped(receipt) | Outcome::Limited(receipt) => output.json(receipt),
    }
}

fn human(outcome: &Outcome, done: &str, output: &mut Output<'_>) -> Result<(), Failure> {
    output.line(done)?;
    match outcome {
        Outcome::Done => Ok(()),
        Outcome::Issued(keys) => keys.iter().try_for_each(|key| show_key(key, output)),
        Outcome::Applied { added, unchanged, keys } => {
            output.line(&format!("Clients added: {added}, there already: {unchanged}."))?;
            keys.iter().try_for_each(|key| show_key(key, output))
        }
        Outcome::Stopped(receipt) => show_receipt(receipt, "credentials stopped", output),
        Outcome::Limited(receipt) => show_receipt(receipt, "holds for credentials", output),
    }
}

fn show_key(key: &IssuedKey, output: &mut Output<'_>) -> Result<(), Failure> {
    let secret = &key.key.0;
    let mut fields = vec![
        ("client", key.client.clone()),
        ("profile", key.profile.clone()),
        ("credential", key.credential.clone()),
    ];
    fields.extend(key.holder.clone().map(|holder| ("holder", holder)));
    fields.extend(key.expires.clone().map(|expires| ("expires", expires)));
    fields.push(("key", secret.clone()));
    output.line("")?;
    output.fields(&fields)?;
    output.line("")?;
    output.line("The key is shown this once; the gate keeps only its hash.")?;
    match &key.url {
        Some(url) => output.line(&format!("Try it:\n  curl -H 'X-API-Key: {secret}' {url}")),
        None => Ok(()),
    }
}

fn show_receipt(
    receipt: &Receipt,
    of_credentials: &'static str,
    output: &mut Output<'_>,
) -> Result<(), Failure> {
    let credentials = match &*receipt.credentials {
        [] => "none could still be used".into(),
        some => some.join(" "),
    };
    output.fields(&[
        (of_credentials, credentials),
        ("requests ended", receipt.requests_ended.to_string()),
        ("streams ended", receipt.streams_ended.to_string()),
        ("in force after", format!("{} µs", receipt.enforced_us)),
    ])?;
    if receipt.last_calls.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let calls = receipt.last_calls.iter().map(|call| {
        let status = call.status.map_or_else(|| "-".into(), |status| status.to_string());
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        vec![call.time.clone(), or_dash(&call.operation), status, or_dash(&call.source)]
    });
    output.table(LAST_CALL, calls)
}

const LAST_CALL: Head = Head(&["LAST CALLS", "OPERATION", "STATUS", "SOURCE"]);
