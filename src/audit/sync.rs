//! The thread that brings what was written to the medium. While it waits for the disk, the recorder goes on:
//! what is written meanwhile is the next sync's.

use std::fmt;
use std::fs::File;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::clock;
use crate::model::time::MonoNs;

/// Told once: whether the entry is on the medium.
pub type Waiter = oneshot::Sender<Result<(), NotDurable>>;

/// The entry may not be on the medium.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotDurable;

/// The thread, as the recorder uses it.
pub struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    asked: Condvar,
    done: Condvar,
    exposure: Arc<Exposure>,
}

#[derive(Default)]
struct State {
    /// What is to be synced next: the file, who waits for it, and the time of the oldest entry in it.
    file: Option<Arc<File>>,
    waiters: Vec<Waiter>,
    since: Option<MonoNs>,
    /// Syncs that were asked for, and those that have ended.
    asked: u64,
    ended: u64,
    error: Option<io::Error>,
    /// It failed, and is not asked again: what the kernel would say then is not true.
    spent: Option<Arc<File>>,
    closing: bool,
}

/// How long entries were in memory only: what a power cut would have cost.
#[derive(Debug, Default)]
pub struct Exposure {
    last_us: AtomicU64,
    max_us: AtomicU64,
}

impl Exposure {
    /// Of the oldest entry of the last sync.
    pub fn last(&self) -> Duration {
        Duration::from_micros(self.last_us.load(Ordering::Relaxed))
    }

    /// The longest since the log was opened.
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.max_us.load(Ordering::Relaxed))
    }

    fn tell(&self, exposure: Duration) {
        let micros = u64::try_from(exposure.as_micros()).unwrap_or(u64::MAX);
        self.last_us.store(micros, Ordering::Relaxed);
        self.max_us.fetch_max(micros, Ordering::Relaxed);
    }
}

impl Syncer {
    pub fn start(exposure: &Arc<Exposure>) -> io::Result<Self> {
        let shared = Arc::new(Shared { exposure: Arc::clone(exposure), ..Shared::default() });
        let thread = {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("onegate-sync".into()).spawn(move || shared.run())?
        };
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Asks for a sync of all that was written to `file` so far; the oldest entry of it was made after
    /// `since`. The sync begins at once, or as soon as the one that is under way ends.
    pub fn ask(&self, file: &Arc<File>, since: MonoNs, waiters: &mut Vec<Waiter>) {
        let mut state = self.shared.lock();
        if state.file.as_ref().is_some_and(|other| !Arc::ptr_eq(other, file)) {
            // That one failed, or it would have been waited for.
            for waiter in state.waiters.drain(..) {
                waiter.send(Err(NotDurable)).unwrap_or_default();
            }
        }
        state.file = Some(Arc::clone(file));
        state.since.get_or_insert(since);
        state.waiters.append(waiters);
        state.asked += 1;
        drop(state);
        self.shared.asked.notify_one();
    }

    /// Waits for all that was asked for. The error of a failed sync is told once, here or by
    /// [`Syncer::failed`].
    pub fn wait(&self, patience: Duration) -> io::Result<Waited> {
        let state = self.shared.lock();
        let asked = state.asked;
        let waited =
            self.shared.done.wait_timeout_while(state, patience, |state| state.ended < asked);
        let (mut state, timer) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.error.take() {
            Some(error) => Err(error),
            None if timer.timed_out() => Ok(Waited::InVain),
            None => Ok(Waited::Done),
        }
    }

    pub fn failed(&self) -> Option<io::Error> {
        self.shared.lock().error.take()
    }
}

/// What waiting came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Waited {
    Done,
    /// The disk is still at it.
    InVain,
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.asked.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("audit: the thread that syncs panicked");
        }
    }
}

impl Shared {
    fn run(&self) {
        loop {
            let state = self.lock();
            let idle = |state: &mut State| state.file.is_none() && !state.closing;
            let waited = self.asked.wait_while(state, idle);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            let Some(file) = state.file.take() else { return };
            let (asked, since) = (state.asked, state.since.take());
            let waiters = mem::take(&mut state.waiters);
            let is_spent = state.spent.as_ref().is_some_and(|spent| Arc::ptr_eq(spent, &file));
            drop(state);
            let synced = if is_spent { Err(io::ErrorKind::Other.into()) } else { file.sync_data() };
            if let (Ok(()), Some(since)) = (&synced, since) {
                self.exposure.tell(clock::mono().since(since));
            }
            let told = if synced.is_ok() { Ok(()) } else { Err(NotDurable) };
            let mut state = self.lock();
            state.ended = asked;
            if let Err(error) = synced
                && !is_spent
            {
                state.error.get_or_insert(error);
                state.spent = Some(file);
            }
            drop(state);
            self.done.notify_all();
            for waiter in waiters {
                // Whoever has left needs no answer.
                waiter.send(told).unwrap_or_default();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Syncer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Syncer")
    }
}

impl fmt::Display for NotDurable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the audit log could not be brought to the medium")
    }
}

impl std::error::Error for NotDurable {}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::audit::tests::Directory;

    const LONG: Duration = Duration::from_mins(1);

    fn file(directory: &Directory) -> Arc<File> {
        Arc::new(File::create(directory.path().join("file")).expect("a file"))
    }

    /// A pipe takes bytes and cannot be synced.
    fn pipe() -> (io::PipeReader, Arc<File>) {
        let (reader, pipe) = io::pipe().expect("a pipe");
        (reader, Arc::new(File::from(OwnedFd::from(pipe))))
    }

    #[test]
    fn those_who_wait_are_told() {
        let directory = Directory::new();
        let exposure = Arc::default();
        let syncer = Syncer::start(&exposure).expect("a thread");
        assert_eq!(syncer.wait(Duration::ZERO).expect("nothing was asked for"), Waited::Done);
        let (waiter, told) = oneshot::channel();
        let (left, _) = oneshot::channel();
        let since = clock::mono();
        syncer.ask(&file(&directory), since, &mut vec![waiter, left]);
        assert_eq!(told.blocking_recv(), Ok(Ok(())));
        assert_eq!(syncer.wait(LONG).expect("it was synced"), Waited::Done);
        assert!(exposure.last() > Duration::ZERO);
        assert_eq!(exposure.last(), exposure.max());
    }

    #[test]
    fn a_failure_is_told_once_and_to_all_who_wait() {
        let directory = Directory::new();
        let syncer = Syncer::start(&Arc::default()).expect("a thread");
        let (_reader, pipe) = pipe();
        let (waiter, told) = oneshot::channel();
        syncer.ask(&pipe, MonoNs(0), &mut vec![waiter]);
        assert_eq!(told.blocking_recv(), Ok(Err(NotDurable)));
        syncer.wait(LONG).expect_err("a pipe cannot be synced");
        assert!(syncer.failed().is_none());
        syncer.ask(&file(&directory), MonoNs(0), &mut Vec::new());
        assert_eq!(syncer.wait(LONG).expect("a file can"), Waited::Done);
    }

    #[test]
    fn what_was_asked_for_is_done_before_it_ends() {
        let directory = Directory::new();
        let exposure = Arc::default();
        let syncer = Syncer::start(&exposure).expect("a thread");
        syncer.ask(&file(&directory), clock::mono(), &mut Vec::new());
        drop(syncer);
        assert!(exposure.last() > Duration::ZERO);
    }
}
