//! The gate under test: the built binary as a child process, in a folder of its own.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus};
use std::thread;

use serde_json::Value;

use super::address;
use super::client::Client;
use super::folder::Folder;
use super::http::{Request, Response};
use super::poll;
use super::setup::Setup;
use super::tools::{self, Said};
use super::witness::Witness;

pub struct Gate {
    /// None while it is not running.
    process: Option<Process>,
    environment: Vec<(String, String)>,
    pub address: SocketAddr,
    pub metrics_address: SocketAddr,
    pub folder: Folder,
    pub witness: Witness,
}

/// A child that does not outlive its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// An API key of a client of the inventory.
pub struct Key {
    pub text: String,
    pub credential: String,
}

impl Gate {
    /// A gate that is ready.
    pub fn start(setup: &Setup) -> Self {
        Self::start_with(setup, &[])
    }

    /// A gate whose folder is made ready first.
    pub fn start_after<T>(setup: &Setup, make_ready: impl FnOnce(&Folder) -> T) -> (Self, T) {
        let mut gate = Self::in_its_folder(setup, &[]);
        let made = make_ready(&gate.folder);
        gate.run();
        (gate, made)
    }

    /// A gate with variables in its environment; its commands have them too.
    pub fn start_with(setup: &Setup, environment: &[(&str, &str)]) -> Self {
        let mut gate = Self::in_its_folder(setup, environment);
        gate.run();
        gate
    }

    /// Not running yet.
    fn in_its_folder(setup: &Setup, environment: &[(&str, &str)]) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let gate = Self {
            process: None,
            environment: environment.iter().map(own).collect(),
            address: address::free(),
            metrics_address: address::free(),
            folder: Folder::new(),
            witness: Witness::default(),
        };
        gate.write_config(setup);
        gate
    }

    /// Replaces the config file. A running gate does not look until it is told to.
    pub fn write_config(&self, setup: &Setup) {
        let data_dir = self.folder.at("data");
        self.write_config_text(&setup.to_toml(self.address, self.metrics_address, &data_dir));
    }

    pub fn write_config_text(&self, text: &str) {
        fs::write(self.config(), text).expect("the folder is ours");
    }

    pub fn config_text(&self) -> String {
        fs::read_to_string(self.config()).expect("the folder is ours")
    }

    pub fn config(&self) -> String {
        self.folder.at("gateway.toml")
    }

    /// Starts the process and waits until it is ready.
    pub fn run(&mut self) {
        self.begin();
        poll::until("the gate is ready", || self.is_ready().then_some(()));
    }

    /// Starts the process and waits until it has ended by itself.
    pub fn run_in_vain(&mut self) -> ExitStatus {
        self.begin();
        self.wait_for_end()
    }

    fn begin(&mut self) {
        let log = |name| {
            let path = self.folder.at(name);
            File::options().create(true).append(true).open(path).expect("the folder is ours")
        };
        let (stdout, stderr) = (log("stdout.txt"), log("stderr.txt"));
        let mut command = self.command();
        let child = command.arg("run").stdout(stdout).stderr(stderr).spawn();
        self.process = Some(Process(child.expect("the binary was built")));
    }

    fn is_ready(&mut self) -> bool {
        if let Some(status) = self.exit_status() {
            panic!("the gate ended before it was ready: {status}\n{}", self.stderr());
        }
        TcpStream::connect(self.metrics_address).is_ok()
            && self.metrics_get("/readyz").status == 200
    }

    /// The binary with this gate's config.
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onegate"));
        command.args(["--config", &self.config()]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command of the CLI.
    pub fn cli(&self, args: &[&str]) -> Said {
        tools::run(self.command().args(args), b"")
    }

    /// The rows that a command prints with `--json`.
    pub fn json(&self, args: &[&str]) -> Vec<Value> {
        let rows = tools::run(self.command().arg("--json").args(args), b"").expect_success();
        rows.lines()
            .map(|row| serde_json::from_str(row).expect("a row is one JSON value"))
            .collect()
    }

    /// Makes a client with one key; `more` says its grants, scopes, plan.
    pub fn add_client(&self, id: &str, more: &[&str]) -> Key {
        let who =
            ["client", "add", id, "--kind", "app", "--owner", "tests", "--purpose", "testing"];
        self.key(&[&who, more].concat())
    }

    /// Makes a client that may do all that `setup::LAB` has, as often as it likes.
    pub fn add_lab_client(&self, id: &str) -> Key {
        let may = ["--product", "lab", "--plan", "wide", "--no-expiry", "--scope", "lab:read"];
        self.add_client(id, &[&may[..], &["--scope", "lab:write", "--scope", "lab:erase"]].concat())
    }

    /// Runs a command that makes one key.
    pub fn key(&self, args: &[&str]) -> Key {
        let rows = self.json(args);
        let text = |member: &str| rows[0][member].as_str().expect("the row has it").to_owned();
        let key = Key { text: text("key"), credential: text("credential") };
        self.witness.was_given(&key.text);
        key
    }

    /// A connection to the gate.
    pub fn client(&self) -> Client {
        Client::connect(self.address, Some(self.witness.clone()))
    }

    /// One call over a connection of its own.
    pub fn call(&self, request: &Request) -> Response {
        self.client().call(request)
    }

    /// The text of `/metrics`.
    pub fn metrics(&self) -> String {
        let response = self.metrics_get("/metrics");
        assert_eq!(response.status, 200, "{response:?}");
        response.text().to_owned()
    }

    pub fn metrics_get(&self, path: &str) -> Response {
        // Metrics are not traffic: their answers have no records.
        Client::connect(self.metrics_address, None).call(&Request::get(path))
    }

    pub fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        tools::run(Command::new("kill").args(["-s", name, &pid]), b"").expect_success();
    }

    /// Ends the process at once.
    pub fn kill9(&mut self) {
        self.process = None;
    }

    /// Ends the process in good order.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait_for_end()
    }

    pub fn wait_for_end(&mut self) -> ExitStatus {
        let status = poll::until("the gate ends", || self.exit_status());
        self.process = None;
        status
    }

    fn exit_status(&mut self) -> Option<ExitStatus> {
        let process = self.process.as_mut().expect("it was started");
        process.0.try_wait().expect("it is our child")
    }

    /// Kilobytes of memory from `/proc`: `VmRSS` for now, `VmHWM` for the most since the last
    /// `forget_peak`.
    pub fn memory_kb(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with(field)).expect("Linux says it");
        line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number")
    }

    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("it is our child");
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").0.id()
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(self.folder.at("stderr.txt")).unwrap_or_default()
    }
}

/// What holds for every test, whatever it does.
impl Drop for Gate {
    fn drop(&mut self) {
        if thread::panicking() {
            return eprintln!("the gate said:\n{}", self.stderr());
        }
        if self.process.is_some() {
            let status = self.terminate();
            assert!(status.success(), "the gate ended with {status}\n{}", self.stderr());
        }
        self.witness.expect_records(&self.records_now(&[]));
        self.cli(&["audit", "verify"]).expect_success();
        self.witness.expect_no_secret(&self.folder.files());
    }
}
