//! The closed-loop generator: one thread, a few keep-alive connections, each with one request under
//! way. It finds CPU per request at full load; it cannot find latencies, since it waits for the
//! server before it sends the next.

use std::net::SocketAddr;

use crate::client::Connection;
use crate::error::{Error, Result};

#[derive(Debug)]
pub struct ClosedLoop {
    connections: Vec<Connection>,
    request: Vec<u8>,
}

impl ClosedLoop {
    pub fn open(address: SocketAddr, connections: u32, request: &[u8]) -> Result<Self> {
        let connections: Result<_> = (0..connections).map(|_| Connection::open(address)).collect();
        Ok(Self { connections: connections?, request: request.to_vec() })
    }

    /// Sends `rounds` requests on each connection and takes every answer, all 200. Each connection
    /// is served again as soon as its turn comes, so all but one are always under way.
    pub fn run(&mut self, rounds: u32) -> Result<()> {
        for connection in &mut self.connections {
            connection.send(&self.request)?;
        }
        for round in 1..=rounds {
            for connection in &mut self.connections {
                let answer = connection.receive()?;
                if answer.status != 200 {
                    return Err(Error::unexpected("the server", format!("{answer:?}")));
                }
                if round < rounds {
                    connection.send(&self.request)?;
                }
            }
        }
        Ok(())
    }
}
