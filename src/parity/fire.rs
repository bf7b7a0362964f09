//! Sends the steps of a plan to a gate, by one surface. Clients call at the same time; each makes one call after
//! the other, so that what is left of its limits is the same on every surface.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use crate::model::api::{CredentialLocation, Effect};
use crate::model::mcp::MetaTool;

use super::error::ParityError;
use super::plan::{Call, Caller, Plan, Sequence, Step, Why};
use super::stub::Stub;
use super::surface::{Era, Surface};

/// What a caller got.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub fields: HeaderMap,
    pub body: Bytes,
}

/// Clients that call at once.
const AT_ONCE: usize = 16;
/// Of one call. The stub answers at once, and limits refuse rather than wait.
const DEADLINE: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Where the steps are sent, and how.
#[derive(Clone, Debug)]
pub struct Aim {
    pub address: SocketAddr,
    pub surface: Surface,
    pub stub: Stub,
}

/// A sequence by its place, and its answers.
type Done = (usize, Vec<Answer>);

/// Sends all, and gives the answers of each sequence in its order.
pub fn fire(
    runtime: &Runtime,
    aim: &Aim,
    plan: &Arc<Plan>,
    sequences: &Arc<Vec<Sequence>>,
) -> Result<Vec<Vec<Answer>>, ParityError> {
    let next = Arc::new(Mutex::new(0_usize));
    let worker = |_| -> JoinHandle<Result<Vec<Done>, ParityError>> {
        let (aim, plan, sequences) = (aim.clone(), Arc::clone(plan), Arc::clone(sequences));
        let next = Arc::clone(&next);
        runtime.spawn(async move {
            let mut done = Vec::new();
            loop {
                let at = take(&next);
                let Some(sequence) = sequences.get(at) else { return Ok(done) };
                done.push((at, of_client(&aim, &plan, sequence).await?));
            }
        })
    };
    let workers: Vec<_> = (0..AT_ONCE).map(worker).collect();
    let mut all = Vec::new();
    for worker in workers {
        let done = runtime.block_on(worker).map_err(|error| ParityError::Io(error.into()))?;
        all.extend(done?);
    }
    all.sort_unstable_by_key(|(at, _)| *at);
    Ok(all.into_iter().map(|(_, answers)| answers).collect())
}

fn take(next: &Mutex<usize>) -> usize {
    let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
    *next += 1;
    *next - 1
}

async fn of_client(
    aim: &Aim,
    plan: &Arc<Plan>,
    steps: &[Step],
) -> Result<Vec<Answer>, ParityError> {
    let mut line = Line::default();
    let mut answers = Vec::with_capacity(steps.len());
    let mut rest = steps;
    while let Some((step, after)) = rest.split_first() {
        let is_held = |step: &&Step| matches!(step.why, Why::Held(_));
        let (held, beyond) = rest.split_at(rest.iter().take_while(is_held).count());
        if held.is_empty() {
            answers.push(one(aim, plan, *step, &mut line).await?);
            rest = after;
        } else {
            answers.extend(at_once(aim, plan, held).await?);
            rest = beyond;
        }
    }
    Ok(answers)
}

/// Calls that go on at the same time, begun one after the other. One that is let in is held by the stub; one that
/// is refused is answered meanwhile.
async fn at_once(aim: &Aim, plan: &Arc<Plan>, steps: &[Step]) -> Result<Vec<Answer>, ParityError> {
    let client = steps.first().and_then(|step| plan.callers.get(step.caller));
    let held = aim.stub.hold(client.map_or("", |caller| &caller.client));
    let mut begun = Vec::new();
    for step in steps {
        let (of, plan, step) = (aim.clone(), Arc::clone(plan), *step);
        let call = async move { one(&of, &plan, step, &mut Line::default()).await };
        let mut call = tokio::spawn(call);
        let earlier = held.count();
        begun.push(tokio::select! {
            answer = &mut call => Begun::Answered(answer),
            () = held.arrived(earlier + 1) => Begun::Held(call),
        });
    }
    drop(held);
    let mut answers = Vec::new();
    for call in begun {
        let answer = match call {
            Begun::Answered(answer) => answer,
            Begun::Held(call) => call.await,
        };
        answers.push(answer.map_err(|error| ParityError::Io(error.into()))??);
    }
    Ok(answers)
}

/// A call that is made while others go on.
enum Begun {
    Answered(Result<Result<Answer, ParityError>, JoinError>),
    Held(JoinHandle<Result<Answer, ParityError>>),
}

