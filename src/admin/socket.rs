//! The admin socket: who may connect to it, and its connections, which are few, short and carry one
//! request each. It knows nothing of what is asked.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use super::AdminError;

/// The user on the other end, by the kernel's word.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub uid: u32,
}

/// Connections at once; more wait.
const CONNECTIONS_MAX: u32 = 32;
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// From the first byte to the last, both ways.
const CONNECTION_DEADLINE: Duration = Duration::from_mins(5);
/// How long requests may go on after the stop.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: usize = 16 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens at a path that nobody else answers at. The directory is ours alone to write to, so a
/// socket left there by a dead gate is all that can be in the way.
pub fn bind(path: &Path) -> Result<StdListener, AdminError> {
    let failed = |doing| move |error| AdminError::Io { doing, path: path.into(), error };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed("look at")(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(AdminError::NotASocket(path.into()));
        }
        Ok(_) => match StdStream::connect(path) {
            Ok(_) => return Err(AdminError::Taken(path.into())),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(failed("remove"))?;
            }
            Err(error) => return Err(failed("connect to")(error)),
        },
    }
    let listener = StdListener::bind(path).map_err(failed("listen at"))?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed("protect"))?;
    listener.set_nonblocking(true).map_err(failed("listen at"))?;
    Ok(listener)
}

/// The user this process runs as: what the kernel tells the other end of a socket of ours.
pub fn own_uid() -> io::Result<u32> {
    let (one, _other) = UnixStream::pair()?;
    Ok(one.peer_cred()?.uid())
}

/// Serves until told to stop, then lets requests end.
pub async fn serve(listener: UnixListener, router: Router, mut stop: oneshot::Receiver<()>) {
    let Ok(own_uid) = own_uid().inspect_err(|error| log::error!("admin socket: {error}")) else {
        return;
    };
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    loop {
        let next = async {
            // The semaphore is never closed, so there is always a permit to wait for.
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            _ = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::warn!("admin socket: cannot accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match allowed(&stream, own_uid) {
            Ok(peer) => {
                let router = router.clone().layer(Extension(peer));
                tokio::spawn(async move {
                    connection(stream, router).await;
                    drop(slot);
                });
            }
            Err(why) => log::warn!("admin socket: connection refused: {why}"),
        }
    }
    drop(listener);
    if timeout(DRAIN_DEADLINE, slots.acquire_many(CONNECTIONS_MAX)).await.is_err() {
        log::warn!("admin socket: requests still going on are cut off");
    }
}

fn allowed(stream: &UnixStream, own_uid: u32) -> Result<Peer, String> {
    let uid = stream.peer_cred().map_err(|error| error.to_string())?.uid();
    if may_connect(uid, own_uid) { Ok(Peer { uid }) } else { Err(format!("it is of uid {uid}")) }
}

/// Only root and the gate's own user, whatever the mode of the socket says.
const fn may_connect(uid: u32, own_uid: u32) -> bool {
    uid == 0 || uid == own_uid
}

async fn connection(stream: UnixStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(CONNECTION_DEADLINE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => log::debug!("admin socket: {error}"),
        Err(_) => log::warn!("admin socket: a request took too long and was cut off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_the_gates_own_user_may_connect() {
        let check = |uid: u32, own_uid: u32, expected: bool| {
            assert_eq!(may_connect(uid, own_uid), expected, "{uid} {own_uid}");
        };
        check(0, 998, true);
        check(998, 998, true);
        check(1000, 998, false);
        check(1000, 0, false);
    }
}
