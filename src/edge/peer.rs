//! Stage 5, route: from an admitted request to the peer that Pingora connects to. There is no
//! other way to a peer, so what skipped a stage cannot be forwarded.

use std::net::SocketAddr;
use std::sync::Arc;

use pingora::upstreams::peer::HttpPeer;

use crate::model::denial::Failure;
use crate::model::upstream::Upstream;
use crate::request::limit::Admitted;

use super::upstreams::Upstreams;

/// Where an admitted request goes.
#[derive(Debug)]
pub struct Route {
    pub peer: Box<HttpPeer>,
    pub address: SocketAddr,
    pub upstream: Arc<Upstream>,
}

/// Chooses an endpoint of the operation's upstream.
pub fn route(admitted: &Admitted, upstreams: &Upstreams) -> Result<Route, Failure> {
    let upstream = admitted.api().upstream.as_ref().ok_or(Failure::InternalError)?;
    let pool = upstreams.pool(upstream).ok_or(Failure::InternalError)?;
    let address = pool.pick().ok_or(Failure::UpstreamUnreachable)?;
    let peer = Box::new(peer(address, &pool.upstream));
    Ok(Route { peer, address, upstream: Arc::clone(&pool.upstream) })
}

/// Only what no flight can watch is left to Pingora: connecting, and idle connections in its pool.
/// First byte, idle and total time are the flight's (`edge::flight`), which needs no timer for
/// them.
fn peer(address: SocketAddr, upstream: &Upstream) -> HttpPeer {
    let mut peer = HttpPeer::new(address, false, String::new());
    peer.options.connection_timeout = Some(upstream.timeouts.connect);
    peer.options.total_connection_timeout = Some(upstream.timeouts.connect);
    peer.options.idle_timeout = Some(upstream.keepalive);
    peer
}
