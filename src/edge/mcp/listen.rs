//! `subscriptions/listen`: a stream that tells a client when its list of tools is another one. It ends with
//! the client, with its permission, with the gate, or after its time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ahash::AHashMap;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use tokio::time::sleep;

use crate::clock;
use crate::mcp::envelope::RpcId;
use crate::mcp::{event, reply};
use crate::model::denial::{Advice, Denial, Refusal};
use crate::model::id::ClientId;
use crate::model::mcp::McpBounds;
use crate::request::limit::Admitted;
use crate::request::{Call, listing};

use super::super::ctx::Ctx;
use super::super::{Shared, admission};
use super::{refuse, stream};

/// How many streams each client has.
#[derive(Debug, Default)]
pub struct Listeners(Mutex<AHashMap<ClientId, u32>>);

/// One stream of a client; counted as long as it is held.
#[derive(Debug)]
struct Seat {
    listeners: Arc<Listeners>,
    client: ClientId,
}

impl Listeners {
    fn seat(self: &Arc<Self>, client: &ClientId, most: u32) -> Option<Seat> {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = streams.entry(client.clone()).or_default();
        if *open >= most {
            return None;
        }
        *open += 1;
        Some(Seat { listeners: Arc::clone(self), client: client.clone() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut streams = self.listeners.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = streams.get_mut(&self.client) {
            *open -= 1;
            if *open == 0 {
                streams.remove(&self.client);
            }
        }
    }
}

/// A change of the inventory or the config may be one of many: lists are looked at this often at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub async fn serve(
    shared: &Arc<Shared>,
    session: &mut Session,
    ctx: &mut Ctx,
    admitted: Admitted,
    (id, wants_tools): (&RpcId, bool),
) -> Result<()> {
    let Some(request) = &mut ctx.request else { return Ok(()) };
    let (Some(known), Some(mcp)) = (admitted.known(), &request.snapshot.policy.mcp) else {
        return Ok(());
    };
    let bounds = mcp.bounds;
    let Some(_seat) = shared.mcp.listeners.seat(&known.client.id, bounds.listeners_max) else {
        let advice = Advice::Retry { after_seconds: 1, limit: None };
        let reason = "the client has as many subscriptions as it may";
        let refusal = Refusal::advising(Denial::ConcurrencyLimited, advice, reason);
        return refuse(shared, session, ctx, Some(id), refusal).await;
    };
    // Registered first, judged second, as every call that lasts.
    ctx.flight.live().call = Some(admitted.call());
    fence(Ordering::SeqCst);
    if shared.snapshot.changes() != request.changes
        && let Err((refusal, running)) = admission::again(shared, &admitted)
    {
        request.snapshot = running;
        return refuse(shared, session, ctx, Some(id), refusal).await;
    }
    let call = admitted.call();
    request.status = 200;
    request.answer_begins(shared);
    stream::begin(session, request.id).await?;
    stream::send(session, event::acknowledged(id, wants_tools)).await?;
    let mut subscription =
        Subscription { shared, call: &call, bounds, told: listed(shared, &call) };
    match subscription.last(session, (id, wants_tools)).await? {
        // As of every stream that its caller leaves.
        Last::Left => Err(Error::new_down(ErrorType::ConnectionClosed)),
        Last::Over => stream::end(session, &reply::listened(id)).await,
    }
}

/// How a subscription came to its end.
enum Last {
    /// The caller left.
    Left,
    /// It has had its time, or the gate stops.
    Over,
}

struct Subscription<'a> {
    shared: &'a Shared,
    call: &'a Call,
    bounds: McpBounds,
    /// The list as the caller knows it.
    told: u64,
}

impl Subscription<'_> {
    async fn last(&mut self, session: &mut Session, asked: (&RpcId, bool)) -> Result<Last> {
        let (id, wants_tools) = asked;
        let mut bell = self.shared.flights.bell();
        let mut keep_alive = Box::pin(sleep(self.bounds.keep_alive));
        let mut over = Box::pin(sleep(self.bounds.listen_for));
        let mut look = Box::pin(sleep(LOOK_EVERY));
        let mut is_rung = false;
        loop {
            tokio::select! {
                biased;
                _ = session.as_mut().read_body_or_idle(true) => return Ok(Last::Left),
                () = &mut over => return Ok(Last::Over),
                rung = bell.changed() => {
                    if rung.is_err() || self.shared.flights.is_draining() {
                        return Ok(Last::Over);
                    }
                    is_rung = true;
                }
                () = &mut look, if is_rung => {
                    is_rung = false;
                    look.as_mut().set(sleep(LOOK_EVERY));
                    if self.is_another_list() && wants_tools {
                        stream::send(session, event::tools_changed(id)).await?;
                    }
                }
                () = &mut keep_alive => {
                    keep_alive.as_mut().set(sleep(self.bounds.keep_alive));
                    stream::send(session, event::KEEP_ALIVE.to_owned()).await?;
                }
            }
        }
    }

    fn is_another_list(&mut self) -> bool {
        let now = listed(self.shared, self.call);
        std::mem::replace(&mut self.told, now) != now
    }
}

/// What of the catalogue the caller may call now, as a mark.
fn listed(shared: &Shared, call: &Call) -> u64 {
    let snapshot = shared.snapshot.load();
    let Some(mcp) = &snapshot.policy.mcp else { return 0 };
    let tools = listing::tools(&snapshot, &mcp.catalogue, &mcp.api, call, clock::now());
    let mut hasher = DefaultHasher::new();
    for tool in tools {
        tool.digest.hash(&mut hasher);
    }
    hasher.finish()
}
