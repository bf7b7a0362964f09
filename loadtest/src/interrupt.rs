//! SIGINT and SIGTERM: the job is asked to end and unwinds by `?`, so that guards stop the children
//! and remove the files. Nothing here stops anything itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Error, Result, Verdict};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Fails when the user wants the job to end. Called in every loop that may take long; reads and
/// writes have a deadline of their own.
pub fn check() -> Result<()> {
    if ASKED.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
}

/// Waits a moment between two looks at something, unless interrupted.
#[expect(clippy::disallowed_methods, reason = "no worker is here, and a process tells no event")]
pub fn pause(time: Duration) -> Result<()> {
    check()?;
    std::thread::sleep(time);
    check()
}

/// Runs the job on a thread of its own and turns signals into [`check`]'s answer.
pub fn run(job: impl FnOnce() -> Result<Verdict> + Send + 'static) -> Result<Verdict> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::while_doing("cannot make a runtime"))?;
    runtime.block_on(async {
        let watch = |kind| signal(kind).map_err(Error::while_doing("cannot watch signals"));
        let mut interrupt = watch(SignalKind::interrupt())?;
        let mut terminate = watch(SignalKind::terminate())?;
        let mut job = tokio::task::spawn_blocking(job);
        loop {
            tokio::select! {
                ended = &mut job => {
                    return ended.map_err(|e| Error::unexpected("loadtest", e.to_string()))?;
                }
                _ = interrupt.recv() => ASKED.store(true, Ordering::Relaxed),
                _ = terminate.recv() => ASKED.store(true, Ordering::Relaxed),
            }
        }
    })
}
