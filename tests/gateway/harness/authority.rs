//! A certificate authority of the test's own, and the pairs of files it hands out.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, PKeyRef, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameRef};

use super::folder::Folder;

pub struct Authority {
    folder: Folder,
    key: PKey<Private>,
    certificate: X509,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Ecdsa,
    Rsa,
}

/// A certificate and its key, in two files.
#[derive(Clone)]
pub struct Issued {
    pub cert: String,
    pub key: String,
    /// In hexadecimal, as `openssl x509 -serial` says it.
    pub serial: String,
}

impl Issued {
    /// As an entry of `certificates`.
    pub fn toml(&self) -> String {
        format!("{{ cert = \"{}\", key = \"{}\" }}", self.cert, self.key)
    }
}

impl Authority {
    pub fn new() -> Self {
        let key = new_key(Kind::Ecdsa);
        let name = subject("Authority of the tests");
        let mut builder = builder(&key, &name, &name, 900).0;
        let basic = BasicConstraints::new().critical().ca().build().expect("an extension");
        builder.append_extension(basic).expect("set");
        builder.sign(&key, MessageDigest::sha256()).expect("signed");
        let certificate = builder.build();
        let folder = Folder::new();
        fs::write(folder.at("ca.crt"), certificate.to_pem().expect("PEM")).expect("written");
        Self { folder, key, certificate }
    }

    /// The file that a caller trusts.
    pub fn trusted(&self) -> String {
        self.folder.at("ca.crt")
    }

    /// A new pair in the files FILE.crt and FILE.key, in the place of what they held.
    pub fn issue(&self, file: &str, names: &[&str], kind: Kind, days: i64) -> Issued {
        let key = new_key(kind);
        let (cert, serial) = self.certificate_for(&key, names, days);
        let pem = key.private_key_to_pem_pkcs8().expect("PEM");
        let issued = Issued { cert: self.at(file, "crt"), key: self.at(file, "key"), serial };
        put(&issued.cert, &cert);
        put(&issued.key, &pem);
        issued
    }

    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    fn at(&self, file: &str, extension: &str) -> String {
        self.folder.at(&format!("{file}.{extension}"))
    }

    fn certificate_for(
        &self,
        key: &PKeyRef<Private>,
        names: &[&str],
        days: i64,
    ) -> (Vec<u8>, String) {
        let issuer = self.certificate.subject_name();
        let (mut builder, serial) = builder(key, &subject(names[0]), issuer, days);
        let mut san = SubjectAlternativeName::new();
        for name in names {
            san.dns(name);
        }
        let context = builder.x509v3_context(Some(&self.certificate), None);
        let san = san.build(&context).expect("names");
        builder.append_extension(san).expect("set");
        builder.sign(&self.key, MessageDigest::sha256()).expect("signed");
        (builder.build().to_pem().expect("PEM"), serial)
    }
}

/// Replaces a file as careful programs do: whole, or not at all.
pub fn put(path: &str, bytes: &[u8]) {
    let aside = format!("{path}.new");
    fs::write(&aside, bytes).expect("the folder is ours");
    fs::set_permissions(&aside, Permissions::from_mode(0o600)).expect("the file is ours");
    fs::rename(&aside, path).expect("the folder is ours");
}

fn new_key(kind: Kind) -> PKey<Private> {
    match kind {
        Kind::Ecdsa => {
            let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("a known curve");
            PKey::from_ec_key(EcKey::generate(&group).expect("random bits")).expect("a key")
        }
        Kind::Rsa => PKey::from_rsa(Rsa::generate(2048).expect("random bits")).expect("a key"),
    }
}

fn subject(name: &str) -> X509Name {
    let mut subject = X509Name::builder().expect("a builder");
    subject.append_entry_by_nid(Nid::COMMONNAME, name).expect("a name");
    subject.build()
}

fn builder(
    key: &PKeyRef<Private>,
    subject: &X509NameRef,
    issuer: &X509NameRef,
    days: i64,
) -> (X509Builder, String) {
    let mut builder = X509::builder().expect("a builder");
    builder.set_version(2).expect("X.509 v3");
    let mut serial = BigNum::new().expect("a number");
    serial.rand(64, MsbOption::ONE, false).expect("random bits");
    let number = serial.to_asn1_integer().expect("a number");
    builder.set_serial_number(&number).expect("set");
    builder.set_subject_name(subject).expect("set");
    builder.set_issuer_name(issuer).expect("set");
    builder.set_pubkey(key).expect("set");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = i64::try_from(now.expect("after 1970").as_secs()).expect("a date");
    let date = |at: i64| Asn1Time::from_unix(at).expect("a date");
    builder.set_not_before(&date(now - 86_400)).expect("set");
    builder.set_not_after(&date(now + days * 86_400)).expect("set");
    (builder, serial.to_hex_str().expect("digits").to_string())
}