/// One connection, made when it is needed.
#[derive(Default)]
struct Line {
    sender: Option<SendRequest<Full<Bytes>>>,
}

async fn one(aim: &Aim, plan: &Plan, step: Step, line: &mut Line) -> Result<Answer, ParityError> {
    let (caller, call) = (plan.callers.get(step.caller), plan.calls.get(step.call));
    let (Some(caller), Some(call)) = (caller, call) else {
        return Err(ParityError::NoTools);
    };
    let failed = |why: String| ParityError::Call {
        client: caller.told(),
        tool: call.tool.name.to_string(),
        surface: aim.surface.as_str(),
        why,
    };
    let request = match aim.surface {
        Surface::Rest => rest(caller, call),
        Surface::Tool(era) => tool(plan, caller, call, era, (&call.tool.name, params(call))),
        Surface::Meta(era) => {
            let meta = match call.tool.effect() {
                Effect::Reads => MetaTool::CallRead,
                Effect::Writes => MetaTool::CallWrite,
            };
            let name = meta.name();
            let params = json!({ "name": name, "arguments": params(call) });
            tool(plan, caller, call, era, (name, params))
        }
    };
    let request = request.map_err(|error| failed(error.to_string()))?;
    let answer = timeout(DEADLINE, line.send(aim.address, request)).await;
    let answer = answer.map_err(|_| failed("it took too long".to_owned()))?;
    answer.map_err(|error| failed(error.to_string()))
}

/// What `tools/call` says; and, of a tool that calls another, its arguments.
fn params(call: &Call) -> Value {
    json!({ "name": &*call.tool.name, "arguments": call.arguments })
}

impl Line {
    async fn send(
        &mut self,
        address: SocketAddr,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let ready = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            self.sender = Some(sender);
        }
        let Some(sender) = &mut self.sender else { return Err("there is no connection".into()) };
        let (parts, body) = sender.send_request(request).await?.into_parts();
        #[expect(clippy::disallowed_methods, reason = "what is collected is limited")]
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        Ok(Answer { status: parts.status.as_u16(), fields: parts.headers, body })
    }
}

/// What the tool prepared, and what every caller of REST adds: a host and a key. That nothing is compressed is
/// what a tool's request says too.
fn rest(caller: &Caller, call: &Call) -> http::Result<Request<Full<Bytes>>> {
    let prepared = &call.prepared;
    let request = Request::builder().method(&prepared.method).uri(prepared.target.as_str());
    let mut request = request.body(Full::new(prepared.body.clone()))?;
    let fields = request.headers_mut();
    fields.extend(prepared.fields.clone());
    fields.insert(header::HOST, HeaderValue::from_str(&call.host)?);
    fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    add_key(fields, caller, call)?;
    Ok(request)
}

fn tool(
    plan: &Plan,
    caller: &Caller,
    call: &Call,
    era: Era,
    (name, mut params): (&str, Value),
) -> http::Result<Request<Full<Bytes>>> {
    let mut fields = HeaderMap::new();
    let field = HeaderValue::from_static;
    fields.insert(header::CONTENT_TYPE, field("application/json"));
    fields.insert(header::ACCEPT, field("application/json, text/event-stream"));
    fields.insert("mcp-protocol-version", field(era.revision()));
    if era == Era::Modern {
        fields.insert("mcp-method", field("tools/call"));
        fields.insert("mcp-name", HeaderValue::from_str(name)?);
        if name == &*call.tool.name {
            fields.extend(call.mirrors.clone());
        }
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": era.revision(),
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        if let Some(params) = params.as_object_mut() {
            params.insert("_meta".to_owned(), meta);
        }
    }
    fields.insert(header::HOST, HeaderValue::from_str(&call.endpoint_host)?);
    add_key(&mut fields, caller, call)?;
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let request = Request::builder().method(Method::POST).uri(&*plan.endpoint);
    let mut request = request.body(Full::from(message.to_string()))?;
    *request.headers_mut() = fields;
    Ok(request)
}

fn add_key(fields: &mut HeaderMap, caller: &Caller, call: &Call) -> http::Result<()> {
    let (name, value) = match call.key_in {
        CredentialLocation::Authorization => {
            (header::AUTHORIZATION, format!("Bearer {}", caller.key.reveal()))
        }
        CredentialLocation::XApiKey => {
            (header::HeaderName::from_static("x-api-key"), caller.key.reveal().to_owned())
        }
    };
    let mut value = HeaderValue::from_str(&value)?;
    value.set_sensitive(true);
    fields.insert(name, value);
    Ok(())
}
