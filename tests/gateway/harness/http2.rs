//! An HTTP/2 caller without TLS that keeps the rules, with many streams on one connection.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::Request;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::gate::Gate;
use super::http::{Fields, Response};
use super::poll::PATIENCE;
use super::witness::Witness;

pub struct Http2 {
    sender: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
    witness: Witness,
}

/// A request that was sent.
pub struct Sent {
    response: ResponseFuture,
    /// The rest of the request's body goes here.
    pub body: SendStream<Bytes>,
    witness: Witness,
}

/// A response whose head has come.
pub struct Begun {
    pub head: http::response::Parts,
    pub body: RecvStream,
    witness: Witness,
}

/// Runs a test that waits for several things at once.
pub fn block_on<T>(test: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(test)
}

/// What must come, comes in time.
pub async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("the gate must not hang")
}

impl Http2 {
    pub async fn connect(gate: &Gate) -> Self {
        Self::connect_to(gate, gate.address).await
    }

    pub async fn connect_to(gate: &Gate, address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the gate listens");
        let (sender, connection) = in_time(h2::client::handshake(stream)).await.expect("HTTP/2");
        let connection = tokio::spawn(connection);
        // The settings of the other side are known once the first request may be sent.
        let sender = in_time(sender.ready()).await.expect("the gate takes requests");
        Self { sender, connection, witness: gate.witness.clone() }
    }

    /// Sends a head; the body, if any, comes later.
    pub async fn send(&mut self, request: Request<()>, end: bool) -> Sent {
        let sender = in_time(self.sender.clone().ready()).await.expect("the gate takes requests");
        self.sender = sender;
        let (response, body) = self.sender.send_request(request, end).expect("a good request");
        Sent { response, body, witness: self.witness.clone() }
    }

    pub async fn get(&mut self, target: &str, key: &str) -> Sent {
        self.send(request("GET", target, key), true).await
    }

    /// One call, to its end.
    pub async fn call(&mut self, request: Request<()>, body: &[u8]) -> Response {
        let mut sent = self.send(request, body.is_empty()).await;
        if !body.is_empty() {
            // The gate may have answered already.
            drop(sent.body.send_data(Bytes::copy_from_slice(body), true));
        }
        sent.response().await
    }

    /// How many streams the gate allows at once.
    pub fn streams_max(&self) -> usize {
        self.sender.current_max_send_streams()
    }

    /// Hangs up without a word.
    pub async fn leave(self) {
        self.connection.abort();
        assert!(self.connection.await.is_err(), "it was still open");
    }

    /// The end of the connection: None when it ended well.
    pub async fn ended(self) -> Option<h2::Error> {
        drop(self.sender);
        in_time(self.connection).await.expect("it does not panic").err()
    }
}

impl Sent {
    pub async fn begun(self) -> Begun {
        let witness = self.witness.clone();
        let response = self.begun_or_reset().await.expect("a response");
        let (head, body) = response.into_parts();
        Begun { head, body, witness }
    }

    /// Whether the gate answered, or reset the stream.
    pub async fn begun_or_reset(self) -> Result<http::Response<RecvStream>, h2::Error> {
        in_time(self.response).await
    }

    pub async fn response(self) -> Response {
        self.begun().await.whole().await
    }
}

impl Begun {
    pub async fn whole(mut self) -> Response {
        let mut body = Vec::new();
        let mut complete = true;
        while let Some(data) = in_time(self.body.data()).await {
            let Ok(data) = data else {
                complete = false;
                break;
            };
            self.body.flow_control().release_capacity(data.len()).expect("it was received");
            body.extend_from_slice(&data);
        }
        let mut fields = Fields::default();
        for (name, value) in &self.head.headers {
            fields.push_line(&format!("{name}: {}", value.to_str().expect("a text")));
        }
        let response = Response { status: self.head.status.as_u16(), fields, body, complete };
        self.witness.saw_response(&response);
        response
    }
}

/// A request with a key, unless that is empty.
pub fn request(method: &str, target: &str, key: &str) -> Request<()> {
    let uri = format!("http://gate.test{target}");
    let mut request = Request::builder().method(method).uri(uri);
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    request.body(()).expect("a request")
}
