//! What makes a pair, and what a certificate covers.

use openssl::symm::Cipher;

use super::testing::{FAR, certificate, ecdsa, key_pem, rsa};
use super::*;

#[test]
fn a_pair_is_taken_or_told_what_is_wrong() {
    let (own, other) = (ecdsa(), ecdsa());
    let good = certificate(&own, &["a.test"], FAR);
    let check = |cert: &[u8], key: &[u8], expected: CertificateError| {
        let error = Certificate::parse(cert, key).expect_err("it is no pair");
        assert_eq!(error, expected, "{error}");
    };
    check(b"hello", &key_pem(&own), CertificateError::NoCertificate);
    check(&key_pem(&own), &key_pem(&own), CertificateError::NoCertificate);
    check(&good, b"hello", CertificateError::NoKey);
    check(&good, &good, CertificateError::NoKey);
    check(&good, &key_pem(&other), CertificateError::OtherKey);
    check(&certificate(&own, &[], FAR), &key_pem(&own), CertificateError::NoNames);
    let weak = rsa(1024);
    check(&certificate(&weak, &["a.test"], FAR), &key_pem(&weak), CertificateError::WeakKey);
    let locked = own.private_key_to_pem_pkcs8_passphrase(Cipher::aes_128_cbc(), b"secret");
    check(&good, &locked.expect("PEM"), CertificateError::EncryptedKey);
    assert!(Certificate::parse(&good, &key_pem(&own)).is_ok());
}

#[test]
fn names_cover_themselves_and_patterns_one_label() {
    let key = ecdsa();
    let names = ["A.test", "*.b.test", "*.*.c.test", "1.2.3.4", "::1"];
    let pem = certificate(&key, &names, 90);
    let certificate = Certificate::parse(&pem, &key_pem(&key)).expect("a pair");
    let check = |host: &str, expected: bool| {
        assert_eq!(certificate.covers(host), expected, "{host}");
    };
    check("a.test", true);
    check("x.a.test", false);
    check("x.b.test", true);
    check("b.test", false);
    check("x.y.b.test", false);
    check(".b.test", false);
    check("x.y.c.test", false);
    check("1.2.3.4", true);
    check("[::1]", true);
    assert_eq!(certificate.names.len(), 4, "{certificate:?}");
}

#[test]
fn what_it_shows_holds_no_key() {
    let key = rsa(2048);
    let pem = certificate(&key, &["a.test"], FAR);
    let certificate = Certificate::parse(&pem, &key_pem(&key)).expect("a pair");
    let shown = format!("{certificate:?}");
    assert!(shown.starts_with("Certificate { names: [\"a.test\"], kind: Rsa, not_after: "));
    assert!(shown.len() < 120, "{shown}");
    assert_eq!(certificate.not_after, UnixMicros::from_seconds(FAR));
}

#[test]
fn one_name_may_have_one_certificate_of_each_kind() {
    let pair = |key: &PKey<Private>, names: &[&str]| {
        Certificate::parse(&certificate(key, names, 90), &key_pem(key)).expect("a pair")
    };
    let (first, second, third) = (ecdsa(), ecdsa(), rsa(2048));
    let list = [
        pair(&first, &["a.test", "b.test"]),
        pair(&third, &["a.test"]),
        pair(&second, &["c.test", "b.test"]),
    ];
    let expected = Conflict { name: "b.test".into(), first: 0, second: 2 };
    assert_eq!(conflicts(list.iter()), [expected]);
}
