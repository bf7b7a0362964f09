//! How each MCP client is told of the gate, in the words of its own configuration. What they are known to
//! do wrong is in docs/connect-agents.md.

mod programs;

use serde_json::{Value, json};

/// What speaks MCP, or what such a program is written with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum McpClient {
    ClaudeCode,
    ClaudeDesktop,
    Cursor,
    VsCode,
    Python,
    TypeScript,
}

/// From whom to where.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    pub url: &'a str,
    /// The client of the inventory.
    pub client: &'a str,
}

/// Something to paste.
#[derive(Debug)]
pub struct Snippet {
    /// Where it goes, and what it does.
    pub about: &'static str,
    pub language: Language,
    /// The file whose content it is.
    pub file: Option<&'static str>,
    pub text: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Language {
    Shell,
    Json,
    Python,
    JavaScript,
}

impl Language {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shell => "sh",
            Self::Json => "json",
            Self::Python => "python",
            Self::JavaScript => "javascript",
        }
    }
}

/// What the gate is called by those who list servers. Short: clients put it before the name of each tool,
/// and models take names of 60 to 64 bytes at most.
const SERVER: &str = "onegate";

/// The bridge of Claude Desktop, in the version that was tried.
const BRIDGE: &str = "mcp-remote@0.15.1";

impl McpClient {
    pub const ALL: [Self; 6] = [
        Self::ClaudeCode,
        Self::ClaudeDesktop,
        Self::Cursor,
        Self::VsCode,
        Self::Python,
        Self::TypeScript,
    ];

    /// As `--for` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::ClaudeDesktop => "claude-desktop",
            Self::Cursor => "cursor",
            Self::VsCode => "vscode",
            Self::Python => "python",
            Self::TypeScript => "typescript",
        }
    }

    pub const fn title(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::ClaudeDesktop => "Claude Desktop",
            Self::Cursor => "Cursor",
            Self::VsCode => "VS Code",
            Self::Python => "Python SDK",
            Self::TypeScript => "TypeScript SDK",
        }
    }

    pub fn parse(text: &str) -> Result<Self, &'static str> {
        Self::ALL
            .into_iter()
            .find(|of| of.name() == text)
            .ok_or("write one of: claude-code, claude-desktop, cursor, vscode, python, typescript")
    }

    pub fn setup(self, to: &Connection<'_>) -> Vec<Snippet> {
        match self {
            Self::ClaudeCode => claude_code(to),
            Self::ClaudeDesktop => claude_desktop(to),
            Self::Cursor => vec![cursor(to)],
            Self::VsCode => vec![vs_code(to)],
            Self::Python => vec![programs::python(to)],
            Self::TypeScript => vec![programs::typescript(to)],
        }
    }
}

fn claude_code(to: &Connection<'_>) -> Vec<Snippet> {
    let url = quoted(to.url);
    let command = Snippet {
        about: "For yourself, in the project's folder. In single quotes, so that the variable's name is kept and not \
                the key:",
        language: Language::Shell,
        file: None,
        text: format!(
            "claude mcp add --transport http {SERVER} {url} --header 'Authorization: Bearer ${{ONEGATE_KEY}}'"
        ),
    };
    let server = json!({
        "type": "http",
        "url": to.url,
        "headers": { "Authorization": "Bearer ${ONEGATE_KEY}" },
    });
    let file = Snippet {
        about: "Or for all who work on the project, in its .mcp.json; each is asked once whether to trust it:",
        language: Language::Json,
        file: Some(".mcp.json"),
        text: pretty(&json!({ "mcpServers": { SERVER: server } })),
    };
    vec![command, file]
}

fn claude_desktop(to: &Connection<'_>) -> Vec<Snippet> {
    let key = Snippet {
        about: "Claude Desktop sends no key: its connectors want OAuth. A bridge that it starts does (mcp-remote, which \
                needs Node), and reads the key from a file, since it may not get the variables of your shell. This \
                writes the file, for you alone (macOS, Linux):",
        language: Language::Shell,
        file: None,
        text: "rm -f ~/.onegate-key && (umask 077 && printf %s \"$ONEGATE_KEY\" >~/.onegate-key)"
            .to_owned(),
    };
    // Unless told, it speaks plain HTTP to `localhost` and 127.0.0.1 alone.
    let http = if to.url.starts_with("http://") { " --allow-http" } else { "" };
    let bridge = format!(
        "ONEGATE_KEY=$(cat ~/.onegate-key) && export ONEGATE_KEY && exec npx -y {BRIDGE} {} --transport \
         http-only{http} --header 'X-API-Key:${{ONEGATE_KEY}}'",
        quoted(to.url)
    );
    let server = json!({ "command": "sh", "args": ["-c", bridge] });
    let file = Snippet {
        about: "In claude_desktop_config.json (Settings, Developer, Edit Config); then start Claude Desktop again:",
        language: Language::Json,
        file: Some("claude_desktop_config.json"),
        text: pretty(&json!({ "mcpServers": { SERVER: server } })),
    };
    vec![key, file]
}

fn cursor(to: &Connection<'_>) -> Snippet {
    let server = json!({
        "url": to.url,
        "headers": { "Authorization": "Bearer ${env:ONEGATE_KEY}" },
    });
    Snippet {
        about: "In .cursor/mcp.json of the project, or in ~/.cursor/mcp.json for all of them:",
        language: Language::Json,
        file: Some(".cursor/mcp.json"),
        text: pretty(&json!({ "mcpServers": { SERVER: server } })),
    }
}

fn vs_code(to: &Connection<'_>) -> Snippet {
    let input = json!({
        "type": "promptString",
        "id": "onegate-key",
        "description": format!("Key of {} at the gate", to.client),
        "password": true,
    });
    let server = json!({
        "type": "http",
        "url": to.url,
        "headers": { "Authorization": "Bearer ${input:onegate-key}" },
    });
    Snippet {
        about: "In .vscode/mcp.json of the project. VS Code asks for the key itself, so it needs no variable:",
        language: Language::Json,
        file: Some(".vscode/mcp.json"),
        text: pretty(&json!({ "inputs": [input], "servers": { SERVER: server } })),
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// One word of a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
