//! `onegate audit`: the log read from its files, whether a gate runs
//! or not.

use std::io::{self, BufWriter, ErrorKind, Write};
use std::num::NonZeroU64;
use std::path::Path;
use std::time::Duration;

use crate::audit;
use crate::audit::completeness::Completeness;
use crate::audit::filter::{
    ClientFilter, Code, Decision, Filter, IpFilter, PathFilter, RecordId, StatusFilter,
    parse_credential, parse_surface,
};
use crate::audit::line::Line;
use crate::audit::period::{Moment, Month, Period, PeriodError, Zone};
use crate::audit::query::{ScanError, scan};
use crate::audit::render::{Header, Row};
use crate::audit::tail::Tail;
use crate::model::id::{ApiName, CredentialId, UpstreamName};
use crate::model::record::Surface;
use crate::model::time::UnixMicros;

use super::Exit;
use super::reconcile::ReconcileArgs;
use super::replay::{Place, ReplayArgs};
use super::verify::VerifyArgs;

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show the records that meet all conditions, oldest first, and say how complete they are
    Query(Conditions),
    /// Show records as they are written, until interrupted
    Tail(Conditions),
    /// Check the whole log against its proof, offline, and name every place that was changed
    Verify(VerifyArgs),
    /// Show one record, and replay its decision with the config and the inventory of its moment
    Explain(ReplayArgs),
    /// Compare an upstream's access log with the records, by X-Request-Id, both ways
    Reconcile(ReconcileArgs),
}

#[derive(Debug, clap::Args)]
pub struct Conditions {
    /// Not before: 2026-03-01, 2026-03-01T12:00, 2026-03-01T12:00:00+01:00, -15m or '2h ago'
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<Moment>,
    /// Before, exclusive: a date means its beginning
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<Moment>,
    /// One calendar month: 2026-03
    #[arg(long, conflicts_with_all = ["from", "to"])]
    month: Option<Month>,
    /// Whose clocks show --from, --to and --month: Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    tz: Option<Zone>,
    /// A client's id, or _anonymous
    #[arg(long, value_name = "ID")]
    client: Option<ClientFilter>,
    /// A credential's id
    #[arg(long, value_name = "ID", value_parser = parse_credential)]
    credential: Option<CredentialId>,
    /// An operation's id: payments.get_payment
    #[arg(long, value_name = "ID")]
    operation: Option<Box<str>>,
    #[arg(long, value_name = "NAME", value_parser = ApiName::parse)]
    api: Option<ApiName>,
    /// This path and all below it, by whole segments
    #[arg(long)]
    path: Option<PathFilter>,
    /// rest or admin
    #[arg(long, value_parser = parse_surface)]
    surface: Option<Surface>,
    /// allowed or denied
    #[arg(long)]
    decision: Option<Decision>,
    /// The code of a denial or failure: rate_limited
    #[arg(long, value_name = "CODE")]
    denial: Option<Code>,
    /// 403, or 4xx
    #[arg(long)]
    status: Option<StatusFilter>,
    #[arg(long, value_name = "NAME", value_parser = UpstreamName::parse)]
    upstream: Option<UpstreamName>,
    /// An address or a network; of the peer or of the source
    #[arg(long)]
    ip: Option<IpFilter>,
    /// A request's id, as in X-Request-Id
    #[arg(long)]
    id: Option<RecordId>,
    /// Stop after so many records
    #[arg(long, value_name = "RECORDS")]
    limit: Option<NonZeroU64>,
}

/// How records are shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    Table,
    /// Each line as it is stored.
    Json,
}

