//! `listener.tls.certificates`: pairs of files, each read and judged when the config is.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use super::super::certificate::{self, Unusable};
use super::super::diagnostic::Problems;
use super::super::section::{Section, Text};
use super::super::source::Place;
use super::beside::Beside;
use crate::clock;
use crate::model::certificate::{Certificate, CertificateFiles, conflicts};

/// Most certificates of one listener.
const CERTIFICATES_MAX: usize = 64;

/// Every pair; None when one of them cannot be used or is not read, or none is there.
pub(super) fn certificates(
    section: &mut Section<'_>,
    beside: Beside<'_>,
) -> Option<Box<[CertificateFiles]>> {
    let sections = section.tables("certificates");
    let at = section.place("certificates")?;
    let problems = section.problems;
    if sections.is_empty() || sections.len() > CERTIFICATES_MAX {
        let message = format!("\"listener.tls.certificates\" must have 1 to {CERTIFICATES_MAX}");
        problems.error(at, message, "write [{ cert = \"tls.crt\", key = \"tls.key\" }]");
    }
    let places: Vec<_> = sections.iter().map(|section| section.at).collect();
    let read = sections.into_iter().map(|section| pair(section, beside));
    let pairs: Option<Vec<_>> = read.collect::<Vec<_>>().into_iter().collect();
    let pairs = pairs.filter(|pairs| !pairs.is_empty())?;
    compare(&pairs, &places, problems);
    Some(pairs.into())
}

fn pair(mut section: Section<'_>, beside: Beside<'_>) -> Option<CertificateFiles> {
    section.need("cert", "cert = \"tls.crt\"");
    section.need("key", "key = \"tls.key\"");
    let (cert_at, key_at) = (section.text("cert"), section.text("key"));
    let problems = section.problems;
    section.finish();
    let (cert_at, key_at) = (cert_at?, key_at?);
    let (cert, key) = (beside.path(cert_at.text)?, beside.path(key_at.text)?);
    match certificate::read(&cert, &key) {
        Ok(loaded) => {
            warn_of_dates(&loaded, cert_at, problems);
            warn_of_readers(&key, key_at, problems);
            Some(CertificateFiles { cert, key, loaded: Arc::new(loaded) })
        }
        Err(unusable) => {
            report(&unusable, cert_at, key_at, problems);
            None
        }
    }
}

fn report(unusable: &Unusable, cert: Text<'_>, key: Text<'_>, problems: &Problems<'_>) {
    let (text, what, fix) = match unusable {
        Unusable::Cert(error) => (cert, error.to_string(), "check the path and its permissions"),
        Unusable::Key(error) => (key, error.to_string(), "check the path and its permissions"),
        Unusable::Pair(error) => {
            (if error.is_of_key() { key } else { cert }, error.to_string(), error.fix())
        }
    };
    problems.error(text.at, format!("\"{}\" cannot be used: {what}", text.text), fix);
}

fn warn_of_dates(certificate: &Certificate, text: Text<'_>, problems: &Problems<'_>) {
    let (from, to) = (certificate.not_before, certificate.not_after);
    let now = clock::wall();
    let fix = "renew it: callers will refuse it";
    if to <= now {
        problems.warning(text.at, format!("\"{}\" expired at {to}", text.text), fix);
    } else if from > now {
        problems.warning(text.at, format!("\"{}\" is not valid before {from}", text.text), fix);
    }
}

/// Everyone on the machine could speak in the gate's name.
fn warn_of_readers(key: &Path, text: Text<'_>, problems: &Problems<'_>) {
    let mode = fs::metadata(key).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o004 != 0 {
        let message = format!("every user of this machine can read \"{}\"", text.text);
        problems.warning(text.at, message, format!("chmod o-r {}", key.display()));
    }
}

/// Nothing could choose between two of one kind for one name.
fn compare(pairs: &[CertificateFiles], places: &[Place], problems: &Problems<'_>) {
    for conflict in conflicts(pairs.iter().map(|pair| &*pair.loaded)) {
        let place = |at: usize| places.get(at).copied();
        let (Some(first), Some(second)) = (place(conflict.first), place(conflict.second)) else {
            continue;
        };
        let first = problems.locate(first);
        let message =
            format!("\"{}\" has two certificates of one kind, first at {first}", conflict.name);
        problems.error(second, message, "take one of the two out; one ECDSA and one RSA may stay");
    }
}
