//! The demo's upstream: a payments service in memory, behind the gate like any other.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http_body::Frame;
use serde_json::{Value, json};

/// Payments in order of creation; bounded, so that a demo left running cannot grow for ever.
#[derive(Debug, Default)]
struct Payments(Mutex<Vec<Value>>);

const PAYMENTS_MAX: usize = 10_000;

/// The service's routes, as `conf/demo/payments.yaml` describes them.
pub fn routes() -> Router {
    let payments = Arc::new(Payments::default());
    for (amount, payee) in [(1250, "acme"), (990, "globex"), (420_000, "initech")] {
        payments.add(json!({ "amount_cents": amount, "payee": payee }));
    }
    Router::new()
        .route("/api/payments", get(list).post(create))
        .route("/api/payments/export", get(export))
        .route("/api/payments/{id}", get(show))
        .route("/api/payments/{id}/refunds", post(refund))
        .with_state(payments)
}

impl Payments {
    fn all(&self) -> MutexGuard<'_, Vec<Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None when the service is full.
    fn add(&self, order: Value) -> Option<Value> {
        let mut all = self.all();
        if all.len() >= PAYMENTS_MAX {
            return None;
        }
        let payment = json!({
            "id": (all.len() + 1).to_string(),
            "amount_cents": order.get("amount_cents").cloned().unwrap_or(json!(0)),
            "payee": order.get("payee").cloned().unwrap_or(json!("unknown")),
            "status": "settled",
        });
        all.push(payment.clone());
        Some(payment)
    }
}

async fn list(State(payments): State<Arc<Payments>>) -> Json<Value> {
    let all = payments.all();
    let newest: Vec<&Value> = all.iter().rev().take(20).collect();
    Json(json!({ "payments": newest }))
}

async fn show(State(payments): State<Arc<Payments>>, Path(id): Path<String>) -> Response {
    let found = payments.all().iter().find(|payment| payment["id"] == id.as_str()).cloned();
    found.map_or_else(not_found, |payment| Json(payment).into_response())
}

async fn create(State(payments): State<Arc<Payments>>, Json(order): Json<Value>) -> Response {
    match payments.add(order) {
        Some(payment) => (StatusCode::CREATED, Json(payment)).into_response(),
        None => (StatusCode::INSUFFICIENT_STORAGE, "the demo is full\n").into_response(),
    }
}

async fn refund(State(payments): State<Arc<Payments>>, Path(id): Path<String>) -> Response {
    let mut all = payments.all();
    let Some(payment) = all.iter_mut().find(|payment| payment["id"] == id.as_str()) else {
        return not_found();
    };
    payment["status"] = json!("refunded");
    (StatusCode::CREATED, Json(payment.clone())).into_response()
}

/// Server-sent events: one payment a second, until the caller leaves.
async fn export(State(payments): State<Arc<Payments>>) -> Response {
    let events = Events { payments, sent: 0, tick: tokio::time::interval(Duration::from_secs(1)) };
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::new(events)).into_response()
}

struct Events {
    payments: Arc<Payments>,
    sent: usize,
    tick: tokio::time::Interval,
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::task::ready!(self.tick.poll_tick(cx));
        let payment = {
            let all = self.payments.all();
            all.get(self.sent % all.len().max(1)).cloned().unwrap_or_default()
        };
        self.sent += 1;
        let event = format!("event: payment\ndata: {payment}\n\n");
        std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from(event)))))
    }
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "error": "no such payment" }))).into_response()
}
