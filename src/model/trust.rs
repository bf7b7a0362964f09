//! Certificates and private keys, as parsed: data that config reads and the edge shows or trusts.
//! Nothing here verifies anything; that is the handshake's.

use std::fmt;
use std::sync::Arc;

use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

/// One or more certificates. Equal when their bytes are; shared, because a system trusts many.
#[derive(Clone)]
pub struct Certificates {
    list: Arc<Box<[X509]>>,
    digest: [u8; 32],
}

impl Certificates {
    /// `digest` is the SHA-256 over the certificates, by which they are compared.
    pub fn new(list: Vec<X509>, digest: [u8; 32]) -> Self {
        Self { list: Arc::new(list.into()), digest }
    }

    pub fn list(&self) -> &Arc<Box<[X509]>> {
        &self.list
    }

    pub const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

impl PartialEq for Certificates {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Certificates {}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} certificates ", self.list.len())?;
        self.digest.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A certificate with what chains it to its root, and its private key.
#[derive(Clone)]
pub struct Identity {
    /// The leaf comes first.
    pub chain: Certificates,
    pub key: PKey<Private>,
}

impl PartialEq for Identity {
    /// A certificate has one key, so the certificates tell.
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain
    }
}

impl Eq for Identity {}

impl fmt::Debug for Identity {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chain.fmt(f)
    }
}
