//! Upstreams for tests of this folder: defaults as config has them, and addresses that need no
//! resolver.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::model::balance::{Balance, Ejection, RetryBudget};
use crate::model::id::UpstreamName;
use crate::model::upstream::{
    Address, Endpoint, Location, Protocol, Timeouts, Transport, Upstream,
};

use super::instance::Instance;
use super::pick::Member;

pub fn upstream(balance: Balance) -> Upstream {
    let second = Duration::from_secs(1);
    Upstream {
        name: UpstreamName::parse("lab").expect("a valid name"),
        endpoints: Box::new([]),
        timeouts: Timeouts { connect: second, first_byte: second, idle: second, total: second },
        retries: 2,
        retry_budget: RetryBudget { percent: 20, at_least: 10 },
        keepalive: second,
        transport: Transport { protocol: Protocol::Http1, tls: None },
        balance,
        connections_max: None,
        check: None,
        ejection: ejection(),
        panic_threshold: 50,
    }
}

pub fn ejection() -> Ejection {
    let (first, longest) = (Duration::from_secs(10), Duration::from_mins(1));
    Ejection { failures: 2, first, longest, share_max: 50 }
}

pub fn endpoint(host: &str, weight: u16) -> Endpoint {
    Endpoint { location: Location::Host { name: host.into(), port: 80 }, weight }
}

pub fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 80))
}

/// Where an instance is that is no socket.
pub fn inet(instance: &Instance) -> SocketAddr {
    match &instance.address {
        Address::Inet(address) => *address,
        Address::Unix(path) => panic!("a socket: {path}"),
    }
}

/// One for each weight, at 10.0.0.0, 10.0.0.1, and so on.
pub fn members(weights: &[u16]) -> Vec<Member> {
    let member = |(last, weight): (u8, &u16)| {
        let instance =
            Arc::new(Instance::new(&endpoint("h", *weight), &Address::Inet(address(last))));
        Member { instance, weight: *weight }
    };
    (0..).zip(weights).map(member).collect()
}
