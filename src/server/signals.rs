//! Signals, as orders to the gate.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Order {
    /// SIGHUP.
    Reload,
    /// SIGUSR1: open the access log anew.
    Reopen,
    /// SIGTERM, SIGQUIT: let live requests end first.
    Drain,
    /// SIGINT: end at once.
    End,
}

/// The signals that the gate obeys.
#[derive(Debug)]
pub struct Orders {
    hangup: Signal,
    user1: Signal,
    terminate: Signal,
    quit: Signal,
    interrupt: Signal,
}

impl Orders {
    /// Must be called inside a runtime.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.hangup.recv() => Order::Reload,
            _ = self.user1.recv() => Order::Reopen,
            _ = self.terminate.recv() => Order::Drain,
            _ = self.quit.recv() => Order::Drain,
            _ = self.interrupt.recv() => Order::End,
        }
    }
}
