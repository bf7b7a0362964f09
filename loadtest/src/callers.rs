//! Callers that keep a ledger: the request id of every answer whose head they got, until their gate is gone.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use h2::client::SendRequest;

/// Ids, as they came.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Vec<String>>>);

impl Ledger {
    pub fn add(&self, id: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(id);
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is called, in turn: method and path.
pub type Calls = &'static [(&'static str, &'static str)];

/// Calls over one HTTP/1.1 connection.
pub fn over_http1(address: SocketAddr, key: &str, calls: Calls, ledger: &Ledger) -> JoinHandle<()> {
    let (key, ledger) = (key.to_owned(), ledger.clone());
    thread::spawn(move || {
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        stream.set_nodelay(true).unwrap_or_default();
        for (method, path) in calls.iter().cycle() {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: load\r\nX-API-Key: {key}\r\nContent-Length: 0\r\n\r\n"
            );
            let answered = stream.write_all(request.as_bytes()).and_then(|()| {
                let head = read_head(&mut stream)?;
                ledger.add(id_of(&head).unwrap_or_default());
                read_body(&mut stream, &head)
            });
            if answered.is_err() {
                return;
            }
        }
    })
}

/// A head, byte by byte: what follows it is left where it is.
fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).to_ascii_lowercase())
}

fn id_of(head: &str) -> Option<String> {
    field(head, "x-request-id").map(str::to_owned)
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

fn read_body(stream: &mut TcpStream, head: &str) -> std::io::Result<()> {
    let length = field(head, "content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body)
}

/// Calls over one HTTP/2 connection, so many streams at once.
pub fn over_http2(
    address: SocketAddr,
    key: &str,
    (calls, streams): (Calls, usize),
    ledger: &Ledger,
) -> JoinHandle<()> {
    let (key, ledger) = (key.to_owned(), ledger.clone());
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let Ok(stream) = tokio::net::TcpStream::connect(address).await else { return };
            let Ok((sender, connection)) = h2::client::handshake(stream).await else { return };
            for first in 0..streams {
                let (sender, key, ledger) = (sender.clone(), key.clone(), ledger.clone());
                let calls = calls.iter().cycle().skip(first);
                tokio::spawn(async move {
                    for (method, path) in calls {
                        if call(sender.clone(), (method, path), &key, &ledger).await.is_err() {
                            return;
                        }
                    }
                });
            }
            // It ends with its gate.
            connection.await.unwrap_or_default();
        });
    })
}

async fn call(
    sender: SendRequest<Bytes>,
    (method, path): (&str, &str),
    key: &str,
    ledger: &Ledger,
) -> Result<(), h2::Error> {
    let request = http::Request::builder().method(method).uri(format!("http://load{path}"));
    let request = request.header("x-api-key", key).body(()).unwrap_or_default();
    let (response, _) = sender.ready().await?.send_request(request, true)?;
    let response = response.await?;
    let id = response.headers().get("x-request-id").and_then(|id| id.to_str().ok());
    ledger.add(id.unwrap_or_default().to_owned());
    let mut body = response.into_body();
    while let Some(piece) = body.data().await {
        body.flow_control().release_capacity(piece?.len())?;
    }
    Ok(())
}
