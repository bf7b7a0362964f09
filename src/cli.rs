//! The command line: parses, asks the parts below, shows their answers. It decides nothing.

pub mod audit;
pub mod check;
pub mod client;
pub mod connect;
pub mod control;
pub mod credential;
pub mod demo;
pub mod explain;
pub mod gate;
pub mod grant;
pub mod inventory;
mod made;
mod offline;
pub mod output;
pub mod parity;
pub mod profile;
pub mod quarantine;
mod reconcile;
mod replay;
pub mod revoke;
mod rotate_key;
mod rows;
pub mod run;
pub mod suspend;
#[cfg(test)]
mod tests;
mod tools;
mod verify;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::control::Control;
use self::gate::User;
use self::output::{Failure, Format, Output};
use crate::clock;
use crate::server::Source;

/// One gate for REST and AI traffic: identity, scopes, limits, audit and revocation in one path.
#[derive(Debug, Parser)]
#[command(name = "onegate", version)]
struct Cli {
    /// The config file
    #[arg(short, long, global = true, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
    /// The data directory [default: the config's, else /var/lib/onegate]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Answer with one JSON value per line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

const DEFAULT_CONFIG: &str = "/etc/onegate/gateway.toml";

#[derive(Debug, Subcommand)]
enum Command {
    /// Try it: a sample API, the gate and two clients, ready to paste
    Demo(demo::DemoArgs),
    /// Run the gate; SIGHUP reloads, SIGTERM and SIGQUIT drain, SIGINT ends at once
    Run,
    /// Show every problem of the config, with its place and a fix
    Check,
    /// Tell, step by step, how a client would fare with a call
    Explain(explain::ExplainArgs),
    /// Prove that REST and MCP are decided alike, client by client and operation by operation
    Parity(parity::ParityArgs),
    /// Who called what, and was it allowed
    #[command(subcommand)]
    Audit(AuditCommand),
    #[command(flatten)]
    Control(ControlCommand),
}

/// Of the audit.
#[derive(Debug, Subcommand)]
enum AuditCommand {
    #[command(flatten)]
    Read(Box<audit::Command>),
    /// Have the audit signed with another key from now on; both keys sign that
    RotateKey(rotate_key::RotateKeyArgs),
}

/// Commands that go to the running gate, or to the store beside it.
#[derive(Debug, Subcommand)]
enum ControlCommand {
    /// Have the running gate load its config again; on any problem the old one stays
    Reload,
    /// Who calls
    #[command(subcommand)]
    Client(client::ClientCommand),
    /// Under which terms a client's credentials call
    #[command(subcommand)]
    Profile(profile::ProfileCommand),
    /// Which product is given to whom
    #[command(subcommand)]
    Grant(grant::GrantCommand),
    /// How callers prove to be a client
    #[command(subcommand)]
    Credential(credential::CredentialCommand),
    /// End a client, profile or credential for good
    #[command(subcommand)]
    Revoke(revoke::RevokeCommand),
    /// Stop a client or credential for a while; resuming gives it back as it was
    #[command(subcommand)]
    Suspend(suspend::SuspendCommand),
    /// Let a suspended client or credential call again
    #[command(subcommand)]
    Resume(suspend::ResumeCommand),
    /// Take a part of its calls from a client for a while; it ends by itself
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    /// Many clients at once, from a file
    #[command(subcommand)]
    Inventory(inventory::InventoryCommand),
}

/// How a command ended: the exit codes of INTERFACES.md 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    Done,
    ProblemFound,
    Usage,
    NotDone,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::ProblemFound => 1,
            Exit::Usage => 2,
            Exit::NotDone => 3,
        })
    }
}

/// The whole program. Usage errors end it in the parser, with exit code 2.
pub fn main() -> ExitCode {
    let quiet = "warn,onegate=info,pingora_proxy=error,pingora_core=error";
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(quiet)).init();
    let cli = Cli::parse();
    let mut out = io::stdout().lock();
    match cli.run(&mut out) {
        Ok(exit) => exit.into(),
        Err(failure) if failure.exit == Exit::Done => Exit::Done.into(),
        Err(failure) => {
            // Where nobody can read it, the exit code still tells.
            writeln!(io::stderr(), "{failure}").ok();
            failure.exit.into()
        }
    }
}

impl Cli {
    fn run(self, out: &mut dyn Write) -> Result<Exit, Failure> {
        let format = if self.json { Format::Json } else { Format::Human };
        let source = Source { path: self.config, data_dir: self.data_dir };
        let mut output = Output { format, out };
        let done = match self.command {
            Command::Audit(AuditCommand::Read(command)) => {
                return audit(&command, &source, &mut output);
            }
            Command::Audit(AuditCommand::RotateKey(args)) => {
                with_control(&source, |control| args.run(control, &mut output))
            }
            Command::Run => run::run(source, &mut output),
            Command::Demo(args) => args.run(source.data_dir, &mut output),
            Command::Check => check::run(&source, &mut output),
            Command::Explain(args) => args.run(&source, &mut output),
            Command::Parity(args) => args.run(&source, &mut output),
            Command::Control(command) => {
                with_control(&source, |control| command.run(control, &source, &mut output))
            }
        };
        done.map(|()| Exit::Done)
    }
}

impl ControlCommand {
    fn run(
        self,
        control: &Control<'_>,
        source: &Source,
        output: &mut Output<'_>,
    ) -> Result<(), Failure> {
        match self {
            Self::Client(command) => command.run(control, source, output),
            Self::Profile(command) => command.run(control, output),
            Self::Grant(command) => command.run(control, output),
            Self::Credential(command) => command.run(control, output),
            Self::Revoke(command) => command.run(control, output),
            Self::Suspend(command) => command.run(control, output),
            Self::Resume(command) => command.run(control, output),
            Self::Quarantine(command) => command.run(control, output),
            Self::Inventory(command) => command.run(control, output),
            Self::Reload => {
                let reloaded = control.reload()?;
                match output.format {
                    Format::Json => output.json(&reloaded),
                    Format::Human => Ok(writeln!(output.out, "{}", reloaded.message)?),
                }
            }
        }
    }
}

/// Acts through the running gate, or beside the store.
fn with_control(
    source: &Source,
    act: impl FnOnce(&Control<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let data_dir = data_dir(source)?;
    let beside = || offline::open(source, &data_dir);
    act(&Control::find(&runtime, &data_dir, User::of_environment(), &beside)?)
}

fn audit(
    command: &audit::Command,
    source: &Source,
    output: &mut Output<'_>,
) -> Result<Exit, Failure> {
    let data_dir = data_dir(source)?;
    let format = match output.format {
        Format::Human => audit::Format::Table,
        Format::Json => audit::Format::Json,
    };
    let (now, mut err) = (clock::wall(), io::stderr());
    let place = replay::Place { data_dir: &data_dir, config: &source.path };
    Ok(audit::run(command, place, format, now, &mut output.out, &mut err))
}

/// The directory that is named, else the config's. A config with problems is told, rather than
/// another gate's directory taken.
fn data_dir(source: &Source) -> Result<PathBuf, Failure> {
    if let Some(data_dir) = &source.data_dir {
        return Ok(data_dir.clone());
    }
    let loaded = source.load().map_err(|problems| Failure::config(&problems))?;
    Ok(loaded.policy.server.data_dir)
}
