//! The request layer: one exchange around Pingora's whole pipeline. It ends what was told to end
//! and keeps a panic to the request that caused it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use pingora::apps::{HttpServerApp, ReusedHttpStream};
use pingora::protocols::http::ServerSession;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;

use super::flight::Flight;
use super::proxy::Gate;

tokio::task_local! {
    /// The flight of the request that this task serves.
    pub static FLIGHT: Arc<Flight>;
}

/// Runs Pingora's pipeline for one request.
pub struct Exchange {
    pub proxy: Arc<HttpProxy<Gate>>,
}

impl Exchange {
    /// None when the connection must not be used again, also when the exchange was ended or
    /// panicked: dropping the pipeline then completes the record and lands the transport.
    pub async fn run(
        &self,
        session: ServerSession,
        flight: &Arc<Flight>,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let pipeline = self.proxy.process_new_http(session, shutdown);
        let mut pipeline = pin!(FLIGHT.scope(Arc::clone(flight), pipeline));
        poll_fn(|cx| {
            if flight.poll_stopped(cx).is_ready() {
                return Poll::Ready(None);
            }
            let polled = catch_unwind(AssertUnwindSafe(|| pipeline.as_mut().poll(cx)));
            polled.unwrap_or_else(|_| {
                log::error!("a request panicked; its record says so");
                Poll::Ready(None)
            })
        })
        .await
    }

    /// The service ends: no exchange begins any more.
    pub async fn clean_up(&self) {
        self.proxy.http_cleanup().await;
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}
