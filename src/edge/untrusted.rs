//! Why an upstream's certificate was refused. Pingora says only that it was; the true reason takes
//! another handshake, which is made after the refusal, for the record alone. Nothing is sent over it.

use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslConnector, SslMethod};
use openssl::x509::X509VerifyResult;
use openssl::x509::store::X509StoreBuilder;
use pingora::Error;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::protocols::tls::SslStream;
use pingora::upstreams::peer::{HttpPeer, Peer as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;

use crate::model::denial::Reason;

use super::ctx::Ctx;
use super::fault;

/// Handshakes at once; who finds no turn does without the reason.
static TURNS: Semaphore = Semaphore::const_new(2);

/// Says in the record why, if an error is that a certificate was refused.
pub async fn explain(error: &Error, ctx: &mut Ctx) {
    let request = ctx.request.as_mut().filter(|_| fault::is_untrusted(error));
    let Some(peer) = request.and_then(|request| request.forward.untrusted.take()) else { return };
    ctx.awaits_connection();
    let reason = why(&peer).await;
    if let Some(request) = &mut ctx.request {
        request.reason = reason;
    }
}

/// The reason, when the same happens again and in time.
async fn why(peer: &HttpPeer) -> Option<Reason> {
    let _turn = TURNS.try_acquire().ok()?;
    let result = tokio::time::timeout(peer.options.connection_timeout?, verify(peer)).await;
    let refused = result.ok().flatten().filter(|result| *result != X509VerifyResult::OK)?;
    Some(Reason::told(format!("certificate verify failed: {}", refused.error_string())))
}

async fn verify(peer: &HttpPeer) -> Option<X509VerifyResult> {
    let ssl = ssl(peer).ok()?;
    match peer.address() {
        SocketAddr::Inet(address) => shake(TcpStream::connect(address).await.ok()?, ssl).await,
        SocketAddr::Unix(address) => {
            shake(UnixStream::connect(address.as_pathname()?).await.ok()?, ssl).await
        }
    }
}

async fn shake(stream: impl AsyncRead + AsyncWrite + Unpin, ssl: Ssl) -> Option<X509VerifyResult> {
    let mut stream = SslStream::new(ssl, stream).ok()?;
    stream.connect().await.err()?;
    Some(stream.ssl().verify_result())
}

/// Trusts and asks for what the peer does.
fn ssl(peer: &HttpPeer) -> Result<Ssl, ErrorStack> {
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    let mut roots = X509StoreBuilder::new()?;
    for root in peer.options.ca.iter().flat_map(|roots| roots.iter()) {
        roots.add_cert(root.clone())?;
    }
    connector.set_cert_store(roots.build());
    connector.build().configure()?.into_ssl(peer.sni())
}
