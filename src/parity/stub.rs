//! The upstream of every staged gate: it keeps what reached it, by request id, and says the same to all. The calls
//! of a client can be held, so that more than one goes on at a time.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::AHashMap;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// `POST /payments?a=1 HTTP/1.1`
    pub line: String,
    /// By name, then by value: their order means nothing.
    pub fields: Vec<(String, String)>,
    pub body: Bytes,
}

/// The stub, shared with its connections.
#[derive(Clone, Debug)]
pub struct Stub {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    received: AHashMap<String, Vec<Received>>,
    held: AHashMap<String, Hold>,
}

/// Calls of one client that wait.
#[derive(Clone, Debug)]
struct Hold {
    arrived: watch::Sender<usize>,
    goes_on: watch::Sender<bool>,
}

/// A client's calls are held until this is dropped.
#[derive(Debug)]
pub struct Held<'s> {
    stub: &'s Stub,
    client: String,
    hold: Hold,
}

/// Longest body of a request. Arguments that are made are short.
const BODY_BYTES_MAX: usize = 64 << 20;
const ANSWER: &str = r#"{"answered":"by the stub"}"#;

impl Stub {
    /// Serves for as long as the runtime lives.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let stub = Self { address: listener.local_addr()?, state: Arc::default() };
        let serving = stub.clone();
        tokio::spawn(async move {
            loop {
                // What cannot be accepted is missed by who compares.
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let stub = serving.clone();
                let service = service_fn(move |request| {
                    let stub = stub.clone();
                    async move { Ok::<_, Infallible>(stub.answer(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(stub)
    }

    /// What came since the last time, by request id.
    pub fn take(&self) -> AHashMap<String, Vec<Received>> {
        std::mem::take(&mut self.state().received)
    }

    pub fn hold(&self, client: &str) -> Held<'_> {
        let hold = Hold { arrived: watch::Sender::new(0), goes_on: watch::Sender::new(false) };
        self.state().held.insert(client.to_owned(), hold.clone());
        Held { stub: self, client: client.to_owned(), hold }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        #[expect(clippy::disallowed_methods, reason = "what is collected is limited")]
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
        let text = |name: &str| parts.headers.get(name).map(text_of).unwrap_or_default();
        let fields = parts.headers.iter();
        let mut fields: Vec<_> =
            fields.map(|(name, value)| (name.as_str().to_owned(), text_of(value))).collect();
        // Values of one name keep their order.
        fields.sort_by(|(one, _), (other, _)| one.cmp(other));
        let received = Received {
            line: format!("{} {} {:?}", parts.method, parts.uri, parts.version),
            fields,
            body: body.map(http_body_util::Collected::to_bytes).unwrap_or_default(),
        };
        let hold = {
            let mut state = self.state();
            state.received.entry(text("x-request-id")).or_default().push(received);
            state.held.get(&text("x-onegate-client")).cloned()
        };
        if let Some(Hold { arrived, goes_on }) = hold {
            arrived.send_modify(|count| *count += 1);
            goes_on.subscribe().wait_for(|goes_on| *goes_on).await.ok();
        }
        let mut response = Response::new(Full::from(ANSWER));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text_of(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

impl Held<'_> {
    /// How many calls are held.
    pub fn count(&self) -> usize {
        *self.hold.arrived.borrow()
    }

    /// Waits until so many calls are held.
    pub async fn arrived(&self, count: usize) {
        self.hold.arrived.subscribe().wait_for(|arrived| *arrived >= count).await.ok();
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.stub.state().held.remove(&self.client);
        self.hold.goes_on.send_replace(true);
    }
}
