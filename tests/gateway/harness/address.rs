//! Addresses that nobody else takes.
//!
//! A gate cannot say which port it was given, so a test must choose one before. All of 127.0.0.0/8
//! is this machine's: each test process takes the address that its process id spells, where no other
//! test listens and no outgoing connection starts.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

/// An address of this process where nothing listens.
pub fn free() -> SocketAddr {
    static NEXT_PORT: AtomicU16 = AtomicU16::new(20_000);
    loop {
        let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let address = SocketAddr::from((own_ip(), port));
        // Something may listen on all addresses of the machine: then the next port.
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Process ids have at most 22 bits, so they fit after the 127.
fn own_ip() -> Ipv4Addr {
    let [_, b, c, d] = process::id().to_be_bytes();
    Ipv4Addr::new(127, b, c, d)
}
