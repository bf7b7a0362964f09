//! Reads a certificate and its key from their files: when a config is loaded, and again whenever
//! the files change.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::model::certificate::{Certificate, CertificateError};

/// Longest certificate or key file; chains are a few KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Why a pair of files cannot be used.
#[derive(Debug)]
pub enum Unusable {
    Cert(io::Error),
    Key(io::Error),
    Pair(CertificateError),
}

/// Reads both files and holds them against each other.
pub fn read(cert: &Path, key: &Path) -> Result<Certificate, Unusable> {
    let cert = read_file(cert).map_err(Unusable::Cert)?;
    let key = read_file(key).map_err(Unusable::Key)?;
    Certificate::parse(&cert, &key).map_err(Unusable::Pair)
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(bytes)
}
