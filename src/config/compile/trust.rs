//! Certificates and private keys that a config names, read from PEM files. Each file is read on
//! every load, so that a reload takes on what was rotated.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use openssl::pkey::{PKey, Private};
use openssl::x509::X509;
use sha2::{Digest, Sha256};

use super::super::diagnostic::Problems;
use super::super::section::Text;
use super::super::source::Place;
use super::beside::Beside;
use crate::model::trust::{Certificates, Identity};

/// Largest file of certificates or of a key.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Where systems keep the certificates that they trust, in one file, most used first: Debian and
/// Alpine, Fedora, Red Hat, SUSE, BSD.
const SYSTEM_ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The files beside a config.
pub(super) struct TrustFiles<'f> {
    beside: Beside<'f>,
    /// What the system trusts, once asked for: all upstreams share it.
    system: OnceCell<Option<Certificates>>,
}

impl<'f> TrustFiles<'f> {
    pub(super) const fn new(beside: Beside<'f>) -> Self {
        Self { beside, system: OnceCell::new() }
    }

    /// The certificates of a file, at least one.
    pub(super) fn certificates(
        &self,
        file: Text<'_>,
        problems: &Problems<'_>,
    ) -> Option<Certificates> {
        let (path, bytes) = self.read(file, problems)?;
        match parse(&bytes) {
            Ok(certificates) => Some(certificates),
            Err(problem) => {
                let message = format!("{} {problem}", path.display());
                let fix = "each certificate begins with -----BEGIN CERTIFICATE-----";
                problems.error(file.at, message, fix);
                None
            }
        }
    }

    /// What the system trusts, for a section at `at` that says nothing else.
    pub(super) fn system_roots(&self, at: Place, problems: &Problems<'_>) -> Option<Certificates> {
        if matches!(self.beside, Beside::Unread) {
            return None;
        }
        let system = self.system.get_or_init(|| {
            let read = |path: &&str| parse(&read(Path::new(path)).ok()?).ok();
            SYSTEM_ROOTS.iter().find_map(read)
        });
        if system.is_none() {
            let message = format!("this system trusts no certificates: none in {SYSTEM_ROOTS:?}");
            let fix = "install the package ca-certificates, or set ca to a file";
            problems.error(at, message, fix);
        }
        system.clone()
    }

    /// A certificate with its chain, and the key that belongs to it.
    pub(super) fn identity(
        &self,
        certificate: Text<'_>,
        key: Text<'_>,
        problems: &Problems<'_>,
    ) -> Option<Identity> {
        let chain = self.certificates(certificate, problems);
        let private = self.private_key(key, problems);
        let identity = Identity { chain: chain?, key: private? };
        let leaf = identity.chain.list().first().and_then(|leaf| leaf.public_key().ok());
        if leaf.is_some_and(|public| public.public_eq(&identity.key)) {
            return Some(identity);
        }
        let message = format!("the key in {} is not that of the certificate", key.text);
        let fix = format!("put the certificate that belongs to it first in {}", certificate.text);
        problems.error(key.at, message, fix);
        None
    }

    fn private_key(&self, file: Text<'_>, problems: &Problems<'_>) -> Option<PKey<Private>> {
        let (path, bytes) = self.read(file, problems)?;
        // A key with a passphrase would be asked for on the terminal: none is given instead.
        let key = PKey::private_key_from_pem_callback(&bytes, |_| Ok(0)).ok();
        if key.is_none() {
            let message = format!("{} holds no private key in plain PEM form", path.display());
            let fix = "it begins with -----BEGIN PRIVATE KEY----- and has no passphrase";
            problems.error(file.at, message, fix);
        }
        key
    }

    fn read(&self, file: Text<'_>, problems: &Problems<'_>) -> Option<(PathBuf, Vec<u8>)> {
        let path = self.beside.path(file.text)?;
        match read(&path) {
            Ok(bytes) => Some((path, bytes)),
            Err(error) => {
                let message = format!("{} cannot be read: {error}", path.display());
                let fix = "check the path, and that the gate's user may read the file";
                problems.error(file.at, message, fix);
                None
            }
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 MiB"));
    }
    Ok(bytes)
}

fn parse(pem: &[u8]) -> Result<Certificates, &'static str> {
    let list = X509::stack_from_pem(pem).map_err(|_| "holds a broken certificate")?;
    if list.is_empty() {
        return Err("holds no certificate in PEM form");
    }
    let mut hash = Sha256::new();
    for certificate in &list {
        hash.update(certificate.to_der().map_err(|_| "holds a broken certificate")?);
    }
    Ok(Certificates::new(list, hash.finalize().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_trusts_somebody() {
        let found = SYSTEM_ROOTS.iter().find_map(|path| parse(&read(Path::new(path)).ok()?).ok());
        let count = found.expect("the package ca-certificates").list().len();
        assert!(count > 50, "{count}");
    }
}
