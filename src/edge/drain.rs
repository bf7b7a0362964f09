//! What is left of a refused request: read away, so that its connection can go on, or not.

use http::{Version, header};
use pingora::proxy::Session;

use super::answer::After;

/// Body bytes of a refused request that are read away to keep its connection.
const DRAIN_BYTES_MAX: usize = 64 * 1024;

/// Reads a refused request's body away when it is small and on its way, so that the connection can
/// go on. A caller that waits for `100 Continue` will not send it, or might: the connection closes.
pub async fn drain(session: &mut Session) -> After {
    // HTTP/2 has other streams for what comes next.
    if session.as_mut().is_body_done() || session.req_header().version == Version::HTTP_2 {
        return After::KeepAlive;
    }
    if session.req_header().headers.contains_key(header::EXPECT) {
        return After::Close;
    }
    let mut drained = 0;
    while let Ok(Some(bytes)) = session.read_request_body().await {
        drained += bytes.len();
        if drained > DRAIN_BYTES_MAX {
            return After::Close;
        }
    }
    if session.as_mut().is_body_done() { After::KeepAlive } else { After::Close }
}
