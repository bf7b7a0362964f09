//! Certificates in use, followed to their files: a renewed pair is taken as soon as both files fit
//! each other, a broken one is told once and the last good one stays.
//!
//! Files are found by their names each time, so links that are swapped (Kubernetes, certbot) are
//! followed. What a look costs is a `stat` of each file.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::config::certificate::{self, Unusable};
use crate::edge::tls::TlsError;
use crate::edge::tls::doors::{Doors, Entry};
use crate::model::certificate::{Certificate, CertificateFiles};
use crate::model::policy::{Listener, TlsSettings};

/// How often files are looked at, and so how late a renewal may be noticed.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Every TLS listener, and what was seen of its files last.
#[derive(Debug)]
pub struct Rotation {
    doors: Arc<Doors>,
    watched: Mutex<Vec<Watched>>,
}

/// New entries, made before anything is replaced by them.
#[derive(Debug)]
pub struct Prepared(Vec<(Listener, Entry)>);

#[derive(Debug)]
struct Watched {
    listener: Listener,
    tls: TlsSettings,
    pairs: Vec<Pair>,
    complaint: Option<String>,
}

#[derive(Debug)]
struct Pair {
    files: CertificateFiles,
    /// None: whatever is found is news.
    seen: Option<[Stamp; 2]>,
    complaint: Option<String>,
}

/// What changes when a file does.
#[derive(Debug, Eq, PartialEq)]
struct Stamp([i128; 6]);

impl Rotation {
    pub fn open(listeners: &[Listener]) -> Result<Self, TlsError> {
        let doors = Arc::new(Doors::open(listeners)?);
        let watched = Mutex::new(listeners.iter().filter_map(Watched::of).collect());
        Ok(Self { doors, watched })
    }

    pub fn doors(&self) -> Arc<Doors> {
        Arc::clone(&self.doors)
    }

    /// Makes what a new config asks for.
    pub fn prepare(listeners: &[Listener]) -> Result<Prepared, TlsError> {
        let entry = |listener: &Listener| Ok((listener.clone(), Entry::of(listener)?));
        Ok(Prepared(listeners.iter().map(entry).collect::<Result<_, TlsError>>()?))
    }

    /// A new config is in force, whose files were just read.
    pub fn adopt(&self, prepared: Prepared) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.clear();
        for (listener, entry) in prepared.0 {
            self.doors.replace(&listener.name, entry);
            watched.extend(Watched::of(&listener));
        }
    }

    /// Looks at every file once.
    pub fn look(&self) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        for listener in watched.iter_mut() {
            listener.look(&self.doors);
        }
    }
}

impl Watched {
    fn of(listener: &Listener) -> Option<Self> {
        let tls = listener.tls.clone()?;
        // Nothing is seen yet: files may have changed since the config was loaded.
        let pair =
            |files: &CertificateFiles| Pair { files: files.clone(), seen: None, complaint: None };
        let pairs = tls.certificates.iter().map(pair).collect();
        Some(Self { listener: listener.clone(), tls, pairs, complaint: None })
    }

    fn look(&mut self, doors: &Doors) {
        let mut renewed = self.pairs.iter_mut().map(Pair::look).collect::<Vec<_>>();
        if renewed.iter().all(Option::is_none) {
            return;
        }
        let current = self.pairs.iter().map(|pair| &pair.files.loaded);
        let certificates = current.zip(&renewed);
        let certificates =
            certificates.map(|(old, new)| new.as_ref().map_or_else(|| Arc::clone(old), Arc::clone));
        match Entry::secured(&self.listener, &self.tls, certificates.collect()) {
            Ok(entry) => {
                doors.replace(&self.listener.name, entry);
                self.complaint = None;
                for (pair, new) in self.pairs.iter_mut().zip(&mut renewed) {
                    let Some(new) = new.take() else { continue };
                    log::info!("the certificate {} was renewed", pair.files.cert.display());
                    pair.files.loaded = new;
                }
            }
            Err(error) => {
                // Together they may do better once another pair has changed too.
                self.pairs.iter_mut().for_each(|pair| pair.seen = None);
                let listener = &self.listener.name;
                let told = format!("the certificates of listener \"{listener}\" stay: {error}");
                complain(&mut self.complaint, told);
            }
        }
    }
}

impl Pair {
    /// The pair that the files hold, when it is another one and can be used.
    fn look(&mut self) -> Option<Arc<Certificate>> {
        let CertificateFiles { cert, key, loaded } = &self.files;
        // Before reading: what changes meanwhile is seen at the next look.
        let stamps = [Stamp::of(cert), Stamp::of(key)];
        if self.seen.as_ref() == Some(&stamps) {
            return None;
        }
        self.seen = Some(stamps);
        match certificate::read(cert, key) {
            Ok(read) => {
                self.complaint = None;
                (!read.is_same_as(loaded)).then(|| Arc::new(read))
            }
            Err(unusable) => {
                let (path, error) = match unusable {
                    Unusable::Cert(error) => (cert, error.to_string()),
                    Unusable::Key(error) => (key, error.to_string()),
                    Unusable::Pair(error) if error.is_of_key() => (key, error.to_string()),
                    Unusable::Pair(error) => (cert, error.to_string()),
                };
                let told =
                    format!("{} is not taken, the last good one stays: {error}", path.display());
                complain(&mut self.complaint, told);
                None
            }
        }
    }
}

/// Says it unless it was the last thing said.
fn complain(last: &mut Option<String>, told: String) {
    if last.as_ref() != Some(&told) {
        log::error!("{told}");
        *last = Some(told);
    }
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let facts = |metadata: Metadata| {
            [
                i128::from(metadata.dev()),
                i128::from(metadata.ino()),
                i128::from(metadata.size()),
                i128::from(metadata.mtime()) << 32 | i128::from(metadata.mtime_nsec()),
                i128::from(metadata.ctime()) << 32 | i128::from(metadata.ctime_nsec()),
                1,
            ]
        };
        Self(fs::metadata(path).map_or([0; 6], facts))
    }
}
