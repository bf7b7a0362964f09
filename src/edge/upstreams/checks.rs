//! Active checks: endpoints are asked whether they are well, over the same kind of connection that
//! requests use. All upstreams share one thread; it also ends ejections when their time is over.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::header;
use pingora::connectors::TransportConnector;
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

use crate::clock;
use crate::edge::peer;
use crate::model::balance::CheckKind;
use crate::model::upstream::{Location, Protocol};

use super::Upstreams;
use super::instance::Instance;
use super::pool::Pool;

/// How often it is looked whether a check is due or an ejection over.
const TICK: Duration = Duration::from_millis(50);
/// Most checks under way; others wait their turn.
const CHECKS_MAX: usize = 64;

/// What checks connect with, apart from requests' pools: a check never uses an old connection of
/// HTTP/1. Made when the first check is due.
struct Checker {
    http: LazyLock<Connector>,
    tcp: LazyLock<TransportConnector>,
    places: Semaphore,
}

/// Keeps the upstreams until dropped.
pub async fn keep(upstreams: Arc<Upstreams>) {
    let checker = Arc::new(Checker {
        http: LazyLock::new(|| Connector::new(None)),
        tcp: LazyLock::new(|| TransportConnector::new(None)),
        places: Semaphore::new(CHECKS_MAX),
    });
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let now = clock::mono();
        for pool in upstreams.current() {
            pool.end_ejections(now);
            for instance in pool.due_checks(now, spread) {
                let (pool, checker) = (Arc::clone(&pool), Arc::clone(&checker));
                tokio::spawn(async move {
                    let result = checker.check(&pool, &instance).await;
                    pool.checked(&instance, result);
                });
            }
        }
    }
}

/// A pause, lengthened by chance by up to a tenth: so that checks of many gates and endpoints do
/// not come in step.
fn spread(pause: Duration) -> Duration {
    pause + (pause / 10).mul_f64(rand::random::<f64>())
}

impl Checker {
    async fn check(&self, pool: &Pool, instance: &Instance) -> Result<(), String> {
        let Some(check) = &pool.upstream.check else { return Ok(()) };
        // It is never closed.
        let _place = self.places.acquire().await;
        let ask = async {
            match &check.kind {
                CheckKind::Tcp => self.connect(pool, instance).await.map(|()| None),
                CheckKind::Http { path, host, .. } => {
                    self.get(pool, instance, path, host.as_deref()).await.map(Some)
                }
            }
        };
        let status = match tokio::time::timeout(check.timeout, ask).await {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => return Err(error.to_string().trim().to_owned()),
            Err(_) => return Err(format!("no answer to a check within {:?}", check.timeout)),
        };
        match (&check.kind, status) {
            (CheckKind::Http { expect, .. }, Some(status)) if !expect.contains(&status) => {
                Err(format!("a check was answered with {status}"))
            }
            (CheckKind::Http { .. } | CheckKind::Tcp, _) => Ok(()),
        }
    }

    async fn connect(&self, pool: &Pool, instance: &Instance) -> Result<()> {
        let peer = peer(instance, pool)?;
        self.tcp.new_stream(&*peer).await.map(drop)
    }

    /// The status of a GET. The body is not read: the connection ends with it.
    async fn get(
        &self,
        pool: &Pool,
        instance: &Instance,
        path: &str,
        host: Option<&str>,
    ) -> Result<u16> {
        let peer = peer(instance, pool)?;
        let (mut session, _) = self.http.get_http_session(&*peer).await?;
        let is_http1 = session.as_http1().is_some();
        if is_http1 != (pool.upstream.transport.protocol == Protocol::Http1) {
            return Error::e_explain(ErrorType::H2Error, "it does not offer HTTP/2");
        }
        let mut head = RequestHeader::build("GET", path.as_bytes(), None)?;
        match host {
            Some(host) => head.insert_header(header::HOST, host)?,
            None => head.insert_header(header::HOST, authority(instance))?,
        }
        head.insert_header(header::USER_AGENT, "onegate-health-check")?;
        if is_http1 {
            head.insert_header(header::CONNECTION, "close")?;
        }
        session.write_request_header(Box::new(head)).await?;
        session.finish_request_body().await?;
        session.read_response_header().await?;
        Ok(session.response_header().map_or(0, |head| head.status.as_u16()))
    }
}

fn peer(instance: &Instance, pool: &Pool) -> Result<Box<HttpPeer>> {
    peer::to(instance, pool).map_err(|_| Error::new_in(ErrorType::InternalError))
}

fn authority(instance: &Instance) -> String {
    match &instance.location {
        location @ Location::Host { .. } => location.to_string(),
        Location::Unix(_) => "localhost".to_owned(),
    }
}
