//! What there is to paste once the demo runs. `ci/quickstart --check` pastes each line and compares the first number
//! of its comment with the status that came.

use std::net::SocketAddr;

/// A line to paste.
#[derive(Debug)]
pub struct Example {
    pub about: &'static str,
    pub command: String,
}

/// What there is to try, for the keys of the two clients.
pub fn lines(url: SocketAddr, app: &str, agent: &str) -> [Example; 8] {
    let curl = |rest: String| format!("curl -si http://{url}{rest}");
    let line = |about, command| Example { about, command };
    let message = |rest: &str| {
        let json = "-H 'Content-Type: application/json' -H 'Accept: application/json'";
        curl(format!("/mcp -H 'Authorization: Bearer {agent}' {json} {rest}"))
    };
    [
        line(
            "the app lists payments: 200",
            curl(format!("/api/payments -H 'Authorization: Bearer {app}'")),
        ),
        line(
            "the app makes one: 201",
            curl(format!(
                "/api/payments -H 'X-API-Key: {app}' -H 'Content-Type: application/json' \
                 -d '{{\"amount_cents\": 1999, \"payee\": \"hooli\"}}'"
            )),
        ),
        line(
            "the agent may read: 200",
            curl(format!("/api/payments/1 -H 'Authorization: Bearer {agent}'")),
        ),
        line(
            "but not pay: 403 not_granted",
            curl(format!("/api/payments -H 'Authorization: Bearer {agent}' -X POST")),
        ),
        line("and strangers nothing: 401 credential_missing", curl("/api/payments".to_owned())),
        line("over MCP the agent sees the tools that it may call: 200", message(LIST)),
        line("and calls one, as clients of the newest revision do: 200", message(CALL)),
        line("or as older ones do: 200", message(OLD_CALL)),
    ]
}

const LIST: &str = r#"-d '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'"#;

const CALL: &str = concat!(
    "-H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/call' ",
    "-H 'Mcp-Name: payments_get_payment' ",
    r#"-d '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"#,
    r#""name":"payments_get_payment","arguments":{"id":"1"},"_meta":{"#,
    r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientCapabilities":{}}}}'"#,
);

const OLD_CALL: &str = concat!(
    "-H 'MCP-Protocol-Version: 2025-11-25' ",
    r#"-d '{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"#,
    r#""name":"payments_get_payment","arguments":{"id":"1"}}}'"#,
);
