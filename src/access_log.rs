//! The access log: one line of JSON for each request, for the tools that read nginx's today.
//!
//! It is a convenience and no proof: the audit is the record. So it must never hold the gate back: lines
//! wait in a bounded buffer, a thread of its own writes them, and what does not fit is dropped and counted.

mod line;
mod writer;

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use prometheus::IntCounter;

use crate::model::policy::{AccessLogPath, AccessLogSettings};
use crate::model::record::RequestRecord;

use self::line::Seconds;
use self::writer::Writer;

/// Lines of requests, on their way to a file or standard output.
#[derive(Debug)]
pub struct AccessLog {
    shared: Arc<Shared>,
    thread: Mutex<Option<Thread>>,
}

#[derive(Debug)]
struct Thread {
    thread: JoinHandle<()>,
    ended: Receiver<Infallible>,
}

/// The recorder's side: turns records into lines.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    seconds: Seconds,
}

#[derive(Debug)]
struct Shared {
    /// Whether there is somewhere to write to.
    is_on: AtomicBool,
    waiting: Mutex<Waiting>,
    /// The place that lines go to from now on, until the writer has taken it over.
    next: Mutex<Option<Place>>,
    settings: Mutex<Option<AccessLogSettings>>,
    closing: AtomicBool,
    dropped: IntCounter,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    bytes_max: usize,
}

/// Where lines go.
#[derive(Debug)]
enum Place {
    Nowhere,
    File(File),
}

impl AccessLog {
    /// Starts with nowhere to write to. `dropped` counts lines that did not fit.
    pub fn start(dropped: IntCounter) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            is_on: AtomicBool::new(false),
            waiting: Mutex::default(),
            next: Mutex::default(),
            settings: Mutex::default(),
            closing: AtomicBool::new(false),
            dropped,
        });
        let writer = Writer::new(Arc::clone(&shared));
        let (at_end, ended) = mpsc::sync_channel(0);
        let work = move || {
            writer.run();
            drop(at_end);
        };
        let thread = thread::Builder::new().name("onegate-access".into()).spawn(work)?;
        Ok(Self { shared, thread: Mutex::new(Some(Thread { thread, ended })) })
    }

    pub fn feed(&self) -> Feed {
        Feed { shared: Arc::clone(&self.shared), seconds: Seconds::default() }
    }

    /// Takes on what the config says. A file that cannot be opened changes nothing. Must not run on
    /// a worker thread.
    pub fn adopt(&self, settings: Option<&AccessLogSettings>) -> io::Result<()> {
        if lock(&self.shared.settings).as_ref() == settings {
            return Ok(());
        }
        let place = open(settings)?;
        lock(&self.shared.waiting).bytes_max =
            settings.map_or(0, |settings| settings.buffer_bytes_max);
        *lock(&self.shared.settings) = settings.cloned();
        self.go_on_at(place);
        Ok(())
    }

    /// Opens the file anew, after whoever rotates it has moved it away.
    pub fn reopen(&self) -> io::Result<()> {
        let place = open(lock(&self.shared.settings).as_ref())?;
        self.go_on_at(place);
        Ok(())
    }

    fn go_on_at(&self, place: Place) {
        let is_on = !matches!(place, Place::Nowhere);
        *lock(&self.shared.next) = Some(place);
        self.shared.is_on.store(is_on, Ordering::Release);
    }

    /// Writes what waits and ends, unless whoever reads the log is slower than `patience`.
    pub fn close(&self, patience: Duration) {
        self.shared.closing.store(true, Ordering::Release);
        let Some(Thread { thread, ended }) = lock(&self.thread).take() else { return };
        thread.thread().unpark();
        // Nothing is ever sent: the writer drops its end when it is done.
        if ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            log::warn!("the access log is not read: its last lines are lost");
        }
    }
}

impl Feed {
    /// Adds a record's line, or counts it as dropped.
    pub fn show(&mut self, record: &RequestRecord) {
        if !self.shared.is_on.load(Ordering::Acquire) {
            return;
        }
        let mut waiting = lock(&self.shared.waiting);
        if waiting.lines.len() >= waiting.bytes_max {
            return self.shared.dropped.inc();
        }
        line::write(&mut waiting.lines, &mut self.seconds, record);
    }
}

fn open(settings: Option<&AccessLogSettings>) -> io::Result<Place> {
    match settings.map(|settings| &settings.path) {
        None => Ok(Place::Nowhere),
        // A descriptor of its own: whoever holds the lock of the process's may hold it for ever.
        Some(AccessLogPath::Stdout) => {
            let stdout = io::stdout().as_fd().try_clone_to_owned()?;
            Ok(Place::File(File::from(stdout)))
        }
        Some(AccessLogPath::File(path)) => append_to(path).map(Place::File),
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    // To open a pipe that nobody reads would wait for ever.
    let is_pipe = path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
    let file = if is_pipe {
        Err(io::Error::new(io::ErrorKind::Unsupported, "it is a pipe"))
    } else {
        File::options().create(true).append(true).open(path)
    };
    file.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

impl Place {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Nowhere => Ok(()),
            Self::File(file) => file.write_all(lines),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
