//! The request layer: one exchange around Pingora's whole pipeline. It ends what was told to end
//! and keeps a panic to the request that caused it.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream};
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

#[async_trait]
impl HttpServerApp for Exchange {
    /// None when the connection must not be used again, also when the exchange was ended or
    /// panicked: dropping the pipeline then completes the record and lands the transport.
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let flight = FLIGHT.try_with(Arc::clone).unwrap_or_default();
        let mut pipeline = pin!(self.proxy.process_new_http(session, shutdown));
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

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}
