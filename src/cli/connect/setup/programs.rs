//! Whole programs that list the tools and call none. Tests run them as they are printed.

use serde_json::json;

use super::{Connection, Language, Snippet};

pub fn python(to: &Connection<'_>) -> Snippet {
    // A text of JSON is one of Python and of JavaScript too.
    let url = json!(to.url);
    Snippet {
        about: "list_tools.py lists the tools and calls none. Install the SDK before: pip install 'mcp>=2.3,<3'",
        language: Language::Python,
        file: Some("list_tools.py"),
        text: format!("{PYTHON_HEAD}URL = {url}\n{PYTHON}"),
    }
}

const PYTHON_HEAD: &str = "\
import asyncio
import os

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

";

// The timeouts are the SDK's own, which it does not give to an HTTP client that is handed to it.
const PYTHON: &str = r#"

async def main():
    headers = {"Authorization": "Bearer " + os.environ["ONEGATE_KEY"]}
    timeout = httpx2.Timeout(30, read=300)
    async with httpx2.AsyncClient(headers=headers, timeout=timeout) as http:
        async with Client(streamable_http_client(URL, http_client=http)) as client:
            page = await client.list_tools()
            tools = page.tools
            while page.next_cursor:
                page = await client.list_tools(cursor=page.next_cursor)
                tools += page.tools
            for tool in tools:
                print(tool.name)


asyncio.run(main())
"#;

pub fn typescript(to: &Connection<'_>) -> Snippet {
    let (url, client) = (json!(to.url), json!(to.client));
    Snippet {
        about: "list-tools.mjs lists the tools and calls none. Install the SDK before: npm install \
                '@modelcontextprotocol/client@^2.4'",
        language: Language::JavaScript,
        file: Some("list-tools.mjs"),
        text: format!(
            "{TYPESCRIPT_HEAD}const url = {url};\nconst info = {{ name: {client}, version: \"1.0.0\" }};\n\
             {TYPESCRIPT}"
        ),
    }
}

const TYPESCRIPT_HEAD: &str = "\
import { Client, StreamableHTTPClientTransport } from \"@modelcontextprotocol/client\";

";

// Without a mode the SDK speaks the revisions of 2025 only.
const TYPESCRIPT: &str = r#"const key = process.env.ONEGATE_KEY;
if (!key) throw new Error("ONEGATE_KEY is not set");

const client = new Client(info, { versionNegotiation: { mode: "auto" } });
const headers = { Authorization: `Bearer ${key}` };
await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
const { tools } = await client.listTools();
for (const tool of tools) console.log(tool.name);
await client.close();
"#;
