//! Listening sockets: bound before anything is promised, then handed to one Pingora service.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::IntoRawFd;
use std::sync::Arc;

use parking_lot::Mutex;
use pingora::listeners::ListenerConfig;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::server::{Fds, ListenFds};
use pingora::services::listening::Service;
use socket2::SockRef;

use crate::edge::connection::Connections;
use crate::edge::flights::Listening;
use crate::model::id::ListenerName;
use crate::model::policy::Listener;

/// Every listener of the config, bound.
#[derive(Debug)]
pub struct Bound {
    pub listeners: Vec<Listening>,
    sockets: Vec<TcpListener>,
}

/// A listener whose address cannot be had.
#[derive(Debug)]
pub struct BindError {
    pub listener: ListenerName,
    pub address: SocketAddr,
    pub error: io::Error,
}

/// How much of an answer the system keeps that it cannot send yet. Its own bound is some megabytes,
/// of which a slow reader frees a third before anybody hears of it: too late to tell how slow.
const UNSENT_BYTES_MAX: u32 = 64 * 1024;

/// Binds all of them, or says which one cannot be. Pingora would try for 30 seconds, then panic.
pub fn bind(listeners: &[Listener]) -> Result<Bound, BindError> {
    let mut bound = Bound { listeners: Vec::new(), sockets: Vec::new() };
    for listener in listeners {
        let failed =
            |error| BindError { listener: listener.name.clone(), address: listener.address, error };
        let socket = TcpListener::bind(listener.address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        // Accepted connections take it over.
        SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_BYTES_MAX).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let (name, scheme) = (listener.name.clone(), listener.scheme());
        bound.listeners.push(Listening { name, address, scheme });
        bound.sockets.push(socket);
    }
    Ok(bound)
}

/// One service for all listeners, so that all share one pool of upstream connections; and the
/// table by which Pingora takes over the sockets.
pub fn service(bound: Bound, app: Connections) -> (Service<Connections>, ListenFds) {
    let mut service = Service::new("onegate".to_owned(), app);
    let mut fds = Fds::new();
    for (Listening { address, .. }, socket) in bound.listeners.iter().zip(bound.sockets) {
        // The lane reads heads through its own scratch buffer, so Pingora's read buffer, which
        // every idle connection would own, is left out. The write buffer joins head and body.
        let buffers = L4BufferSettings::new(0, WRITE_BUFFER_BYTES);
        service.add_listener(ListenerConfig::tcp(address.to_string()).l4_buffer(buffers));
        fds.add(address.to_string(), socket.into_raw_fd());
    }
    (service, Arc::new(Mutex::new(fds)))
}

/// A TCP segment on Ethernet.
const WRITE_BUFFER_BYTES: usize = 1460;
