//! MCP as text, small enough to be trusted: messages that may break any rule, and their answers.

use serde_json::{Map, Value, json};

use super::gate::Gate;
use super::http::{Request, Response};
use super::http2;

pub const MODERN: &str = "2026-07-28";
pub const LEGACY: &str = "2025-11-25";

/// Keys of `_meta`.
pub const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// The two ways to speak the protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Era {
    Modern,
    Legacy,
}

impl Era {
    pub const BOTH: [Self; 2] = [Self::Modern, Self::Legacy];

    /// A request that keeps the era's rules.
    pub fn message(self, method: &str, params: Value) -> Message {
        match self {
            Self::Modern => modern(method, params),
            Self::Legacy => legacy(method, params),
        }
    }

    /// `tools/call`.
    pub fn call(self, tool: &str, arguments: &Value) -> Message {
        self.message("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// A call of the lab's `read`, which behaves as it is told.
    pub fn lab(self, behaviour: &str, n: &str) -> Message {
        self.call("lab_read", &json!({ "behaviour": behaviour, "n": n }))
    }

    pub fn revision(self) -> &'static str {
        match self {
            Self::Modern => MODERN,
            Self::Legacy => LEGACY,
        }
    }
}

/// One POST in the making. What it says is what is sent.
#[derive(Clone, Debug)]
pub struct Message {
    host: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Json(Value),
    Bytes(Vec<u8>),
}

/// A request of 2026-07-28: `_meta` says what it needs, and fields mirror the body.
pub fn modern(method: &str, mut params: Value) -> Message {
    let name = params["name"].as_str().map(str::to_owned);
    params["_meta"][VERSION] = json!(MODERN);
    params["_meta"][CAPABILITIES] = json!({});
    let message = post(request(method, params)).field("MCP-Protocol-Version", MODERN);
    let message = message.field("Mcp-Method", method);
    match name {
        Some(name) => message.field("Mcp-Name", &name),
        None => message,
    }
}

/// A request of 2025-11-25, after its handshake.
pub fn legacy(method: &str, params: Value) -> Message {
    post(request(method, params)).field("MCP-Protocol-Version", LEGACY)
}

/// The first request of the revisions of 2025.
pub fn initialize(revision: &str) -> Message {
    let client = json!({ "name": "tests", "version": "1.0.0" });
    let params = json!({ "protocolVersion": revision, "capabilities": {}, "clientInfo": client });
    post(request("initialize", params))
}

/// Any JSON, without fields of the protocol.
pub fn post(body: Value) -> Message {
    of(Body::Json(body))
}

/// Any bytes, without fields of the protocol.
pub fn post_bytes(bytes: impl Into<Vec<u8>>) -> Message {
    of(Body::Bytes(bytes.into()))
}

fn of(body: Body) -> Message {
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let fields = vec![
        field("Content-Type", "application/json"),
        field("Accept", "application/json, text/event-stream"),
    ];
    Message { host: "gate.test".to_owned(), target: "/mcp".to_owned(), fields, body }
}

fn request(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

impl Message {
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// With another value for a field.
    pub fn with(self, name: &str, value: &str) -> Self {
        self.without(name).field(name, value)
    }

    pub fn under(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// To another path or query than the endpoint's own.
    pub fn to(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    /// With a member of the message replaced, at a JSON pointer whose parent is there.
    pub fn set(mut self, pointer: &str, value: Value) -> Self {
        let (object, member) = self.parent(pointer);
        object.insert(member, value);
        self
    }

    /// Without the member at a JSON pointer.
    pub fn remove(mut self, pointer: &str) -> Self {
        let (object, member) = self.parent(pointer);
        assert!(object.remove(&member).is_some(), "nothing is at {pointer}");
        self
    }

    fn parent(&mut self, pointer: &str) -> (&mut Map<String, Value>, String) {
        let (parent, member) = pointer.rsplit_once('/').expect("a JSON pointer");
        let Body::Json(body) = &mut self.body else { panic!("these are bytes") };
        let object = body.pointer_mut(parent).and_then(Value::as_object_mut);
        let member = member.replace("~1", "/").replace("~0", "~");
        (object.unwrap_or_else(|| panic!("nothing holds {pointer}")), member)
    }

    /// As one whose sender wants to be told how it goes on.
    pub fn progress(mut self, token: Value) -> Self {
        let Body::Json(body) = &mut self.body else { panic!("these are bytes") };
        body["params"]["_meta"]["progressToken"] = token;
        self
    }

    /// Its JSON-RPC id.
    pub fn id(&self) -> Value {
        match &self.body {
            Body::Json(body) => body["id"].clone(),
            Body::Bytes(_) => Value::Null,
        }
    }

    /// As the POST that carries it, with a key or without one.
    pub fn request(&self, key: Option<&str>) -> Request {
        let mut request = Request::under(&self.host, "POST", &self.target);
        for (name, value) in &self.fields {
            request = request.field(name, value);
        }
        if let Some(key) = key {
            request = request.key(key);
        }
        request.body(&self.body_bytes())
    }

    /// The same with a body in chunks of so many bytes.
    pub fn chunked(&self, key: &str, chunk_bytes: usize) -> Request {
        let mut request = Request::under(&self.host, "POST", &self.target).key(key);
        for (name, value) in &self.fields {
            request = request.field(name, value);
        }
        let body = self.body_bytes();
        request.chunks(&body.chunks(chunk_bytes).collect::<Vec<_>>())
    }

    /// The same for HTTP/2, whose body goes apart.
    pub fn over_http2(&self, key: &str) -> (http::Request<()>, Vec<u8>) {
        let mut request = http2::request("POST", "/mcp", key);
        for (name, value) in &self.fields {
            let name: http::HeaderName = name.parse().expect("a name");
            request.headers_mut().append(name, value.parse().expect("a value"));
        }
        (request, self.body_bytes())
    }

    pub fn body_bytes(&self) -> Vec<u8> {
        match &self.body {
            Body::Json(body) => body.to_string().into_bytes(),
            Body::Bytes(bytes) => bytes.clone(),
        }
    }
}

/// What came back to one POST.
#[derive(Debug)]
pub struct Answer {
    pub response: Response,
    /// One of JSON, or all of a stream, in order.
    pub messages: Vec<Value>,
}

impl Answer {
    pub fn of(response: Response) -> Self {
        // Every answer has its id, whatever it is an answer to.
        assert!(!response.id().is_empty());
        let kind = response.field("content-type").unwrap_or_default().to_owned();
        let messages = match kind.split(';').next().unwrap_or_default().trim() {
            "application/json" => vec![parse(response.text())],
            "text/event-stream" => events(response.text()),
            _ => Vec::new(),
        };
        Self { response, messages }
    }

    /// The response to the request: the last message.
    pub fn rpc(&self) -> &Value {
        let rpc = self.messages.last().unwrap_or_else(|| panic!("no message: {self:?}"));
        assert_eq!(rpc["jsonrpc"], "2.0", "{rpc}");
        rpc
    }

    pub fn result(&self) -> &Value {
        assert_eq!(self.response.status, 200, "{self:?}");
        assert!(self.rpc()["result"].is_object(), "{self:?}");
        &self.rpc()["result"]
    }

    /// The code of the error that it is.
    pub fn code(&self) -> i64 {
        let error = &self.rpc()["error"];
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{self:?}");
        error["code"].as_i64().unwrap_or_else(|| panic!("no error: {self:?}"))
    }

    /// Names of the tools that it lists.
    pub fn tools(&self) -> Vec<&str> {
        let tools = self.result()["tools"].as_array().unwrap_or_else(|| panic!("{self:?}"));
        tools.iter().map(|tool| tool["name"].as_str().expect("a name")).collect()
    }

    /// All text of a tool's result.
    pub fn text(&self) -> String {
        let content = self.result()["content"].as_array().unwrap_or_else(|| panic!("{self:?}"));
        content.iter().filter_map(|block| block["text"].as_str()).collect()
    }

    pub fn is_error(&self) -> bool {
        self.result()["isError"] == true
    }

    /// What a tool that did well gives.
    pub fn structured(&self) -> &Value {
        assert!(!self.is_error(), "{self:?}");
        &self.result()["structuredContent"]
    }

    /// A tool's result that says what went wrong, in words for the model.
    pub fn expect_error(&self, word: &str) {
        assert!(self.is_error(), "{self:?}");
        assert!(self.text().contains(word), "{word}: {self:?}");
    }

    /// A tool's result that tells of the gate's refusal or failure, to the model and to programs.
    pub fn expect_problem(&self, status: u16, code: &str) {
        self.expect_error(&status.to_string());
        let problem = &self.result()["_meta"]["dev.onegate/problem"];
        assert_eq!(
            (&problem["status"], &problem["code"]),
            (&json!(status), &json!(code)),
            "{self:?}"
        );
        assert_eq!(problem["request_id"], self.response.id(), "{self:?}");
    }
}

impl Gate {
    /// Sends a message over a connection of its own.
    pub fn mcp(&self, key: &str, message: &Message) -> Answer {
        Answer::of(self.call(&message.request(Some(key))))
    }

    /// The one record of an answer, whose status may be another than the HTTP response's: a tool's
    /// failure is a good answer.
    pub fn record_of_answer(&self, answer: &Answer) -> Value {
        let id = answer.response.id();
        let mut records = self.records(&["--id", id], |records| !records.is_empty());
        assert_eq!(records.len(), 1, "{records:?}");
        assert_eq!(records[0]["surface"], "mcp", "{records:?}");
        records.remove(0)
    }
}

/// Messages of server-sent events; comments say nothing.
fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    data.map(|data| parse(data.trim())).collect()
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
