//! Wiring: starts every part in order, stops them in the opposite one, and swaps the config.
//!
//! The one place that knows every layer. Worker threads run Pingora and nothing else; the control
//! thread (the caller's) serves metrics, resolves names and waits for signals; the recorder, the
//! sweeper and the admin socket have threads of their own.

mod gauges;
mod listen;
mod signals;
mod sweeper;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora::apps::ServerApp;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::admin;
use crate::audit::{self, AuditLog, Recorder};
use crate::clock;
use crate::config;
use crate::edge::Shared;
use crate::edge::connection::Connections;
use crate::edge::exchange::Exchange;
use crate::edge::flight::{Flights, TICK};
use crate::edge::proxy::Gate;
use crate::edge::upstreams::{RESOLVE_EVERY, Upstreams};
use crate::inventory::Registry;
use crate::metrics::{self, Metrics};
use crate::model::policy::Policy;
use crate::model::snapshot::Snapshot;
use crate::request;

use self::gauges::LiveGauges;
use self::signals::{Order, Orders};
use self::sweeper::Sweeper;
