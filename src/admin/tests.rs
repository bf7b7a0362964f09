//! What administrators may write, and what the socket answers to what they must not.

mod reload;
mod values;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use super::*;
use crate::audit::keys::RotateError;
use crate::inventory::testing::{MemoryAudit, TempDir, registry};

/// A served admin socket on a fresh store; its reload refuses.
struct Served {
    server: AdminServer,
    audit: Arc<MemoryAudit>,
    dir: TempDir,
}

impl Served {
    fn new() -> Self {
        let dir = TempDir::default();
        let (registry, audit) = registry(&dir);
        let reload = Box::new(|| Err("line 3: no such key".to_owned()));
        let rotate = Box::new(|| Err(RotateError::Late));
        let server =
            start(dir.path(), Arc::new(registry), reload, rotate).expect("the socket opens");
        Self { server, audit, dir }
    }

    /// Sends bytes and reads the answer to its end.
    fn exchange(&self, request: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.dir.path().join(SOCKET_FILE)).unwrap();
        // The answer may come before the request was read to its end.
        stream.write_all(request).ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        String::from_utf8(answer).unwrap()
    }
}

fn request(method: &str, target: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} {target} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[test]
fn what_is_no_valid_request_gets_a_problem() {
    let served = Served::new();
    let check = |method: &str, target: &str, body: &str, status: u16, code: &str| {
        let answer = served.exchange(request(method, target, body).as_bytes());
        let line = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&line), "{method} {target}: {answer}");
        assert!(answer.contains("content-type: application/problem+json"), "{answer}");
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        let problem: wire::Problem = serde_json::from_str(body).unwrap();
        assert_eq!((problem.status, &*problem.code), (status, code), "{method} {target}: {body}");
        assert!(!problem.detail.is_empty() && !problem.fix.is_empty());
    };
    let revoke = r#"{"revoke":{"target":{"client":"a"},"reason":"x"}}"#;
    check("GET", "/", "", 404, "not_found");
    check("GET", "/v2/clients", "", 404, "not_found");
    check("PUT", "/v1/clients", "", 404, "not_found");
    check("GET", "/v1/clients?order=id", "", 400, "malformed_request");
    check("GET", "/v1/clients/a", "", 404, "not_found");
    check("GET", "/v1/clients/A", "", 422, "bad_value");
    check("GET", "/v1/grants?client=A", "", 422, "bad_value");
    check("POST", "/v1/changes", "{", 400, "malformed_request");
    check("POST", "/v1/changes", r#"{"drop":{}}"#, 400, "malformed_request");
    check("POST", "/v1/changes", &revoke.replace("\"a\"", "\"A\""), 422, "bad_value");
    check("POST", "/v1/changes", &revoke.replace('x', " "), 422, "bad_value");
    check("POST", "/v1/changes", revoke, 404, "not_found");
    let long = revoke.replace('x', &"x".repeat(BODY_BYTES_MAX));
    check("POST", "/v1/changes", &long, 413, "malformed_request");
    check("POST", "/v1/reload", "", 422, "config_refused");
    assert_eq!(
        served.audit.take(),
        ["client.revoke client/a failed", "config.reload config failed"]
    );
    served.server.stop();
}

#[test]
fn the_kernel_says_who_it_is_and_the_caller_only_hints() {
    let served = Served::new();
    let body = r#"{"revoke":{"target":{"client":"a"},"reason":"x"}}"#;
    let length = body.len();
    served.exchange(
        format!(
            "POST /v1/changes HTTP/1.1\r\nhost: x\r\n{LOGIN_HEADER}: ann\r\n\
             {SUDO_USER_HEADER}: eve uid=0\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .as_bytes(),
    );
    let uid = fs::metadata(served.dir.path()).map(|m| std::os::unix::fs::MetadataExt::uid(&m));
    let expected = format!("uid={} login=ann sudo_user=-", uid.unwrap());
    assert_eq!(&*served.audit.acts.lock().unwrap()[0].actor, expected);
    served.server.stop();
}

#[test]
fn the_socket_is_its_owners_and_is_replaced_only_when_nobody_answers() {
    let served = Served::new();
    let path = served.dir.path().join(SOCKET_FILE);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let error = socket::bind(&path).unwrap_err();
    assert!(matches!(error, AdminError::Taken(_)), "{error}");
    served.server.stop();
    assert!(!path.exists());

    // Left behind by a process that was killed.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(socket::bind(&path).unwrap());
    fs::remove_file(&path).unwrap();
    fs::write(&path, "mine").unwrap();
    let error = socket::bind(&path).unwrap_err();
    assert!(matches!(error, AdminError::NotASocket(_)), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
}
