//! The thread that looks at every flight's deadlines.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::edge::flight::{Flights, TICK};

/// Sweeps until dropped.
#[derive(Debug)]
pub struct Sweeper {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sweeper {
    pub fn start(flights: Arc<Flights>) -> io::Result<Self> {
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let sweep = move || {
            while !told.load(Ordering::Acquire) {
                thread::park_timeout(TICK);
                flights.sweep();
            }
        };
        let thread = thread::Builder::new().name("onegate-sweeper".into()).spawn(sweep)?;
        Ok(Self { ends, thread: Some(thread) })
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A sweep that panicked has said so on standard error.
            let _ = thread.join();
        }
    }
}
