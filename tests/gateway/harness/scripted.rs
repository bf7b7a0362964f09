//! A service behind the gate that says what a test's function says, byte by byte, with pauses that
//! only the test ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::http::Fields;
use super::poll::PATIENCE;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub target: String,
    pub fields: Fields,
    pub body: Vec<u8>,
}

/// A step of a response.
#[derive(Clone, Debug)]
pub enum Say {
    Bytes(Vec<u8>),
    /// Nothing until the test says `release`.
    Wait,
    /// Nothing for so long, or until the test says `release`.
    Pause(Duration),
    /// The end of the connection.
    Close,
}

pub struct Scripted {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    script: fn(&Asked) -> Vec<Say>,
    asked: Mutex<Vec<Asked>>,
    released: AtomicBool,
    ended: AtomicBool,
}

impl Scripted {
    pub fn start(script: fn(&Asked) -> Vec<Say>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
        let address = listener.local_addr().expect("it is bound");
        let (asked, released, ended) = Default::default();
        let shared = Arc::new(Shared { script, asked, released, ended });
        let of_acceptor = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if of_acceptor.ended.load(Ordering::Acquire) {
                    return;
                }
                let shared = Arc::clone(&of_acceptor);
                // An I/O error is the gate leaving, which it may.
                thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Self { address, shared }
    }

    /// Everything received so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last request for a target.
    pub fn last_at(&self, target: &str) -> Asked {
        let asked = self.asked();
        let last = asked.into_iter().rfind(|asked| asked.target == target);
        last.unwrap_or_else(|| panic!("no request for {target}"))
    }

    /// Ends all pauses, from now on.
    pub fn release(&self) {
        self.shared.released.store(true, Ordering::Release);
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.release();
        self.shared.ended.store(true, Ordering::Release);
        // Wakes the acceptor.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut from = BufReader::new(stream.try_clone()?);
        let mut to = stream;
        while let Some(asked) = read_request(&mut from)? {
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
            for say in (self.script)(&asked) {
                match say {
                    Say::Bytes(bytes) => to.write_all(&bytes)?,
                    Say::Wait => self.wait(&to, Duration::MAX)?,
                    Say::Pause(pause) => self.wait(&to, pause)?,
                    Say::Close => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// Looks at the connection meanwhile, so that it ends when the gate leaves.
    fn wait(&self, stream: &TcpStream, pause: Duration) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_millis(10)))?;
        let begun = Instant::now();
        while !self.released.load(Ordering::Acquire) && begun.elapsed() < pause {
            match stream.peek(&mut [0]) {
                Ok(_) => return Err(io::ErrorKind::ConnectionAborted.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        stream.set_read_timeout(Some(PATIENCE))
    }
}

/// Reads a head, and a body of announced length. None at the end.
fn read_request(from: &mut impl BufRead) -> io::Result<Option<Asked>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut fields = Fields::default();
    loop {
        line.clear();
        from.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            field => fields.push_line(field),
        }
    }
    let mut body = Vec::new();
    if let Some(length) = fields.value("content-length") {
        from.take(length.parse().expect("a number")).read_to_end(&mut body)?;
    }
    Ok(Some(Asked { method, target, fields, body }))
}

/// A whole response; HEAD gets its head.
pub fn whole(asked: &Asked, status: &str, fields: &str, body: &[u8]) -> Vec<Say> {
    let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    let body = if asked.method == "HEAD" { &[] } else { body };
    vec![Say::Bytes([head.as_bytes(), body].concat())]
}
