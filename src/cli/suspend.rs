//! `onegate suspend` and `onegate resume`: stop a client or a credential for a while. In force when
//! it returns, told by a receipt; `--for` ends by itself.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::Exit;
use super::control::Control;
use super::made;
use super::output::{Failure, Output};
use crate::admin::wire;
use crate::clock;
use crate::config::duration;
use crate::model::time::UnixMicros;

#[derive(Debug, Subcommand)]
pub enum SuspendCommand {
    /// Suspend a client and with it all its credentials
    Client(Suspend),
    /// Suspend one credential
    Credential(Suspend),
}

#[derive(Args, Debug)]
pub struct Suspend {
    id: String,
    /// For how long (30m, 2h, 7d); without it, until it is resumed
    #[arg(long = "for", value_name = "TIME")]
    time: Option<String>,
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Subcommand)]
pub enum ResumeCommand {
    /// Let a client call again
    Client(Resume),
    /// Let a credential be used again
    Credential(Resume),
}

#[derive(Args, Debug)]
pub struct Resume {
    id: String,
    #[arg(long)]
    reason: Option<String>,
}

impl SuspendCommand {
    pub fn run(self, control: &Control<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
        let (what, Suspend { id, time, reason }, target): (_, _, Target) = match self {
            Self::Client(suspend) => ("Client", suspend, wire::Suspendable::Client),
            Self::Credential(suspend) => ("Credential", suspend, wire::Suspendable::Credential),
        };
        let until = time.as_deref().map(end).transpose()?;
        let until_told = until.as_deref().unwrap_or("it is resumed");
        let done = format!("{what} '{id}' is suspended until {until_told}.");
        let suspend = wire::Suspend { target: target(id), until, reason };
        made::show(control.change(&wire::Change::Suspend(suspend))?, &done, output)
    }
}

impl ResumeCommand {
    pub fn run(self, control: &Control<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
        let (what, Resume { id, reason }, target): (_, _, Target) = match self {
            Self::Client(resume) => ("Client", resume, wire::Suspendable::Client),
            Self::Credential(resume) => ("Credential", resume, wire::Suspendable::Credential),
        };
        let done = format!("{what} '{id}' is resumed.");
        let resume = wire::Resume { target: target(id), reason };
        made::show(control.change(&wire::Change::Resume(resume))?, &done, output)
    }
}

type Target = fn(String) -> wire::Suspendable;

/// When a suspension ends that begins now.
fn end(text: &str) -> Result<String, Failure> {
    end_within(text, SHORTEST..=LONGEST, "366d")
}

/// When something ends that begins now and lasts from a second to `longest`.
pub(super) fn end_within(
    text: &str,
    times: RangeInclusive<Duration>,
    longest: &str,
) -> Result<String, Failure> {
    let usage = |detail: String| Failure::plain(Exit::Usage, detail);
    let time = duration(text).filter(|time| times.contains(time));
    let time = time.ok_or_else(|| {
        usage(format!("'{text}' is not a time from 1s to {longest}, such as 30m, 2h or 7d"))
    })?;
    let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    Ok(UnixMicros(clock::wall().0.saturating_add(micros)).to_string())
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(366 * 24);
