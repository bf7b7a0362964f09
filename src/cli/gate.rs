//! Talks to the admin socket of a running gate: HTTP/1, one connection for each request.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::HeaderValue;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::output::Failure;
use crate::admin::{APPLY_BYTES_MAX, LOGIN_HEADER, SUDO_USER_HEADER, wire};

/// A gate that answers.
#[derive(Debug)]
pub struct Gate<'r> {
    runtime: &'r Runtime,
    socket: PathBuf,
    user: User,
}

/// Who runs the command, as the environment says: hints for the record, never relied on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct User {
    pub login: Option<String>,
    pub sudo_user: Option<String>,
}

/// Longer than the gate gives a connection: the gate ends it first and says why.
const ANSWER_DEADLINE: Duration = Duration::from_secs(330);
const ANSWER_BYTES_MAX: usize = 64 << 20;

impl User {
    /// The user that the environment names.
    #[expect(clippy::disallowed_methods, reason = "who acts is the environment's to say, in cli")]
    pub fn of_environment() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let login = variable("LOGNAME").or_else(|| variable("USER"));
        Self { login, sudo_user: variable("SUDO_USER") }
    }
}

impl<'r> Gate<'r> {
    /// None when no gate runs: there is no socket, or nobody behind it.
    pub fn find(runtime: &'r Runtime, socket: &Path, user: User) -> Result<Option<Self>, Failure> {
        match runtime.block_on(UnixStream::connect(socket)) {
            Ok(_) => Ok(Some(Self { runtime, socket: socket.into(), user })),
            Err(error) if is_nobody(error.kind()) => Ok(None),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(Failure::not_done(
                format!("no permission to use {}", socket.display()),
                "Run this as root or as the user of the gate.",
            )),
            Err(error) => Err(broken(socket, &error)),
        }
    }

    pub fn get<Answer: DeserializeOwned>(&self, target: &str) -> Result<Answer, Failure> {
        self.call(Method::GET, target, Bytes::new())
    }

    pub fn post<Answer: DeserializeOwned>(
        &self,
        target: &str,
        body: &impl Serialize,
    ) -> Result<Answer, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| broken(&self.socket, &error))?;
        if body.len() > APPLY_BYTES_MAX {
            return Err(Failure::not_done("the change is longer than 64 MiB", "Split it."));
        }
        self.call(Method::POST, target, body.into())
    }

    fn call<Answer: DeserializeOwned>(
        &self,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let exchange = self.runtime.block_on(async {
            timeout(ANSWER_DEADLINE, self.exchange(method, target, body)).await
        });
        let (status, body) = match exchange {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(broken(&self.socket, &error)),
            Err(_) => return Err(broken(&self.socket, &"no answer in time")),
        };
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| broken(&self.socket, &error));
        }
        let problem: wire::Problem =
            serde_json::from_slice(&body).map_err(|error| broken(&self.socket, &error))?;
        Err(problem.into())
    }

    async fn exchange(
        &self,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = TokioIo::new(UnixStream::connect(&self.socket).await?);
        let (mut sender, connection) = http1::handshake(stream).await?;
        let mut request = Request::builder().method(method).uri(target).header("host", "onegate");
        let User { login, sudo_user } = &self.user;
        for (name, value) in [(LOGIN_HEADER, login), (SUDO_USER_HEADER, sudo_user)] {
            // A name that fits no header is no name worth a record.
            if let Some(Ok(value)) = value.as_deref().map(HeaderValue::from_str) {
                request = request.header(name, value);
            }
        }
        let request = request.body(Full::new(body))?;
        let answer = async move {
            let response = sender.send_request(request).await?;
            let status = response.status();
            #[expect(clippy::disallowed_methods, reason = "what is collected is limited")]
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?;
            Ok((status, body.to_bytes()))
        };
        // The connection is driven until it ends; the answer may be there before.
        let (answer, _) = tokio::join!(answer, connection);
        answer
    }
}

/// There is no socket, or a socket that a gate left behind.
fn is_nobody(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

fn broken(socket: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::not_done(
        format!("the gate at {} did not answer: {error}", socket.display()),
        "Look at the gate's log; the change may have been made.",
    )
}
