//! `onegate quarantine`: take a part of its calls from a client for a while, and leave it the rest. In force when it
//! returns, told by a receipt; it ends by itself, or earlier with `--end`.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};

use super::control::Control;
use super::made;
use super::output::{Failure, Output};
use super::suspend::end_within;
use crate::admin::wire;
use crate::model::quarantine::LONGEST;

#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// Leave a client its reads, a rate, or all but some operations; over REST and MCP alike
    Client(Quarantine),
}

#[derive(Args, Debug)]
#[command(group(
    ArgGroup::new("kind").args(["reads_only", "rate", "operations", "end"]).required(true).multiple(true)
))]
pub struct Quarantine {
    id: String,
    /// Leave it calls that read: GET, HEAD, OPTIONS and QUERY
    #[arg(long, conflicts_with_all = ["rate", "operations"])]
    reads_only: bool,
    /// Leave it N calls a second, or N in a time (5/1m)
    #[arg(long, value_name = "N[/TIME]", conflicts_with = "operations")]
    rate: Option<String>,
    /// Leave it all but these operations
    #[arg(long = "operation", value_name = "API.OPERATION", num_args = 1..)]
    operations: Vec<String>,
    /// For how long (30m, 2h, 7d), 30 days at most
    #[arg(long = "for", value_name = "TIME", required_unless_present = "end")]
    time: Option<String>,
    /// End it now: all of it, or that of the operations named
    #[arg(long, conflicts_with_all = ["reads_only", "rate", "time"])]
    end: bool,
    #[arg(long)]
    reason: String,
}

impl QuarantineCommand {
    pub fn run(self, control: &Control<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
        let Self::Client(asked) = self;
        let Quarantine { id: client, reads_only, rate, operations, time, end: _, reason } = asked;
        let (change, done) = match time.as_deref() {
            // It is missing only where the end is asked for.
            None => {
                let done = format!("The quarantine of client '{client}' is ended.");
                let end = wire::EndQuarantine { client, operations, reason };
                (wire::Change::EndQuarantine(end), done)
            }
            Some(time) => {
                let until = end_within(time, SHORTEST..=LONGEST, "30d")?;
                let done = format!("Client '{client}' is in quarantine until {until}.");
                let new =
                    wire::NewQuarantine { client, reads_only, rate, operations, until, reason };
                (wire::Change::Quarantine(new), done)
            }
        };
        made::show(control.change(&change)?, &done, output)
    }
}

const SHORTEST: Duration = Duration::from_secs(1);
