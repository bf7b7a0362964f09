//! The server's side of a TLS handshake: settings, and the choice of a certificate by SNI.
//!
//! Mozilla's intermediate profile, 6.0: TLS 1.2 and 1.3, forward secrecy, authenticated ciphers, a
//! hybrid group against quantum computers first. No tickets and no early data: every connection
//! proves its certificate, so what SNI said is what the connection is for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ahash::AHashMap;
use openssl::error::ErrorStack;
use openssl::ssl::{
    AlpnError, NameType, SniError, Ssl, SslAlert, SslContext, SslContextBuilder, SslMethod,
    SslMode, SslOptions, SslRef, SslSessionCacheMode, SslVersion, select_next_proto,
};
use pingora::protocols::Stream;
use pingora::protocols::l4::stream::Stream as L4Stream;
use pingora::protocols::tls::SslStream;

use crate::model::certificate::{Certificate, conflicts};
use crate::model::policy::TlsVersion;
use crate::request::head::parse_host;

use super::TlsError;

const CIPHERS_OF_TLS12: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:\
    ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:\
    ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
const CIPHERS_OF_TLS13: &str =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
const GROUPS: &str = "X25519MLKEM768:X25519:P-256:P-384";
/// OpenSSL's: 112 bits of security and more.
const SECURITY_LEVEL: u32 = 2;

const ALPN_BOTH: &[u8] = b"\x02h2\x08http/1.1";
const ALPN_HTTP1: &[u8] = b"\x08http/1.1";

/// Accepts TLS connections with one set of certificates.
pub struct Acceptor {
    context: SslContext,
    names: Arc<Names>,
}

/// Which certificates stand for which name.
struct Names {
    default: Arc<Group>,
    exact: AHashMap<Box<str>, Arc<Group>>,
    /// By what follows `*.`.
    wildcard: AHashMap<Box<str>, Arc<Group>>,
}

/// Certificates of different kinds that stand for the same name.
struct Group(Box<[Arc<Certificate>]>);

/// What is known of a connection since its handshake.
pub struct Secured {
    group: Arc<Group>,
    /// None: the caller named no host, so it is held to none.
    sni: Option<Box<str>>,
    /// Whether the certificate covers the host that was named.
    sni_is_covered: bool,
}

impl Acceptor {
    pub fn new(
        certificates: &[Arc<Certificate>],
        min_version: TlsVersion,
        http2: bool,
    ) -> Result<Self, TlsError> {
        if let Some(conflict) = conflicts(certificates.iter().map(|c| &**c)).into_iter().next() {
            return Err(TlsError::Conflict(conflict));
        }
        let names = Arc::new(Names::new(certificates)?);
        let mut context = settings(min_version, http2)?;
        let of_callback = Arc::clone(&names);
        context.set_servername_callback(move |ssl, alert| of_callback.choose_for(ssl, alert));
        Ok(Self { context: context.build(), names })
    }

    /// Shakes hands. None when that failed: the caller knows why, and nobody else needs to.
    pub async fn accept(&self, stream: Stream) -> Option<(Stream, Secured)> {
        let stream = stream.into_any().downcast::<L4Stream>().ok()?;
        let shaken = async {
            let mut stream = SslStream::new(Ssl::new(&self.context).ok()?, *stream).ok()?;
            match stream.accept().await {
                Ok(()) => Some(stream),
                Err(error) => {
                    log::debug!("a TLS handshake failed: {error}");
                    None
                }
            }
        };
        let stream = shaken.await?;
        let sni = stream.ssl().servername(NameType::HOST_NAME).map(str::to_ascii_lowercase);
        let chosen = sni.as_deref().and_then(|name| self.names.find(name));
        let secured = Secured {
            sni_is_covered: chosen.is_some(),
            group: Arc::clone(chosen.unwrap_or(&self.names.default)),
            sni: sni.map(Into::into),
        };
        Some((Box::new(stream), secured))
    }
}

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

