//! How a request of the gate's own making enters the pipeline that every request runs.
//!
//! Two ways, behind one method: a sub-request, which the gate uses, and an HTTP/1 connection in memory,
//! which shows that the first one hides nothing. Both run every hook; what the request is and on whose
//! behalf is in its flight.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use pingora::protocols::http::ServerSession;
use pingora::proxy::subrequest::Ctx;
use pingora::proxy::{HttpProxy, Subrequest};

use super::super::exchange;
use super::super::flight::Flight;
use super::super::proxy::Gate;
use super::memory::InMemory;
use super::session::{InnerSession, Part, Parts};

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
    /// Begins an inner request, whose handover its flight has. None: the gate is about to end.
    fn call(&self, flight: &Arc<Flight>, body: Bytes) -> Option<Running>;
}

/// An inner request under way. Dropping it ends the request and completes its record.
pub struct Running {
    /// None once it has ended.
    pipeline: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    answer: Arc<Parts>,
    /// What of it is here.
    taken: VecDeque<Part>,
}

/// What an inner request has come to.
#[derive(Debug)]
pub enum Came {
    Part(Part),
    /// It has ended, and all it answered was taken.
    ToItsEnd,
}

impl Running {
    pub fn new(pipeline: impl Future<Output = ()> + Send + 'static, answer: Arc<Parts>) -> Self {
        Self { pipeline: Some(Box::pin(pipeline)), answer, taken: VecDeque::new() }
    }

    /// Lets it go on, as long as nothing of its answer waits.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Came> {
        if let Some(part) = self.taken.pop_front() {
            return Poll::Ready(Came::Part(part));
        }
        if let Some(pipeline) = &mut self.pipeline
            && pipeline.as_mut().poll(cx).is_ready()
        {
            self.pipeline = None;
        }
        self.answer.take(&mut self.taken);
        match (self.taken.pop_front(), &self.pipeline) {
            (Some(part), _) => Poll::Ready(Came::Part(part)),
            (None, Some(_)) => Poll::Pending,
            (None, None) => Poll::Ready(Came::ToItsEnd),
        }
    }
}

/// Sub-requests of the proxy.
struct Subrequests(Weak<dyn Subrequest + Send + Sync>);

impl InternalDispatch for Subrequests {
    fn call(&self, flight: &Arc<Flight>, body: Bytes) -> Option<Running> {
        let proxy = self.0.upgrade()?;
        let head = flight.live().handed.as_mut()?.take_head()?;
        let answer = Arc::new(Parts::default());
        let session = InnerSession::new(head, body, Arc::clone(&answer));
        let session = Box::new(ServerSession::new_custom(Box::new(session)));
        let context = Box::new(Ctx::builder().build());
        let pipeline = exchange::guarded(flight, proxy.process_subrequest(session, context));
        Some(Running::new(pipeline, answer))
    }
}

impl fmt::Debug for Subrequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subrequests")
    }
}
