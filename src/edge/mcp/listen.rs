//! `subscriptions/listen`: a stream that tells a client when its list of tools is another one. It ends with
//! the client, with its permission, with the gate, or after its time.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ahash::AHashMap;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::clock;
use crate::mcp::envelope::RpcId;
use crate::mcp::{event, reply};
use crate::model::client::{Client, Credential};
use crate::model::denial::{Advice, Denial, Refusal};
use crate::model::id::ClientId;
use crate::model::mcp::McpBounds;
use crate::model::policy::Policy;
use crate::model::snapshot::Snapshot;
use crate::request::limit::Admitted;
use crate::request::listing::{Narrowing, Sight};
use crate::request::{self, Call};

use super::super::{Shared, admission};
use super::serving::{Serving, Under};
use super::stream;

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
    fn seat(self: &Arc<Self>, client: &ClientId, most: u32, most_of_all: usize) -> Option<Seat> {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.values().map(|open| *open as usize).sum::<usize>() >= most_of_all {
            return None;
        }
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
    mut serving: Serving<'_>,
    under: Under<'_>,
    admitted: Admitted,
    (id, wants_tools): (&RpcId, bool),
) -> Result<()> {
    let Serving { shared, session, ctx } = &mut serving;
    let Some(request) = &mut ctx.request else { return Ok(()) };
    let Some(known) = admitted.known() else { return Ok(()) };
    let bounds = under.mcp.bounds;
    // Each counts among the requests in flight: they must leave room for others.
    let most_of_all = request.snapshot.policy.bounds.requests_max / 2;
    let listeners = &shared.mcp.listeners;
    let seat = listeners.seat(&known.client.id, bounds.listeners_max, most_of_all);
    let Some(_seat) = seat else {
        let advice = Advice::Retry { after_seconds: 1, limit: None };
        let reason = "the client has as many subscriptions as it may";
        let refusal = Refusal::advising(Denial::ConcurrencyLimited, advice, reason);
        return serving.refuse(Some(id), refusal).await;
    };
    // Registered first, judged second, as every call that lasts.
    ctx.flight.live().call = Some(admitted.call());
    fence(Ordering::SeqCst);
    if shared.snapshot.changes() != request.changes
        && let Err((refusal, running)) = admission::again(shared, &admitted)
    {
        request.snapshot = running;
        return serving.refuse(Some(id), refusal).await;
    }
    // Before the list is looked at: what changes from here on is heard.
    let bell = shared.flights.bell();
    let call = admitted.call();
    let (host, narrowing) = (Arc::clone(&request.host), under.narrowing);
    request.status = 200;
    request.answer_begins(shared);
    let looks = Looks { call: &call, host: &host, narrowing };
    let mut subscription = Subscription::new(shared, looks, bounds, bell);
    stream::begin(session, request.id, request.dress.as_ref()).await?;
    stream::send(session, event::acknowledged(id, wants_tools)).await?;
    match subscription.last(session, (id, wants_tools)).await? {
        // As of every stream that its caller leaves.
        Last::Left => Err(Error::new_down(ErrorType::ConnectionClosed)),
        Last::Over => stream::end(session, reply::listened(id).as_bytes()).await,
    }
}

/// How a subscription came to its end.
enum Last {
    /// The caller left.
    Left,
    /// It has had its time, or the gate stops.
    Over,
}

/// Who looks at the list, and from where.
#[derive(Clone, Copy)]
struct Looks<'a> {
    call: &'a Call,
    host: &'a str,
    narrowing: &'a Narrowing,
}

struct Subscription<'a> {
    shared: &'a Shared,
    looks: Looks<'a>,
    bounds: McpBounds,
    bell: watch::Receiver<()>,
    /// What the list was made of when it was looked at last.
    grounds: Grounds,
    /// The list as the caller knows it.
    told: u64,
}

/// What a list is made of, but for the time: while all three are the same, so is the list.
type Grounds = (Arc<Policy>, Option<Arc<Client>>, Option<Arc<Credential>>);

