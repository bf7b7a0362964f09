//! `loadtest parity`: `onegate parity` over an inventory as large as a company's, made the same in every run:
//! many operations in apis of all kinds, many clients with some of the products, scopes and plans.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::clock::Stopwatch;
use crate::error::{Error, Result, Verdict};
use crate::report::say;
use crate::scratch::Scratch;
use crate::servers::beside;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Operations, in ten apis.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=2000))]
    operations: u32,
    /// Clients.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    clients: u32,
    /// The gate; by default `onegate` beside this program.
    #[arg(long, value_name = "FILE")]
    gate: Option<PathBuf>,
}

/// Apis, and what each has beside its operations.
const APIS: [&str; 10] = [
    "",
    "",
    "",
    "",
    "hosts = [\"api.example.com\"]",
    "credential = [\"x-api-key\"]",
    "ip = { deny = [\"127.0.0.0/8\"] }",
    "required_headers = [\"x-tenant\"]",
    "body_bytes_max = \"1KiB\"",
    "",
];
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "GET"];
const SCOPES: [&str; 4] = ["[]", "[\"a\"]", "[\"a\", \"b\"]", "[\"c\"]"];
const PLANS: [&str; 4] = ["", "plan = \"all\"\n", "plan = \"rate\"\n", "plan = \"quota\"\n"];
const LIMITS: &str = r#"
[[plan]]
name = "all"
rates = [{ limit = 50, per = "1s", burst = 100 }, { limit = 5, per = "1m", by = "credential" }]
quotas = [{ limit = 1000, per = "day" }, { limit = 100_000, per = "month" }]
concurrency = 4
[[plan]]
name = "rate"
rates = [{ limit = 10, per = "1s", burst = 20 }]
[[plan]]
name = "quota"
quotas = [{ limit = 500, per = "month", timezone = "Europe/Berlin" }]
"#;

pub fn run(options: &Options) -> Result<Verdict> {
    let binary = options.gate.clone().map_or_else(|| beside("onegate"), Ok)?;
    let scratch = Scratch::make()?;
    let config = scratch.write("gateway.toml", &config(options.operations))?;
    let clients = scratch.write("clients.toml", &clients(options.clients))?;
    let mut command = Command::new(binary);
    command.arg("--config").arg(config).args(["parity", "--inventory"]).arg(clients);
    let watch = Stopwatch::start();
    let ran = command.stderr(Stdio::inherit()).output();
    let ran = ran.map_err(Error::while_doing("cannot run onegate parity"))?;
    say(String::from_utf8_lossy(&ran.stdout).trim_end())?;
    say(&format!("in {} s", watch.elapsed().as_secs()))?;
    match ran.status.code() {
        Some(0) => Ok(Verdict::Good),
        Some(1) => Ok(Verdict::AboveLimit),
        _ => Err(Error::unexpected("onegate parity", ran.status.to_string())),
    }
}

/// Operation `n` is in every product whose number it shares a remainder with, so that clients have parts of all apis.
fn config(operations: u32) -> String {
    let mut text = "[[listener]]\nname = \"public\"\naddress = \"0.0.0.0:8443\"\n\
                    [[upstream]]\nname = \"far\"\nendpoints = [\"192.0.2.1:80\"]\n"
        .to_owned();
    let mut ids = Vec::new();
    let each = operations.div_ceil(count(&APIS));
    for (api, more) in APIS.iter().enumerate() {
        write!(
            text,
            "[[api]]\nname = \"api{api}\"\nbase_path = \"/api{api}\"\nupstream = \"far\"\n\
             access = \"granted\"\n{more}\n"
        )
        .unwrap_or_default();
        for n in 0..each.min(operations.saturating_sub(count(&ids))) {
            let (method, scopes) = (pick(&METHODS, n), pick(&SCOPES, n + n / 4));
            write!(
                text,
                "[[api.operation]]\nid = \"op{n}\"\nmethods = [\"{method}\"]\n\
                 path = \"/things{n}/{{id}}\"\nscopes = {scopes}\n"
            )
            .unwrap_or_default();
            ids.push(format!("\"api{api}.op{n}\""));
        }
    }
    for product in 0..PRODUCTS {
        let holds = |at: &usize| at % 7 == product || at % 5 == product % 5;
        let of_product = ids.iter().enumerate().filter(|(at, _)| holds(at)).map(|(_, id)| &**id);
        let of_product = of_product.collect::<Vec<&str>>().join(", ");
        write!(text, "[[product]]\nname = \"product{product}\"\noperations = [{of_product}]\n")
            .unwrap_or_default();
    }
    text + LIMITS
}

const PRODUCTS: usize = 7;

fn clients(count: u32) -> String {
    let mut text = String::new();
    for n in 0..count {
        let products: Vec<_> =
            (0..n % 4).map(|more| format!("\"product{}\"", (n + 2 * more) % 7)).collect();
        write!(
            text,
            "[[client]]\nid = \"client-{n}\"\nkind = \"{}\"\nowner = \"team@example.com\"\n\
             purpose = \"parity\"\nno_expiry = true\nproducts = [{}]\nscopes = {}\n{}",
            pick(&["app", "agent", "service", "partner"], n),
            products.join(", "),
            pick(&SCOPES, n / 2),
            pick(&PLANS, n + n / 4),
        )
        .unwrap_or_default();
    }
    text
}

fn pick<'a>(of: &[&'a str], at: u32) -> &'a str {
    of.get(at as usize % of.len()).copied().unwrap_or_default()
}

fn count<T>(of: &[T]) -> u32 {
    u32::try_from(of.len()).unwrap_or(u32::MAX)
}