/// Rows go to `out`; the sentence on completeness, and errors, to `err`.
pub fn run(
    command: &Command,
    place: Place<'_>,
    format: Format,
    now: UnixMicros,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Exit {
    let data_dir = place.data_dir;
    let directory = audit::directory(data_dir);
    let ended = match command {
        Command::Query(conditions) => query(conditions, &directory, format, now, out),
        Command::Tail(conditions) => tail(conditions, &directory, format, now, out).map(|()| None),
        Command::Verify(args) => return args.run(data_dir, format, out, err),
        Command::Explain(args) => return args.run(place, format, out, err),
        Command::Reconcile(args) => return args.run(data_dir, format, out, err),
    };
    let (exit, told) = match ended {
        Ok(None) => return Exit::Done,
        Ok(Some(found)) if found.is_sound() => (Exit::Done, found.to_string()),
        Ok(Some(found)) => (Exit::ProblemFound, found.to_string()),
        // Whoever read the rows has read enough.
        Err(Failed::Show(error)) if error.kind() == ErrorKind::BrokenPipe => return Exit::Done,
        Err(Failed::Show(error)) => (Exit::NotDone, format!("error: {error}")),
        Err(Failed::Read(error)) => (Exit::NotDone, format!("error: {error}")),
        Err(Failed::Period(error)) => (Exit::Usage, format!("error: {error}")),
    };
    // Where nobody can read it, the exit code still tells.
    writeln!(err, "{told}").unwrap_or_default();
    exit
}

fn query(
    conditions: &Conditions,
    directory: &Path,
    format: Format,
    now: UnixMicros,
    out: &mut impl Write,
) -> Result<Option<Completeness>, Failed> {
    let filter = conditions.filter(now)?;
    let mut rows = BufWriter::new(out);
    format.header(&mut rows)?;
    let visit = |line: &Line<'_>, bytes: &[u8]| format.row(&mut rows, line, bytes);
    let found = scan(directory, &filter, conditions.limit.map(NonZeroU64::get), visit)?;
    rows.flush()?;
    Ok(Some(found))
}

#[expect(clippy::disallowed_methods, reason = "a file that grows can only be looked at again")]
fn tail(
    conditions: &Conditions,
    directory: &Path,
    format: Format,
    now: UnixMicros,
    out: &mut impl Write,
) -> Result<(), Failed> {
    let filter = conditions.filter(now)?;
    let mut tail = Tail::at_end(directory)?;
    let mut left = conditions.limit.map_or(u64::MAX, NonZeroU64::get);
    let mut rows = BufWriter::new(out);
    format.header(&mut rows)?;
    loop {
        tail.poll(&filter, |line, bytes| {
            let shown = left > 0;
            left = left.saturating_sub(1);
            if shown { format.row(&mut rows, line, bytes) } else { Ok(()) }
        })?;
        rows.flush()?;
        if left == 0 {
            return Ok(());
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

impl Conditions {
    fn filter(&self, now: UnixMicros) -> Result<Filter, PeriodError> {
        let zone = self.tz.clone().unwrap_or_default();
        let period = match self.month {
            Some(month) => Period::month(month, &zone)?,
            None => Period::between(self.from.as_ref(), self.to.as_ref(), &zone, now)?,
        };
        Ok(Filter {
            period,
            client: self.client.clone(),
            credential: self.credential,
            operation: self.operation.clone(),
            api: self.api.clone(),
            path: self.path.clone(),
            surface: self.surface,
            decision: self.decision,
            denial: self.denial,
            status: self.status,
            upstream: self.upstream.clone(),
            ip: self.ip,
            id: self.id.clone(),
        })
    }
}

impl Format {
    fn header(self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Table => writeln!(out, "{Header}"),
            Self::Json => Ok(()),
        }
    }

    fn row(self, out: &mut impl Write, line: &Line<'_>, stored: &[u8]) -> io::Result<()> {
        match self {
            Self::Table => writeln!(out, "{}", Row(line)),
            Self::Json => out.write_all(stored).and_then(|()| out.write_all(b"\n")),
        }
    }
}

enum Failed {
    Period(PeriodError),
    Read(ScanError),
    Show(io::Error),
}

impl From<PeriodError> for Failed {
    fn from(error: PeriodError) -> Self {
        Self::Period(error)
    }
}

impl From<ScanError> for Failed {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Visit(error) => Self::Show(error),
            ScanError::Read { .. } => Self::Read(error),
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Show(error)
    }
}

/// Between two looks of `tail`.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::{Directory, SETTINGS, request, write_sample};
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    fn ask(words: &[&str], format: Format, data_dir: &Path) -> (Exit, String, String) {
        let line = Line::try_parse_from([&["audit"], words].concat()).expect("parses");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let now = UnixMicros::from_seconds(1_772_370_000);
        let place = Place { data_dir, config: Path::new("/nowhere") };
        let exit = run(&line.command, place, format, now, &mut out, &mut err);
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (exit, text(out), text(err))
    }

    #[test]
    fn every_bad_condition_names_its_flag() {
        let check = |flag: &str, value: &str, expected: &str| {
            let parsed = Line::try_parse_from(["audit", "query", flag, value]);
            let error = parsed.expect_err(value).to_string();
            assert!(error.contains(flag) && error.contains(expected), "{error}");
        };
        check("--from", "soon", "not a time");
        check("--to", "15m", "-15m or '15m ago'");
        check("--month", "March", "write 2026-03");
        check("--tz", "Mars/Base", "Europe/Berlin");
        check("--client", "Mobile", "lower-case");
        check("--credential", "short", "not a credential's id");
        check("--api", "a b", "may hold only");
        check("--path", "api", "starts with '/'");
        check("--surface", "soap", "rest, admin");
        check("--decision", "maybe", "allowed, denied");
        check("--denial", "rate_limit", "rate_limited");
        check("--status", "99", "403 or 4xx");
        check("--status", "6xx", "403 or 4xx");
        check("--upstream", "_", "must start");
        check("--ip", "10.0.0", "not an address");
        check("--id", "7", "X-Request-Id");
        check("--limit", "0", "'--limit <RECORDS>'");
    }

    #[test]
    fn contradictions_are_usage_errors() {
        let month = ["audit", "query", "--month", "2026-03", "--from", "-1h"];
        assert!(Line::try_parse_from(month).is_err());
        let words = ["query", "--from", "2026-03-02", "--to", "2026-03-01"];
        let (exit, out, err) = ask(&words, Format::Json, Path::new("/nowhere"));
        assert_eq!((exit, out.as_str()), (Exit::Usage, ""));
        assert_eq!(err, "error: --from must be before --to\n");
    }

    #[test]
    fn a_missing_log_is_told() {
        for command in ["query", "tail"] {
            let (exit, _, err) = ask(&[command], Format::Json, Path::new("/nowhere"));
            assert_eq!(exit, Exit::NotDone);
            assert!(err.starts_with("error: cannot read the audit log: /nowhere/audit: "), "{err}");
        }
    }

    #[test]
    fn rows_and_the_sentence_go_separate_ways() {
        let directory = Directory::new();
        write_sample(&directory.path().join("audit"));
        let check = |words: &[&str], format, rows: usize, expected: &str| {
            let (exit, out, err) = ask(words, format, directory.path());
            assert_eq!((exit, out.lines().count(), err.as_str()), (Exit::Done, rows, expected));
            out
        };
        let all = "Found 3 among 3 records, in 1 file of 1 boot; no number is missing.\n";
        let json = check(&["query"], Format::Json, 3, all);
        assert!(json.lines().all(|line| line.starts_with("{\"v\":1,") && line.ends_with('}')));
        let table = check(&["query", "--tz", "Europe/Berlin"], Format::Table, 4, all);
        assert!(table.starts_with("TIME "));
        check(
            &["query", "--from", "2026-03-01", "--surface", "rest", "--limit", "1"],
            Format::Json,
            1,
            "Found 1 among 1 record, in 1 file of 1 boot; stopped at --limit, there may be more; no \
             number is missing.\n",
        );
        check(
            &["query", "--from", "-2h", "--path", "/api/payments", "--ip", "203.0.113.0/24"],
            Format::Json,
            1,
            "Found 1 among 3 records, in 1 file of 1 boot; no number is missing.\n",
        );
    }

    #[test]
    fn a_tail_shows_what_is_written_while_it_looks() {
        let directory = Directory::new();
        let path = audit::directory(directory.path());
        let (log, recorder) =
            audit::open(&path, directory.path(), SETTINGS, "node-1", |_| ()).expect("opens");
        let look = || ask(&["tail", "--limit", "3"], Format::Json, directory.path());
        let (exit, out, err) = std::thread::scope(|scope| {
            let looking = scope.spawn(look);
            while !looking.is_finished() {
                log.reserve().expect("room").complete(request(1));
                log.flush(Duration::from_mins(1)).expect("written");
            }
            looking.join().expect("no panic")
        });
        assert_eq!((exit, out.lines().count(), err.as_str()), (Exit::Done, 3, ""));
        recorder.close().expect("closes");
    }
}