impl<'a> Subscription<'a> {
    fn new(
        shared: &'a Shared,
        looks: Looks<'a>,
        bounds: McpBounds,
        bell: watch::Receiver<()>,
    ) -> Self {
        let running = shared.snapshot.load();
        let (grounds, told) = (grounds(&running, looks.call), looks.listed(&running));
        Self { shared, looks, bounds, bell, grounds, told }
    }

    async fn last(&mut self, session: &mut Session, asked: (&RpcId, bool)) -> Result<Last> {
        let (id, wants_tools) = asked;
        let mut keep_alive = Box::pin(sleep(self.bounds.keep_alive));
        let mut over = Box::pin(sleep(self.bounds.listen_for));
        let mut look = Box::pin(sleep(look_after()));
        let mut is_rung = false;
        while !self.shared.flights.is_draining() {
            tokio::select! {
                biased;
                _ = session.as_mut().read_body_or_idle(true) => return Ok(Last::Left),
                () = &mut over => return Ok(Last::Over),
                rung = self.bell.changed(), if !is_rung => {
                    is_rung = rung.is_ok();
                }
                () = &mut look, if is_rung => {
                    is_rung = false;
                    look.as_mut().set(sleep(look_after()));
                    if self.stands_on_other_grounds() && self.is_another_list() && wants_tools {
                        stream::send(session, event::tools_changed(id)).await?;
                    }
                }
                () = &mut keep_alive => {
                    keep_alive.as_mut().set(sleep(self.bounds.keep_alive));
                    // Nobody rings when something expires.
                    if self.has_expired() {
                        return Ok(Last::Over);
                    }
                    let news = if wants_tools && self.is_another_list() {
                        event::tools_changed(id)
                    } else {
                        event::KEEP_ALIVE
                    };
                    stream::send(session, news).await?;
                }
            }
        }
        Ok(Last::Over)
    }

    fn has_expired(&self) -> bool {
        let running = self.shared.snapshot.load();
        request::still_permitted(&running, self.looks.call, clock::now()).is_err()
    }

    fn stands_on_other_grounds(&mut self) -> bool {
        let now = grounds(&self.shared.snapshot.load(), self.looks.call);
        let (policy, client, credential) = &self.grounds;
        let is_same = |of: &Grounds| {
            Arc::ptr_eq(policy, &of.0)
                && same(client.as_ref(), of.1.as_ref())
                && same(credential.as_ref(), of.2.as_ref())
        };
        let changed = !is_same(&now);
        self.grounds = now;
        changed
    }

    fn is_another_list(&mut self) -> bool {
        let now = self.looks.listed(&self.shared.snapshot.load());
        std::mem::replace(&mut self.told, now) != now
    }
}

fn same<T>(a: Option<&Arc<T>>, b: Option<&Arc<T>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn grounds(running: &Snapshot, call: &Call) -> Grounds {
    let credential = call.credential.and_then(|id| running.inventory.credentials.get(&id)).cloned();
    let client = credential.as_ref();
    let client = client.and_then(|of| running.inventory.clients.get(&of.client)).cloned();
    (Arc::clone(&running.policy), client, credential)
}

/// Not all at once: thousands may hear the same bell.
fn look_after() -> Duration {
    LOOK_EVERY.mul_f64(1.0 + rand::random::<f64>() / 2.0)
}

impl Looks<'_> {
    /// What of the catalogue the caller is shown now, as a mark.
    fn listed(&self, running: &Snapshot) -> u64 {
        let Some(mcp) = &running.policy.mcp else { return 0 };
        let caller = (self.call, self.host);
        let sight = Sight::of_caller(running, &mcp.api, caller, self.narrowing, clock::now());
        let Some(sight) = sight else { return 0 };
        let tools = sight.tools(&mcp.catalogue);
        let mut hasher = DefaultHasher::new();
        sight.shown(mcp, &tools).hash(&mut hasher);
        for tool in tools {
            tool.digest.hash(&mut hasher);
        }
        hasher.finish()
    }
}
