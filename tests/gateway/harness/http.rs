//! HTTP/1.1 as text, small enough to be trusted: requests that may break any rule, and responses
//! read by the rules.

use std::io::{self, BufRead, ErrorKind, Read};

use serde_json::Value;

/// A request in the making. What it says is what is sent: nothing is checked, nothing is added but
/// `Host` and, with a body, its framing.
#[derive(Clone)]
pub struct Request {
    pub method: &'static str,
    head: String,
    body: Vec<u8>,
}

impl Request {
    pub fn new(method: &'static str, target: &str) -> Self {
        Self::under("gate.test", method, target)
    }

    /// Under a host of its own.
    pub fn under(host: &str, method: &'static str, target: &str) -> Self {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
        Self { method, head, body: Vec::new() }
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.head = format!("{}{name}: {value}\r\n", self.head);
        self
    }

    /// With a key where most callers put it.
    pub fn key(self, key: &str) -> Self {
        self.field("Authorization", &format!("Bearer {key}"))
    }

    pub fn body(self, body: &[u8]) -> Self {
        let mut request = self.field("Content-Length", &body.len().to_string());
        request.body = body.to_vec();
        request
    }

    /// A body of unannounced length.
    pub fn chunks(self, chunks: &[&[u8]]) -> Self {
        let mut request = self.field("Transfer-Encoding", "chunked");
        for chunk in chunks {
            request.body.extend(format!("{:x}\r\n", chunk.len()).bytes());
            request.body.extend_from_slice(chunk);
            request.body.extend(b"\r\n");
        }
        request.body.extend(b"0\r\n\r\n");
        request
    }

    /// In the version before.
    pub fn http_1_0(mut self) -> Self {
        self.head = self.head.replacen(" HTTP/1.1\r\n", " HTTP/1.0\r\n", 1);
        self
    }

    pub fn head_bytes(&self) -> Vec<u8> {
        format!("{}\r\n", self.head).into_bytes()
    }

    pub fn bytes(&self) -> Vec<u8> {
        [self.head_bytes(), self.body.clone()].concat()
    }
}

/// A response as it came.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub fields: Fields,
    pub body: Vec<u8>,
    /// Whether the body came as far as the head had promised.
    pub complete: bool,
}

/// The fields of a head, in order, with their names in lower case.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Fields(Vec<(String, String)>);

/// Whether a response has a body, which only the request tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Body {
    Expected,
    /// The response to HEAD.
    Absent,
}

impl Response {
    /// Reads one. None when the other side closed before a head.
    pub fn read(from: &mut impl BufRead, body: Body) -> io::Result<Option<Self>> {
        let Some((status, fields)) = read_head(from)? else { return Ok(None) };
        let mut response = Self { status, fields, body: Vec::new(), complete: true };
        let bodiless = matches!(status, 100..=199 | 204 | 304) || body == Body::Absent;
        if !bodiless {
            response.complete = response.read_body(from)?;
        }
        Ok(Some(response))
    }

    fn read_body(&mut self, from: &mut impl BufRead) -> io::Result<bool> {
        if self.field("transfer-encoding") == Some("chunked") {
            return read_chunks(from, &mut self.body);
        }
        let Some(length) = self.field("content-length") else {
            any_came(from.read_to_end(&mut self.body))?;
            return Ok(true);
        };
        let length = length.parse().expect("a length is a number");
        any_came(from.take(length).read_to_end(&mut self.body))?;
        Ok(self.body.len() as u64 == length)
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.value(name)
    }

    /// The gate's id of the exchange, which every response carries.
    pub fn id(&self) -> &str {
        self.field("x-request-id").unwrap_or_else(|| panic!("no X-Request-Id: {self:?}"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }

    /// The body of an answer that the gate made itself (RFC 9457), with the members it always has.
    pub fn problem(&self) -> Value {
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: Value = serde_json::from_slice(&self.body).expect("the body is JSON");
        assert_eq!(problem["status"], self.status, "{problem}");
        assert_eq!(problem["request_id"], self.id(), "{problem}");
        for member in ["type", "title", "detail", "code"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        problem
    }
}

impl Fields {
    pub fn push_line(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line:?}"));
        self.0.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }

    /// The value of a field that stands at most once.
    pub fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} stands twice in {self:?}");
        value
    }

    /// All values of a field, in the order in which they stood.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let of_it = |(of, _): &&(String, String)| of.eq_ignore_ascii_case(name);
        self.0.iter().filter(of_it).map(|(_, value)| value.as_str()).collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }
}

/// Reads a request's or a response's body in chunks; says whether it came to its end.
pub fn read_chunks(from: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let Some(line) = read_line(from)? else { return Ok(false) };
        let digits = line.split(';').next().unwrap_or_default();
        let Ok(length) = u64::from_str_radix(digits.trim(), 16) else { return Ok(false) };
        let begun = body.len();
        any_came(from.take(length).read_to_end(body))?;
        if (body.len() - begun) as u64 != length || read_line(from)?.is_none() {
            return Ok(false);
        }
        if length == 0 {
            return Ok(true);
        }
    }
}

fn read_head(from: &mut impl BufRead) -> io::Result<Option<(u16, Fields)>> {
    let Some(first) = read_line(from)? else { return Ok(None) };
    let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.unwrap_or_else(|| panic!("not a status line: {first:?}"));
    let mut fields = Fields::default();
    loop {
        match read_line(from)?.expect("a head has an end").as_str() {
            "" => return Ok(Some((status, fields))),
            line => fields.push_line(line),
        }
    }
}

/// A line without its end. None at the end of the connection, or when it was reset.
fn read_line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let came = any_came(from.read_line(&mut line))?;
    Ok(came.then(|| line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Whether any bytes came. A reset is an end like any other: the test looks at how far it came.
fn any_came(read: io::Result<usize>) -> io::Result<bool> {
    match read {
        Ok(count) => Ok(count > 0),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
        Err(error) => Err(error),
    }
}
