//! The metrics listener: `/metrics`, `/livez`, `/readyz`, on an address of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

/// What the listener asks the gate.
pub trait Gauges: Send + Sync {
    /// The text of a scrape.
    fn scrape(&self) -> Vec<u8>;
    /// Whether the gate takes new requests.
    fn is_ready(&self) -> bool;
}

/// Serves until the task is dropped.
pub async fn serve(listener: std::net::TcpListener, gauges: Arc<dyn Gauges>) {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(|| async { "live\n" }))
        .route("/readyz", get(ready))
        .with_state(gauges);
    let served = async { axum::serve(TcpListener::from_std(listener)?, routes).await };
    if let Err(error) = served.await {
        log::error!("the metrics listener ended: {error}");
    }
}

/// Binds now, so that an address in use is told at the start.
pub fn bind(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn metrics(State(gauges): State<Arc<dyn Gauges>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], gauges.scrape()).into_response()
}

async fn ready(State(gauges): State<Arc<dyn Gauges>>) -> Response {
    if gauges.is_ready() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response()
    }
}
