//! An agent that speaks MCP by the Rust SDK: lists the tools, makes calls one after the other.
//!
//! Its argument is one JSON object: url, key, header (authorization | x-api-key), mode (legacy | auto |
//! a revision), calls ([[tool, arguments], ...]). Each step is one line of JSON.

use std::collections::HashMap;
use std::env;
use std::error::Error;

use http::{HeaderName, HeaderValue};
use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{RoleClient, RunningService, ServiceError};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientLifecycleMode, ClientServiceExt};
use serde_json::{Value, json};

type Client = RunningService<RoleClient, ()>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let setup: Value = serde_json::from_str(&env::args().nth(1).ok_or("no set-up")?)?;
    let text = |name: &str| setup[name].as_str().ok_or_else(|| format!("no {name}"));
    let (name, value) = match text("header")? {
        "x-api-key" => ("x-api-key", text("key")?.to_owned()),
        _ => ("authorization", format!("Bearer {}", text("key")?)),
    };
    let fields = HashMap::from([(HeaderName::from_static(name), HeaderValue::try_from(value)?)]);
    let config = StreamableHttpClientTransportConfig::with_uri(text("url")?).custom_headers(fields);
    let transport = StreamableHttpClientTransport::from_config(config);
    let client = ().serve_with_lifecycle(transport, lifecycle(text("mode")?)).await?;
    tell(&json!({ "step": "connect", "revision": revision(&client)? }));

    let tools = client.list_all_tools().await?;
    let names: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();
    tell(&json!({ "step": "tools", "names": names }));

    for call in setup["calls"].as_array().ok_or("no calls")? {
        let name = call[0].as_str().ok_or("no tool")?.to_owned();
        let arguments = call[1].as_object().ok_or("no arguments")?.clone();
        let parameters = CallToolRequestParams::new(name.clone()).with_arguments(arguments);
        match client.call_tool(parameters).await {
            Ok(result) => tell(&json!({ "step": "call", "name": name, "result": result })),
            Err(ServiceError::McpError(error)) => {
                tell(&json!({ "step": "call", "name": name, "error": error }));
            }
            Err(error) => return Err(error.into()),
        }
    }
    client.cancel().await?;
    Ok(())
}

fn lifecycle(mode: &str) -> ClientLifecycleMode {
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    match mode {
        "legacy" => ClientLifecycleMode::Initialize,
        "auto" => ClientLifecycleMode::Auto { preferred_versions, legacy_version: None },
        _ => ClientLifecycleMode::Discover { preferred_versions },
    }
}

/// The revision that was agreed on: of the handshake, else the one that was discovered.
fn revision(client: &Client) -> Result<String, Box<dyn Error>> {
    let about = client.peer_info().ok_or("the gate told nothing of itself")?;
    Ok(serde_json::to_value(&about.protocol_version)?.as_str().ok_or("no revision")?.to_owned())
}

fn tell(step: &Value) {
    println!("{step}");
}
