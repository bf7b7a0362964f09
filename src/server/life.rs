//! The gate from ready to gone: what signals ask of it, and the order in which it stops. Systemd is
//! told of each step.
//!
//! Pingora would sleep its whole grace period; this ends as soon as nothing is in the air.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::edge::Shared;

use super::signals::{Order, Orders};
use super::{Reloader, Running, StartError};

/// How long an ended request may take to say so, and the reader of the access log to read.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Running {
    /// Serves until a signal ends it; then everything recorded is on disk.
    pub fn run(self) -> Result<(), StartError> {
        // Inside the runtime, and before readiness: a signal that comes at once must not kill.
        let mut orders = {
            let _inside = self.control.enter();
            Orders::listen().map_err(StartError::Thread)?
        };
        tell_systemd(&[NotifyState::Ready, NotifyState::Status("serving")]);
        self.control.block_on(self.obey(&mut orders));
        self.shared.flights.end_all();
        self.control.block_on(until_empty(&self.shared, LAST_WORDS));
        self.workers.shutdown_timeout(LAST_WORDS);
        self.admin.stop();
        drop(self.brakes);
        // It records what it deletes.
        drop(self.archivist);
        self.ledger.close();
        let written = self.recorder.close().map_err(StartError::Unwritten);
        self.access_log.close(LAST_WORDS);
        written
    }

    /// Carries out orders until no request is left, or none may go on.
    async fn obey(&self, orders: &mut Orders) {
        loop {
            match orders.next().await {
                Order::Reload => self.reload().await,
                Order::Reopen => self.reopen().await,
                Order::End => return self.stop_listening(),
                Order::Drain => break,
            }
        }
        let drain = async {
            self.shared.flights.leave();
            let settings = self.shared.snapshot.load().policy.server.clone();
            log::info!("the gate stops: it is no longer ready");
            tell_systemd(&[NotifyState::Stopping, NotifyState::Status("draining")]);
            tokio::time::sleep(settings.drain_delay).await;
            self.stop_listening();
            until_empty(&self.shared, settings.drain_deadline).await;
        };
        tokio::select! {
            () = drain => {}
            () = ended(orders) => self.stop_listening(),
        }
    }

    /// Listeners close; idle connections end now, busy ones with their request.
    fn stop_listening(&self) {
        if self.shared.flights.is_draining() {
            return;
        }
        log::info!("the listeners close");
        self.shared.flights.leave();
        self.shutdown.send(true).ok();
        self.shared.flights.drain();
    }

    /// Off this thread: names may take their time to resolve.
    async fn reload(&self) {
        let mut states = vec![NotifyState::Reloading];
        states.extend(NotifyState::monotonic_usec_now().ok());
        tell_systemd(&states);
        let reloader: Arc<Reloader> = Arc::clone(&self.reloader);
        tokio::task::spawn_blocking(move || reloader.obey_signal()).await.unwrap_or_default();
        tell_systemd(&[NotifyState::Ready]);
    }

    async fn reopen(&self) {
        let log = Arc::clone(&self.access_log);
        let reopened = tokio::task::spawn_blocking(move || log.reopen()).await;
        if let Ok(Err(error)) = reopened {
            log::error!("the access log stays where it was: cannot open {error}");
        }
    }
}

/// SIGINT while draining: no more patience. Other signals have nothing left to say.
async fn ended(orders: &mut Orders) {
    while orders.next().await != Order::End {}
}

/// Connections end by themselves; this waits until they have.
async fn until_empty(shared: &Shared, deadline: Duration) {
    if tokio::time::timeout(deadline, shared.flights.empty()).await.is_err() {
        let open = shared.flights.connections();
        log::warn!("{open} connections are open after {deadline:?}, and are ended");
    }
}

/// Without systemd there is nobody to tell.
fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        log::warn!("systemd was not told: {error}");
    }
}
