//! `bare`: the smallest Pingora proxy there can be, the floor that a governed request is compared
//! with. It forwards every request, key header included, to one fixed upstream and must never gain
//! a feature: what it does not do is what the gate is charged for.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use clap::Parser;
use pingora::listeners::ListenerConfig;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::proxy::{ProxyHttp, Session, http_proxy_service_with_name};
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[cfg(not(any(feature = "jemalloc", feature = "system")))]
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "bare", about = "A bare Pingora proxy to compare the gate with")]
struct Flags {
    /// Where to listen, on loopback.
    #[arg(long)]
    listen: SocketAddr,
    /// Where every request goes.
    #[arg(long)]
    upstream: SocketAddr,
    /// Worker threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Read buffer of each accepted connection in bytes; 0 is none, absent is Pingora's 64 KiB.
    #[arg(long)]
    l4_read: Option<usize>,
    /// Forward the fields of one hop too, as no proxy may, and spare the search for them.
    #[arg(long)]
    keep_hop_by_hop: bool,
}

fn main() -> std::io::Result<()> {
    let flags = Flags::parse();
    // The first line of the output: the harness shows it beside the figures.
    writeln!(std::io::stdout(), "Pingora 0.9.1, {ALLOCATOR}, {}", buffer_in_words(flags.l4_read))?;
    // As the gate: one service, so one multi-thread runtime and one pool of upstream connections.
    let conf = ServerConf { threads: flags.threads, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let policy = if flags.keep_hop_by_hop {
        HttpUpstreamRequestPolicy::preserve()
    } else {
        HttpUpstreamRequestPolicy::default()
    };
    let proxy = Bare { upstream: flags.upstream, policy };
    let mut service = http_proxy_service_with_name(&server.configuration, proxy, "bare");
    let buffer = L4BufferSettings { read: flags.l4_read, write: None };
    service.add_listener(ListenerConfig::tcp(flags.listen.to_string()).l4_buffer(buffer));
    server.add_service(service);
    server.run(RunArgs::default());
    Ok(())
}

struct Bare {
    upstream: SocketAddr,
    policy: HttpUpstreamRequestPolicy,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        _ctx: &mut Self::CTX,
    ) -> pingora::Result<Box<HttpPeer>> {
        let mut peer = peer(self.upstream);
        peer.options.http_upstream_request_policy = self.policy;
        Ok(Box::new(peer))
    }
}

/// The peer, made for each request and with the options that `src/edge/peer.rs` of the gate sets.
/// The two must set the same ones: a read timeout alone costs 2,700 instructions per request, an
/// idle timeout 1,900. Their values do not matter here.
///
/// One is a flag. A proxy must take fields of one hop out, and Pingora searches every head for them. The
/// gate looks itself, and tells Pingora to spare the search where there are none. With
/// `--keep-hop-by-hop` this one is told so too, and never looks: less than a proxy must do, and the floor
/// of `loadtest instructions`, because it has the same options.
fn peer(upstream: SocketAddr) -> HttpPeer {
    let mut peer = HttpPeer::new(upstream, false, String::new());
    peer.options.connection_timeout = Some(Duration::from_secs(2));
    peer.options.total_connection_timeout = Some(Duration::from_secs(2));
    peer.options.idle_timeout = Some(Duration::from_mins(1));
    peer
}

fn buffer_in_words(l4_read: Option<usize>) -> String {
    l4_read.map_or_else(|| "L4 read 64 KiB (default)".into(), |bytes| format!("L4 read {bytes} B"))
}

const ALLOCATOR: &str = if cfg!(feature = "jemalloc") {
    "jemalloc"
} else if cfg!(feature = "system") {
    "the system's allocator"
} else {
    "mimalloc"
};
