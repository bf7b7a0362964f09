//! How a request of the gate's own making enters the pipeline that every request runs.
//!
//! Two ways, behind one method: a sub-request, which the gate uses, and an HTTP/1 connection in memory,
//! which shows that the first one hides nothing. Both run every hook; what the request is and on whose
//! behalf is in its flight.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::Context;

use bytes::Bytes;
use pingora::protocols::http::subrequest::server::HttpSession as SubSession;
use pingora::protocols::http::{HttpTask, ServerSession};
use pingora::proxy::subrequest::{BodyMode, Ctx};
use pingora::proxy::{HttpProxy, Subrequest};
use tokio::sync::mpsc::Receiver;

use super::super::exchange;
use super::super::flight::Flight;
use super::super::proxy::Gate;
use super::memory::InMemory;

/// Which way inner requests take.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Way {
    #[default]
    Subrequest,
    /// For tests: see `memory`.
    InMemory,
}

impl Way {
    /// `proxy` is only borrowed: the one who serves has it.
    pub fn into_dispatch(self, proxy: &Arc<HttpProxy<Gate>>) -> Box<dyn InternalDispatch> {
        match self {
            Self::Subrequest => {
                let proxy: Arc<dyn Subrequest + Send + Sync> = Arc::clone(proxy) as _;
                Box::new(Subrequests(Arc::downgrade(&proxy)))
            }
            Self::InMemory => Box::new(InMemory(Arc::downgrade(proxy))),
        }
    }
}

/// Makes an inner request run.
pub trait InternalDispatch: fmt::Debug + Send + Sync {
    /// Begins an inner request, whose handover its flight has. `outer` lends its connection's addresses.
    /// None: the gate is about to end.
    fn call(&self, outer: &ServerSession, flight: &Arc<Flight>, body: Bytes) -> Option<Running>;
}

/// An inner request under way. Dropping it ends the request and completes its record.
pub struct Running {
    /// None once it has ended.
    pipeline: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// What it answers; closed when it has ended.
    pub answers: Receiver<HttpTask>,
}

impl Running {
    pub fn new(
        pipeline: impl Future<Output = ()> + Send + 'static,
        answers: Receiver<HttpTask>,
    ) -> Self {
        Self { pipeline: Some(Box::pin(pipeline)), answers }
    }

    /// Lets it go on.
    pub fn poll(&mut self, cx: &mut Context<'_>) {
        if let Some(pipeline) = &mut self.pipeline
            && pipeline.as_mut().poll(cx).is_ready()
        {
            self.pipeline = None;
        }
    }
}

/// Sub-requests of the proxy.
struct Subrequests(Weak<dyn Subrequest + Send + Sync>);

impl InternalDispatch for Subrequests {
    fn call(&self, outer: &ServerSession, flight: &Arc<Flight>, body: Bytes) -> Option<Running> {
        let proxy = self.0.upgrade()?;
        let (session, handle) = SubSession::new_from_session(outer);
        let mode = if body.is_empty() { BodyMode::NoBody } else { BodyMode::ExpectBody };
        let ctx = Box::new(Ctx::builder().body_mode(mode).build());
        let session = Box::new(ServerSession::new_subrequest(session));
        let pipeline = exchange::guarded(flight, proxy.process_subrequest(session, ctx));
        let (body_to, answers) = (handle.tx, handle.rx);
        let pipeline = async move {
            if !body.is_empty() {
                // There is room for it: it is the first. It may be that nobody reads it.
                body_to.send(HttpTask::Body(Some(body), true)).await.ok();
            }
            pipeline.await;
            // Not before: without it the pipeline would take its caller for gone.
            drop(body_to);
        };
        Some(Running::new(pipeline, answers))
    }
}

impl fmt::Debug for Subrequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subrequests")
    }
}
