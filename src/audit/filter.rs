//! Which records are asked for: every condition of `audit query` and `audit tail`, typed.
//!
//! A condition is checked when it is typed, by its `FromStr` or parser here, so that a misspelt one
//! is an error and never an empty answer. A record matches when it meets all that are given.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::model::api::BasePath;
use crate::model::denial::{Denial, Failure};
use crate::model::id::{ApiName, ClientId, CredentialId, RequestId, UpstreamName};
use crate::model::record::Surface;
use crate::model::time::UnixMicros;

use super::line::Line;
use super::period::Period;

/// All conditions of one question. The default asks for every record.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub period: Period,
    pub client: Option<ClientFilter>,
    pub credential: Option<CredentialId>,
    /// An operation's id, or `mcp.tools/list` and the like: compared, not checked.
    pub operation: Option<Box<str>>,
    pub api: Option<ApiName>,
    pub path: Option<PathFilter>,
    pub surface: Option<Surface>,
    pub decision: Option<Decision>,
    pub denial: Option<Code>,
    pub status: Option<StatusFilter>,
    pub upstream: Option<UpstreamName>,
    pub ip: Option<IpFilter>,
    pub id: Option<RecordId>,
}

impl Filter {
    pub fn matches(&self, line: &Line<'_>) -> bool {
        self.period.contains(line.time)
            && met(self.client.as_ref(), |client| client.matches(line))
            && met(self.credential.as_ref(), |id| line.credential.as_deref() == Some(id.as_str()))
            && met(self.operation.as_ref(), |id| line.operation.as_deref() == Some(&**id))
            && met(self.api.as_ref(), |name| line.api.as_deref() == Some(name.as_str()))
            && met(self.path.as_ref(), |path| {
                line.path.as_deref().is_some_and(|text| path.matches(text))
            })
            && met(self.surface.as_ref(), |surface| &*line.surface == surface.as_str())
            && met(self.decision.as_ref(), |decision| &*line.decision == decision.as_str())
            && met(self.denial.as_ref(), |code| code.matches(line))
            && met(self.status.as_ref(), |status| {
                line.status.is_some_and(|code| status.matches(code))
            })
            && met(self.upstream.as_ref(), |name| line.upstream.as_deref() == Some(name.as_str()))
            && met(self.ip.as_ref(), |ip| ip.matches(line))
            && met(self.id.as_ref(), |id| *line.id == *id.0)
    }
}

fn met<T>(condition: Option<&T>, holds: impl FnOnce(&T) -> bool) -> bool {
    condition.is_none_or(holds)
}

/// `--client`: a client, or `_anonymous` for requests without one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientFilter {
    Anonymous,
    Is(ClientId),
}

impl ClientFilter {
    fn matches(&self, line: &Line<'_>) -> bool {
        match self {
            Self::Anonymous => line.client.is_none() && line.actor.is_none(),
            Self::Is(id) => line.client.as_deref() == Some(id.as_str()),
        }
    }
}

impl FromStr for ClientFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == ClientId::ANONYMOUS {
            return Ok(Self::Anonymous);
        }
        ClientId::parse(text).map(Self::Is).map_err(|error| error.to_string())
    }
}

/// `--path`: a path and everything below it, by whole segments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathFilter(BasePath);

impl PathFilter {
    fn matches(&self, path: &str) -> bool {
        self.0.strip(path).is_some()
    }
}

impl FromStr for PathFilter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.starts_with('/') {
            return Err("a path starts with '/'");
        }
        Ok(Self(BasePath::new(text)))
    }
}

/// `--decision`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    Allowed,
    Denied,
}

impl Decision {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
        }
    }
}

impl FromStr for Decision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        choose(text, [Self::Allowed, Self::Denied], Self::as_str)
    }
}

/// `--surface`.
pub fn parse_surface(text: &str) -> Result<Surface, String> {
    choose(text, Surface::ALL, Surface::as_str)
}

/// `--denial`: the code of a denial, or of a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Code(&'static str);

impl Code {
    fn matches(self, line: &Line<'_>) -> bool {
        [&line.denial, &line.failure].into_iter().flatten().any(|code| **code == *self.0)
    }
}

impl FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let denials = Denial::ALL.into_iter().map(Denial::code);
        let failures = Failure::ALL.into_iter().map(Failure::code);
        choose(text, denials.chain(failures), |code| code).map(Self)
    }
}

/// `--status`: `403`, or `4xx`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StatusFilter {
    Is(u16),
    /// The first digit.
    Class(u16),
}

impl StatusFilter {
    const fn matches(self, status: u16) -> bool {
        match self {
            Self::Is(wanted) => status == wanted,
            Self::Class(digit) => status / 100 == digit,
        }
    }
}

impl FromStr for StatusFilter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, whole) = match text.strip_suffix("xx") {
            Some(digit) => (digit.parse().map(|digit: u16| digit.saturating_mul(100)), false),
            None => (text.parse(), true),
        };
        match number {
            Ok(status @ 100..=599) if whole => Ok(Self::Is(status)),
            Ok(status @ 100..=599) => Ok(Self::Class(status / 100)),
            _ => Err("not a status: write 403 or 4xx"),
        }
    }
}

/// `--ip`: an address or a network. It may be the peer or the source.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IpFilter(IpNet);

impl IpFilter {
    fn matches(self, line: &Line<'_>) -> bool {
        let within = |address: &IpAddr| self.0.contains(&address.to_canonical());
        [&line.source_ip, &line.peer_ip].into_iter().flatten().any(within)
    }
}

impl FromStr for IpFilter {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = || text.parse().map(|address: IpAddr| IpNet::from(address.to_canonical()));
        let network = || text.parse::<IpNet>().map(|network| network.trunc());
        let filter = address().or_else(|_| network()).map(Self);
        filter.map_err(|_| "not an address or network: write 203.0.113.7 or 203.0.113.0/24")
    }
}

/// `--id`: what the caller saw as `X-Request-Id`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecordId(Box<str>);

impl RecordId {
    /// Since when its record may be in the log: an id begins with its time, and a clock may have been
    /// stepped a little. Until when is open: the next boot writes of the calls of one that was killed.
    pub fn period(&self) -> Period {
        const HOUR: i64 = 3_600_000_000;
        let made = RequestId::parse(&self.0).map(|id| id.made_at().0);
        Period { from: made.map(|made| UnixMicros(made.saturating_sub(HOUR))), to: None }
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RecordId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = uuid::Uuid::parse_str(text).map_err(|_| "not an id: write the X-Request-Id")?;
        Ok(Self(id.hyphenated().to_string().into()))
    }
}

/// `--credential`.
pub fn parse_credential(text: &str) -> Result<CredentialId, &'static str> {
    CredentialId::parse(text)
        .ok_or("not a credential's id: write the 12 letters and digits after og_live_")
}

fn choose<T>(
    text: &str,
    choices: impl IntoIterator<Item = T>,
    word: impl Fn(T) -> &'static str,
) -> Result<T, String>
where
    T: Copy,
{
    let choices: Vec<T> = choices.into_iter().collect();
    choices.iter().copied().find(|choice| word(*choice) == text).ok_or_else(|| {
        let words: Vec<_> = choices.into_iter().map(word).collect();
        format!("write one of: {}", words.join(", "))
    })
}

#[cfg(test)]
pub(crate) mod tests;
