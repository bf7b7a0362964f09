//! Names resolved in the background, by the system's resolver, a few at a time: one that is slow
//! holds a thread, not the others.
//!
//! A name that fails keeps the addresses it had.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Most names that are looked up at once.
const THREADS_MAX: usize = 16;

/// A host and its port.
pub type HostPort = (Box<str>, u16);
type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;
/// Who is told what a name resolves to.
pub type Tell = dyn Fn(&str, u16, &[SocketAddr]) + Send + Sync;

/// Looks names up.
pub struct Names {
    lookup: Box<Lookup>,
    work: Mutex<Work>,
    /// One name less to do.
    done: Condvar,
}

#[derive(Debug, Default)]
struct Work {
    waiting: VecDeque<HostPort>,
    /// Waiting, or being looked up.
    open: BTreeSet<HostPort>,
    /// Those whose last lookup failed, so that it is said once.
    failing: BTreeSet<HostPort>,
    threads: usize,
}

impl Default for Names {
    fn default() -> Self {
        Self::new(|host, port| Ok((host, port).to_socket_addrs()?.collect()))
    }
}

impl Names {
    pub fn new(
        lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self { lookup: Box::new(lookup), work: Mutex::default(), done: Condvar::new() }
    }

    /// Begins to look up all these names; one that is still being looked up is not asked twice.
    pub fn begin(self: &Arc<Self>, names: BTreeSet<HostPort>, tell: &Arc<Tell>) {
        let mut work = self.work();
        work.failing.retain(|name| names.contains(name));
        for name in names {
            if work.open.insert(name.clone()) {
                work.waiting.push_back(name);
            }
        }
        let wanted = work.waiting.len().min(THREADS_MAX.saturating_sub(work.threads));
        for _ in 0..wanted {
            let (names, tell) = (Arc::clone(self), Arc::clone(tell));
            let thread = thread::Builder::new().name("onegate-resolver".to_owned());
            match thread.spawn(move || names.work_off(&*tell)) {
                Ok(_) => work.threads += 1,
                Err(error) => log::error!("no thread to resolve names: {error}"),
            }
        }
        if work.threads == 0 {
            // Nobody would ever look: the next time begins anew.
            work.waiting.clear();
            work.open.clear();
        }
    }

    /// Waits until every name that was begun is done, but not longer than this.
    pub fn wait(&self, most: Duration) {
        let open = |work: &mut Work| !work.open.is_empty();
        // Whether it was in time is no matter: who waits goes on with what is known.
        drop(self.done.wait_timeout_while(self.work(), most, open));
    }

    fn work_off(&self, tell: &Tell) {
        loop {
            let mut work = self.work();
            let Some(name) = work.waiting.pop_front() else {
                work.threads -= 1;
                return;
            };
            drop(work);
            let (host, port) = &name;
            let found = (self.lookup)(host, *port);
            if let Ok(found) = &found {
                tell(host, *port, found);
            }
            let mut work = self.work();
            match found {
                Ok(_) => {
                    if work.failing.remove(&name) {
                        log::info!("{host} resolves again");
                    }
                }
                Err(error) => {
                    if work.failing.insert(name.clone()) {
                        log::warn!("{host} does not resolve: {error}");
                    }
                }
            }
            work.open.remove(&name);
            self.done.notify_all();
        }
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;
    use crate::clock;

    const LONG: Duration = Duration::from_secs(20);

    fn set(names: &[&str]) -> BTreeSet<HostPort> {
        names.iter().map(|name| ((*name).into(), 80)).collect()
    }

    #[test]
    fn a_slow_name_does_not_hold_the_others() {
        let (release, released) = mpsc::sync_channel::<()>(0);
        let released = Mutex::new(released);
        let asked = Arc::new(AtomicUsize::new(0));
        let of_slow = Arc::clone(&asked);
        let names = Arc::new(Names::new(move |host, port| {
            if host == "slow" {
                of_slow.fetch_add(1, Ordering::Relaxed);
                released.lock().expect("one thread").recv().expect_err("it is only dropped");
            }
            Ok(vec![SocketAddr::from(([127, 0, 0, 1], port))])
        }));
        let (told, heard) = mpsc::sync_channel(10);
        let tell: Arc<Tell> = Arc::new(move |host: &str, _: u16, _: &[SocketAddr]| {
            told.send(host.to_owned()).expect("it is heard");
        });
        names.begin(set(&["slow", "a", "b"]), &tell);
        let mut first = [0, 1].map(|_| heard.recv_timeout(LONG).expect("it was looked up"));
        first.sort();
        assert_eq!(first, ["a", "b"]);
        // Told a moment before they are done.
        let told_at = clock::mono();
        while names.work().open.len() > 1 && clock::mono().since(told_at) < LONG {
            thread::yield_now();
        }
        // Again, while the slow one is still under way: it is not asked twice.
        names.begin(set(&["slow", "a"]), &tell);
        assert_eq!(heard.recv_timeout(LONG).as_deref(), Ok("a"));
        drop(release);
        assert_eq!(heard.recv_timeout(LONG).as_deref(), Ok("slow"));
        names.wait(LONG);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert!(names.work().open.is_empty());
    }

    #[test]
    fn a_failure_tells_nothing_and_ends_the_wait() {
        let names = Arc::new(Names::new(|_, _| Err(io::Error::other("no such name"))));
        let tell: Arc<Tell> = Arc::new(|_: &str, _: u16, _: &[SocketAddr]| panic!("told"));
        names.begin(set(&["a", "b"]), &tell);
        names.wait(LONG);
        assert_eq!(names.work().failing.len(), 2);
        names.begin(set(&["a"]), &tell);
        names.wait(LONG);
        assert_eq!(names.work().failing.len(), 1, "a name that is gone is forgotten");
    }
}
