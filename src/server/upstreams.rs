//! Starts the upstreams and the threads that look after them: names are resolved, endpoints checked.

use std::io;
use std::sync::Arc;

use prometheus::IntCounterVec;

use crate::edge::upstreams::names::Names;
use crate::edge::upstreams::{RESOLVE_EVERY, Upstreams, checks};
use crate::model::policy::Policy;

use super::ticker::{Keeper, Ticker};

/// Looks after the upstreams until dropped.
#[derive(Debug)]
pub struct Lookout {
    _resolver: Ticker,
    _keeper: Keeper,
}

/// The upstreams of a policy. Names have been looked up once when this returns.
pub fn start(policy: &Policy, retries: IntCounterVec) -> io::Result<(Arc<Upstreams>, Lookout)> {
    let upstreams = Arc::new(Upstreams::new(retries, Names::default()));
    upstreams.adopt(&policy.upstreams);
    upstreams.resolve_and_wait();
    let keeper = Keeper::start("onegate-upstreams", checks::keep(Arc::clone(&upstreams)))?;
    let resolving = Arc::clone(&upstreams);
    let resolver = Ticker::start("onegate-resolver", RESOLVE_EVERY, move || resolving.resolve())?;
    Ok((upstreams, Lookout { _resolver: resolver, _keeper: keeper }))
}
