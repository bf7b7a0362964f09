//! A client that writes exactly the bytes it is told, over one connection.

use std::io::{self, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::http::{Body, Request, Response};
use super::poll::PATIENCE;
use super::witness::Witness;

pub struct Client {
    stream: BufReader<TcpStream>,
    /// Who remembers the responses, where they must have records.
    witness: Option<Witness>,
}

impl Client {
    pub fn connect(address: SocketAddr, witness: Option<Witness>) -> Self {
        Self::over(TcpStream::connect(address).expect("the gate listens"), witness)
    }

    /// None when nobody listens any more.
    pub fn try_connect(address: SocketAddr, witness: &Witness) -> Option<Self> {
        Some(Self::over(TcpStream::connect(address).ok()?, Some(witness.clone())))
    }

    fn over(stream: TcpStream, witness: Option<Witness>) -> Self {
        stream.set_nodelay(true).expect("a socket of ours");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket of ours");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket of ours");
        Self { stream: BufReader::new(stream), witness }
    }

    /// Sends a request and reads its response.
    pub fn call(&mut self, request: &Request) -> Response {
        self.send(&request.bytes());
        let body = if request.method == "HEAD" { Body::Absent } else { Body::Expected };
        self.read(body).expect("an answer before the connection closed")
    }

    /// Sends bytes. The gate may have closed already: what it said before is still to be read.
    pub fn send(&mut self, bytes: &[u8]) {
        drop(self.stream.get_mut().write_all(bytes));
    }

    /// Reads the next response, informational ones included. None when the gate closed instead.
    pub fn read(&mut self, body: Body) -> Option<Response> {
        let read = Response::read(&mut self.stream, body);
        let response = read.expect("an answer or a close in time: the gate must not hang")?;
        if let Some(witness) = self.witness.as_ref().filter(|_| response.status >= 200) {
            witness.saw_response(&response);
        }
        Some(response)
    }

    /// Reads the answer to a request to switch to WebSocket: its head is the end of it.
    pub fn read_switch(&mut self) -> Option<Response> {
        let read = Response::read(&mut self.stream, Body::Expected);
        let response = read.expect("an answer or a close in time: the gate must not hang")?;
        if let Some(witness) = &self.witness {
            witness.saw_response(&response);
        }
        Some(response)
    }

    /// Whether an answer begins, or the connection ends, within `pause`.
    pub fn hears_within(&mut self, pause: Duration) -> bool {
        let stream = self.stream.get_ref();
        stream.set_read_timeout(Some(pause)).expect("a socket of ours");
        let peeked = stream.peek(&mut [0]);
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket of ours");
        !peeked.is_err_and(|error| is_timeout(&error))
    }

    /// Says that no more will be sent.
    pub fn finish_sending(&self) {
        self.stream.get_ref().shutdown(std::net::Shutdown::Write).expect("a socket of ours");
    }

    /// The connection itself, to read a body as it comes.
    pub fn stream(&mut self) -> &mut BufReader<TcpStream> {
        &mut self.stream
    }
}

fn is_timeout(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock || error.kind() == ErrorKind::TimedOut
}
