//! Certificates for tests, signed by themselves.

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509, X509Name};

pub fn ecdsa() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("a known curve");
    PKey::from_ec_key(EcKey::generate(&group).expect("random bits")).expect("a key")
}

pub fn rsa(bits: u32) -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(bits).expect("random bits")).expect("a key")
}

/// In 2017, in 2020 and in 2100, as seconds since 1970.
const BEGIN: i64 = 1_500_000_000;
pub const PAST: i64 = 1_600_000_000;
pub const FAR: i64 = 4_102_444_800;

/// A certificate in PEM; names that are numbers are addresses.
pub fn certificate(key: &PKey<Private>, names: &[&str], end: i64) -> Vec<u8> {
    let mut builder = X509::builder().expect("a builder");
    builder.set_version(2).expect("X.509 v3");
    let mut serial = BigNum::new().expect("a number");
    serial.rand(64, MsbOption::MAYBE_ZERO, false).expect("random bits");
    builder.set_serial_number(&serial.to_asn1_integer().expect("a number")).expect("set");
    let mut subject = X509Name::builder().expect("a builder");
    subject.append_entry_by_nid(Nid::COMMONNAME, "test").expect("a name");
    let subject = subject.build();
    builder.set_subject_name(&subject).expect("set");
    builder.set_issuer_name(&subject).expect("set");
    builder.set_pubkey(key).expect("set");
    let date = |at: i64| Asn1Time::from_unix(at).expect("a date");
    builder.set_not_before(&date(BEGIN)).expect("set");
    builder.set_not_after(&date(end)).expect("set");
    if !names.is_empty() {
        let mut san = SubjectAlternativeName::new();
        for name in names {
            if name.parse::<std::net::IpAddr>().is_ok() {
                san.ip(name)
            } else {
                san.dns(name)
            };
        }
        let san = san.build(&builder.x509v3_context(None, None)).expect("names");
        builder.append_extension(san).expect("set");
    }
    builder.sign(key, MessageDigest::sha256()).expect("signed");
    builder.build().to_pem().expect("PEM")
}

pub fn key_pem(key: &PKey<Private>) -> Vec<u8> {
    key.private_key_to_pem_pkcs8().expect("PEM")
}
