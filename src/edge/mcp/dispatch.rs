//! How a request of the gate's own making enters the pipeline that every request runs.
//!
//! Two ways, behind one method: a sub-request, which the gate uses, and an HTTP/1 connection in memory,
//! which shows that the first one hides nothing. Both run every hook; what the request is and on whose
//! behalf is in its flight.

use std::cell::RefCell;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use pingora::protocols::http::subrequest::server::HttpSession as SubSession;
use pingora::protocols::http::{HttpTask, ServerSession};
use pingora::proxy::subrequest::{BodyMode, Ctx};
use pingora::proxy::{HttpProxy, Subrequest};
use tokio::io::{AsyncWriteExt, duplex};
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
    /// Begins an inner request, whose handover its flight has. None: the gate is about to end.
    fn call(&self, flight: &Arc<Flight>, body: Bytes) -> Option<Running>;
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
    fn call(&self, flight: &Arc<Flight>, body: Bytes) -> Option<Running> {
        let proxy = self.0.upgrade()?;
        let (session, handle) = TEMPLATE
            .with_borrow(|template| Some(SubSession::new_from_session(template.as_ref()?)))?;
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

thread_local! {
    /// What Pingora makes sub-requests from: a session that has read a head. Each gets its own head when it comes
    /// on board, so the template's is the shortest, and is read once.
    static TEMPLATE: RefCell<Option<ServerSession>> = RefCell::new(template());
}

/// None: Pingora does not read its own format, so no tool can be called; tests would tell.
fn template() -> Option<ServerSession> {
    let (mut caller, gate) = duplex(TEMPLATE_HEAD.len());
    let mut session = ServerSession::new_http1(Box::new(gate));
    let read = async {
        caller.write_all(TEMPLATE_HEAD).await.ok()?;
        session.read_request().await.ok()
    };
    // All of it is in memory: nothing is waited for.
    let read = pin!(read).poll(&mut Context::from_waker(Waker::noop()));
    matches!(read, Poll::Ready(Some(true))).then_some(session)
}

const TEMPLATE_HEAD: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

impl fmt::Debug for Subrequests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subrequests")
    }
}
