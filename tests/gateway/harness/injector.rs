//! Adds a key to each request of a program that cannot be told one. All else passes as it is, `Host` and
//! `Origin` too.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub struct Injector {
    /// On 127.0.0.1, which is what programs take for this machine.
    pub address: SocketAddr,
    ended: Arc<AtomicBool>,
}

impl Injector {
    /// Connects each of its callers to `to`.
    pub fn start(to: SocketAddr, key: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
        let address = listener.local_addr().expect("it is bound");
        let ended = Arc::new(AtomicBool::new(false));
        let of_acceptor = Arc::clone(&ended);
        let field: Arc<str> = format!("Authorization: Bearer {key}\r\n").into();
        thread::spawn(move || {
            for from in listener.incoming().map_while(Result::ok) {
                if of_acceptor.load(Ordering::Acquire) {
                    return;
                }
                let field = Arc::clone(&field);
                // An I/O error is a side leaving, which it may.
                thread::spawn(move || drop(connect(&from, to, &field)));
            }
        });
        Self { address, ended }
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // Wakes the acceptor.
        drop(TcpStream::connect(self.address));
    }
}

/// Requests go one way, each with the field; whatever comes back goes the other. The end of one side is
/// the end of both.
fn connect(from: &TcpStream, to: SocketAddr, field: &str) -> io::Result<()> {
    let to = TcpStream::connect(to)?;
    from.set_nodelay(true)?;
    to.set_nodelay(true)?;
    let (mut back_from, mut back_to) = (to.try_clone()?, from.try_clone()?);
    thread::spawn(move || {
        drop(io::copy(&mut back_from, &mut back_to));
        drop(back_to.shutdown(Shutdown::Both));
    });
    let passed = pass_requests(&mut BufReader::new(from), &to, field);
    drop(to.shutdown(Shutdown::Both));
    passed
}

/// Ends with the connection.
fn pass_requests(from: &mut impl BufRead, mut to: &TcpStream, field: &str) -> io::Result<()> {
    loop {
        let mut head = String::new();
        if from.read_line(&mut head)? == 0 {
            return Ok(());
        }
        head.push_str(field);
        let mut length = 0;
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let lower = line.to_ascii_lowercase();
            assert!(!lower.starts_with("transfer-encoding:"), "bodies have a length here: {line}");
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length is a number");
            }
            head.push_str(&line);
            if line == "\r\n" {
                break;
            }
        }
        to.write_all(head.as_bytes())?;
        io::copy(&mut from.take(length), &mut to)?;
    }
}
