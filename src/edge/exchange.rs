//! The request layer: one exchange around Pingora's whole pipeline. It ends what was told to end
//! and keeps a panic to the request that caused it.

use std::cell::Cell;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use pingora::apps::{HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;

use super::flight::Flight;
use super::proxy::Gate;

thread_local! {
    /// While a pipeline is polled that has no context yet: the flight it belongs to.
    static FLIGHT: Cell<Option<Arc<Flight>>> = const { Cell::new(None) };
}

/// The flight of the request whose context is being made. Pingora hands nothing of ours to its
/// pipeline, and makes the context while it is polled.
pub fn flight_of_new_context() -> Arc<Flight> {
    FLIGHT.take().unwrap_or_default()
}

/// Runs Pingora's pipeline for one request.
pub struct Exchange {
    pub proxy: Arc<HttpProxy<Gate>>,
}

impl Exchange {
    /// None when the connection must not be used again, also when the exchange was ended or
    /// panicked: dropping the pipeline then completes the record and lands the transport.
    pub fn run<'a>(
        &'a self,
        session: ServerSession,
        flight: &Arc<Flight>,
        shutdown: &'a ShutdownWatch,
    ) -> impl Future<Output = Option<ReusedHttpStream>> + use<'a> {
        // Not an async function: that would take a copy of the session first.
        guarded(flight, self.proxy.process_new_http(session, shutdown))
    }

    /// The service ends: no exchange begins any more.
    pub async fn clean_up(&self) {
        self.proxy.http_cleanup().await;
    }
}

/// Runs a pipeline as its flight's, until it ends or is told to; a panic ends it too.
pub fn guarded<'a, T: Default>(
    flight: &Arc<Flight>,
    mut pipeline: Pin<Box<dyn Future<Output = T> + Send + 'a>>,
) -> impl Future<Output = T> + Send + use<'a, T> {
    let mut handed_over = Some(Arc::clone(flight));
    let flight = Arc::clone(flight);
    poll_fn(move |cx| {
        if flight.poll_ended(cx).is_ready() {
            return Poll::Ready(T::default());
        }
        let has_context = handed_over.is_none();
        if !has_context {
            FLIGHT.set(handed_over.take());
        }
        let polled = catch_unwind(AssertUnwindSafe(|| pipeline.as_mut().poll(cx)));
        if !has_context {
            handed_over = FLIGHT.take();
        }
        polled.unwrap_or_else(|_| {
            log::error!("a request panicked; its record says so");
            Poll::Ready(T::default())
        })
    })
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}
