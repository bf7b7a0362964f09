//! What time and change do to a verdict: a live call is judged again, a suspended key comes back.

use std::sync::Arc;

use onegate::model::api::Effect;
use onegate::model::client::{Client, Credential, Status};
use onegate::model::denial::Denial;
use onegate::model::id::OperationId;
use onegate::model::key::PresentedKey;
use onegate::model::time::UnixMicros;
use onegate::request::{Call, Seen, still_permitted};

use super::{NOW, World, now};

#[test]
fn a_live_call_is_judged_again() {
    let mut world = World::new();
    let operation = OperationId::parse("payments.list").expect("valid");
    let (_, key) = world.keys[0].clone();
    let id = PresentedKey::parse(key.as_bytes()).expect("valid").id;
    let effect = Effect::Reads;
    let call = Call { credential: Some(id), operation, effect, source_ip: None };
    assert!(still_permitted(&world.snapshot, &call, now()).is_ok());
    let good = world.snapshot.inventory.clients.get("good").expect("known");
    let mut client = Client { profiles: good.profiles.clone(), ..copy(good) };
    client.status = Status::Revoked;
    let clients = world.snapshot.inventory.clients.with(client.id.clone(), Arc::new(client));
    world.snapshot.inventory.clients = clients;
    let refusal = still_permitted(&world.snapshot, &call, now()).expect_err("revoked");
    assert_eq!(refusal.denial, Denial::CredentialInvalid);
}

#[test]
fn a_suspended_key_is_refused_until_its_time() {
    let mut world = World::new();
    let list = "GET api.example.com/api/payments";
    let (_, key) = world.keys[0].clone();
    let id = PresentedKey::parse(key.as_bytes()).expect("valid").id;
    let mut decide = |until: Option<UnixMicros>| {
        let credentials = &world.snapshot.inventory.credentials;
        let old = credentials.get(&id).expect("known");
        let suspended = Credential { suspended_until: until, ..Credential::copy_of(old) };
        world.snapshot.inventory.credentials = credentials.with(id, Arc::new(suspended));
        let verdict = world.decide(list, &["key=good"], &mut Seen::default());
        verdict.map_err(|refusal| refusal.denial)
    };
    assert_eq!(decide(Some(UnixMicros::FOREVER)), Err(Denial::ClientSuspended));
    assert_eq!(decide(Some(UnixMicros(NOW.0 + 1))), Err(Denial::ClientSuspended));
    assert!(decide(Some(NOW)).is_ok());
    assert!(decide(None).is_ok());
}

pub fn copy(client: &Client) -> Client {
    Client {
        id: client.id.clone(),
        id_value: client.id_value.clone(),
        kind: client.kind,
        owner: client.owner.clone(),
        purpose: client.purpose.clone(),
        status: client.status,
        expires: client.expires,
        suspended_until: client.suspended_until,
        quarantine: None,
        profiles: client.profiles.clone(),
    }
}