impl Names {
    fn new(certificates: &[Arc<Certificate>]) -> Result<Self, TlsError> {
        let mut holders: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, certificate) in certificates.iter().enumerate() {
            for name in &certificate.names {
                holders.entry(name).or_default().push(at);
            }
        }
        let mut groups: BTreeMap<&[usize], Arc<Group>> = BTreeMap::new();
        let (mut exact, mut wildcard) = (AHashMap::new(), AHashMap::new());
        for (name, at) in &holders {
            let group = groups.entry(at.as_slice()).or_insert_with(|| {
                let of_group = at.iter().filter_map(|at| certificates.get(*at).cloned());
                Arc::new(Group(of_group.collect()))
            });
            match name.strip_prefix("*.") {
                Some(parent) => wildcard.insert(parent.into(), Arc::clone(group)),
                None => exact.insert((*name).into(), Arc::clone(group)),
            };
        }
        // The first certificate, with those of other kinds that stand for its first name.
        let first = certificates.first().and_then(|first| holders.get(first.name()));
        let default = first.and_then(|at| groups.get(at.as_slice())).cloned();
        Ok(Self { default: default.ok_or(TlsError::NoCertificate)?, exact, wildcard })
    }

    /// By the name itself, else by the pattern that fits it.
    fn find(&self, name: &str) -> Option<&Arc<Group>> {
        let name = name.strip_suffix('.').unwrap_or(name);
        self.exact.get(name).or_else(|| self.wildcard.get(name.split_once('.')?.1))
    }

    /// OpenSSL asks in every handshake, also in those without a name.
    fn choose_for(&self, ssl: &mut SslRef, alert: &mut SslAlert) -> Result<(), SniError> {
        let name = ssl.servername(NameType::HOST_NAME).map(str::to_ascii_lowercase);
        let found = name.and_then(|name| self.find(&name));
        let put = found.unwrap_or(&self.default).put_on(ssl);
        put.map_err(|_| {
            *alert = SslAlert::INTERNAL_ERROR;
            SniError::ALERT_FATAL
        })?;
        if found.is_some() { Ok(()) } else { Err(SniError::NOACK) }
    }
}

impl Group {
    /// Each with its own chain, which a context that all share could not have.
    fn put_on(&self, ssl: &mut SslRef) -> Result<(), ErrorStack> {
        for certificate in &self.0 {
            ssl.set_certificate(&certificate.leaf)?;
            ssl.set_private_key(&certificate.key)?;
            for authority in &certificate.chain {
                ssl.add_chain_cert(authority.clone())?;
            }
        }
        Ok(())
    }
}

impl Secured {
    /// Whether a request for this host belongs on this connection: its certificate stands for the
    /// host too. Without it, a caller could reach hosts of another certificate unseen.
    pub fn serves(&self, host: &[u8]) -> bool {
        let Some(sni) = &self.sni else { return true };
        if self.sni_is_covered && host.eq_ignore_ascii_case(sni.as_bytes()) {
            return true;
        }
        let Some(host) = parse_host(host) else { return false };
        self.group.0.iter().all(|certificate| certificate.covers(&host))
    }
}

impl fmt::Debug for Secured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secured").field("sni", &self.sni).finish_non_exhaustive()
    }
}

fn settings(min_version: TlsVersion, http2: bool) -> Result<SslContextBuilder, ErrorStack> {
    let mut context = SslContextBuilder::new(SslMethod::tls_server())?;
    context.set_options(
        SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION | SslOptions::NO_TICKET,
    );
    context.set_mode(
        SslMode::AUTO_RETRY
            | SslMode::ACCEPT_MOVING_WRITE_BUFFER
            | SslMode::ENABLE_PARTIAL_WRITE
            | SslMode::RELEASE_BUFFERS,
    );
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_num_tickets(0)?;
    context.set_max_early_data(0)?;
    context.set_security_level(SECURITY_LEVEL);
    let min_version = match min_version {
        TlsVersion::Tls12 => SslVersion::TLS1_2,
        TlsVersion::Tls13 => SslVersion::TLS1_3,
    };
    context.set_min_proto_version(Some(min_version))?;
    context.set_max_proto_version(Some(SslVersion::TLS1_3))?;
    context.set_cipher_list(CIPHERS_OF_TLS12)?;
    context.set_ciphersuites(CIPHERS_OF_TLS13)?;
    context.set_groups_list(GROUPS)?;
    let spoken = if http2 { ALPN_BOTH } else { ALPN_HTTP1 };
    context.set_alpn_select_callback(move |_, offered| {
        select_next_proto(spoken, offered).ok_or(AlpnError::ALERT_FATAL)
    });
    Ok(context)
}
