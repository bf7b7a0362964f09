//! The rules of an api on the form of a request, and preflights: what is refused, in which order, and
//! whose name the record has.

use onegate::model::api::Effect;
use onegate::model::denial::Denial;
use onegate::model::id::OperationId;
use onegate::model::key::PresentedKey;
use onegate::request::{Call, Seen, still_permitted};

use super::{World, now};

/// An api with rules, beside those of the table.
pub const API: &str = r#"
[[api]]
name = "ruled"
hosts = ["ruled.example.com"]
upstream = "service"
access = "granted"
body_bytes_max = "1KiB"
ip = { allow = ["10.0.0.0/8", "::1"], deny = ["10.6.0.0/16"] }
blocked_paths = ["/**/.git/**", "/**/*.php"]
required_headers = ["X-Tenant"]
forbidden_headers = ["X-Debug"]
content_types = ["application/json", "text/*"]
cors = { origins = ["https://app.example.com"], methods = ["GET", "PUT"] }
[[api.operation]]
id = "write"
methods = ["POST"]
path = "/{rest...}"
body_bytes_max = "2KiB"
"#;

#[test]
fn the_rules_of_an_api_come_after_the_credential_but_for_the_address() {
    use Denial::*;
    let check = |target: &str, fields: &[&str], expected: Result<&str, Denial>| {
        let line = format!("POST ruled.example.com{target}");
        let mut seen = Seen::default();
        let verdict = World::new().decide(&line, fields, &mut seen);
        let verdict = verdict.map_err(|refusal| refusal.denial);
        assert_eq!(verdict.as_deref().map_err(|d| *d), expected, "{line} {fields:?}");
        seen.caller.and_then(|caller| caller.client().map(ToString::to_string))
    };
    let good = Ok("ruled.write by payments-all");
    let (key, tenant) = ("key=good", "X-Tenant: a");
    check("/x", &[key, tenant], good);
    check("/x", &[key, tenant, "from=::1"], good);
    // A disallowed address learns nothing of its key; the record names its owner all the same.
    for address in ["from=11.0.0.1", "from=10.6.0.1", "from=::2", "from=unknown"] {
        let owner = check("/x", &[key, tenant, address], Err(AddressNotAllowed));
        assert_eq!(owner.as_deref(), Some("good"));
        check("/x", &["key=og_live_x", address], Err(AddressNotAllowed));
        check("/x", &[address], Err(AddressNotAllowed));
    }
    // Strangers are told of their missing key, whatever else is wrong.
    check("/.git/config", &[], Err(CredentialMissing));
    check("/x", &["X-Debug: 1"], Err(CredentialMissing));
    for target in ["/.git", "/a/.Git/config", "/.git;x/config", "/a/b.php"] {
        let owner = check(target, &[key, tenant], Err(PolicyRefused));
        assert_eq!(owner.as_deref(), Some("good"));
    }
    check("/.github", &[key, tenant], good);
    check("/x", &[key], Err(PolicyRefused));
    check("/x", &[key, "X-Tenant:  "], Err(PolicyRefused));
    check("/x", &[key, tenant, "x-debug: 0"], Err(PolicyRefused));
    check("/x", &[key, tenant, "X_Debug: 0"], Err(PolicyRefused));
    let json = "Content-Type: Application/JSON; charset=utf-8";
    check("/x", &[key, tenant, json, "body=5"], good);
    check("/x", &[key, tenant, "Content-Type: text/csv", "body=5"], good);
    check("/x", &[key, tenant, "Content-Type: image/png"], good);
    check("/x", &[key, tenant, "Content-Type: image/png", "body=5"], Err(PolicyRefused));
    check("/x", &[key, tenant, "body=5"], Err(PolicyRefused));
    check("/x", &[key, tenant, "body=0"], good);
    check("/x", &[key, tenant, "Transfer-Encoding: chunked"], Err(PolicyRefused));
    check("/x", &[key, tenant, json, json, "body=5"], Err(PolicyRefused));
    // The operation's own bound is larger than the api's.
    check("/x", &[key, tenant, json, "body=2048"], good);
    check("/x", &[key, tenant, json, "body=2049"], Err(BodyTooLarge));
    // Rules come before what only callers with a grant learn.
    check("/x", &["key=reader"], Err(PolicyRefused));
    check("/x", &["key=reader", tenant], Err(NotGranted));
}

#[test]
fn a_preflight_is_judged_by_cors_and_address_alone() {
    use Denial::*;
    let check = |target: &str, fields: &[&str], expected: Result<&str, Denial>| {
        let line = format!("OPTIONS {target}");
        let verdict = World::new().decide(&line, fields, &mut Seen::default());
        let verdict = verdict.map_err(|refusal| refusal.denial);
        assert_eq!(verdict.as_deref().map_err(|d| *d), expected, "{line} {fields:?}");
    };
    let origin = "Origin: https://app.example.com";
    let put = "Access-Control-Request-Method: PUT";
    let permitted = Ok("preflight of ruled");
    check("ruled.example.com/x", &[origin, put], permitted);
    // Nothing tells which operations there are.
    check("ruled.example.com/.git", &[origin, put], permitted);
    let headers = "Access-Control-Request-Headers: x-api-key,content-type, Authorization";
    check("ruled.example.com/x", &[origin, put, headers], permitted);
    let others = "Access-Control-Request-Headers: x-api-key, x-other";
    check("ruled.example.com/x", &[origin, put, others], Err(PolicyRefused));
    check("ruled.example.com/x", &["Origin: https://evil.example", put], Err(PolicyRefused));
    check("ruled.example.com/x", &["Origin: null", put], Err(PolicyRefused));
    let delete = "Access-Control-Request-Method: DELETE";
    check("ruled.example.com/x", &[origin, delete], Err(PolicyRefused));
    check("ruled.example.com/x", &[origin, put, "from=11.0.0.1"], Err(AddressNotAllowed));
    // Not a preflight, or not of an api with cors: a request like any other.
    check("ruled.example.com/x", &[origin], Err(CredentialMissing));
    check("ruled.example.com/x", &[put], Err(CredentialMissing));
    check("api.example.com/status", &[origin, put], Ok("status.all by public"));
    check("elsewhere.com/x", &[origin, put], Err(Misdirected));
}

#[test]
fn a_live_call_ends_when_its_address_is_no_longer_allowed() {
    let world = World::new();
    let check = |from: &str, expected: Result<(), Denial>| {
        let id = PresentedKey::parse(world.key("good").as_bytes()).expect("valid").id;
        let operation = OperationId::parse("ruled.write").expect("valid");
        let (effect, source_ip) = (Effect::Writes, from.parse().ok());
        let call = Call { credential: Some(id), operation, effect, source_ip };
        let verdict = still_permitted(&world.snapshot, &call, now());
        assert_eq!(verdict.map_err(|refusal| refusal.denial), expected, "{from}");
    };
    check("10.0.0.1", Ok(()));
    check("10.6.0.1", Err(Denial::AddressNotAllowed));
}
