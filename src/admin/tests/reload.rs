//! A reload leaves its act, and one more when it changed what agents are shown.

use std::path::Path;

use serde_json::Value;

use super::super::*;
use crate::clock;
use crate::config;
use crate::inventory::actor::Actor;
use crate::inventory::testing::{TempDir, registry};
use crate::model::policy::Policy;

/// One api, its operations by id.
fn policy(operations: &[&str], more: &str) -> Arc<Policy> {
    let mut text = "[[listener]]\nname = 'a'\naddress = '127.0.0.1:0'\n\
                    [[upstream]]\nname = 'u'\nendpoints = ['127.0.0.1:1']\n\
                    [[api]]\nname = 'a'\naccess = 'public'\nupstream = 'u'\n"
        .to_owned();
    for id in operations {
        text += &format!("[[api.operation]]\nid = '{id}'\nmethods = ['GET']\npath = '/{id}'\n");
    }
    text += more;
    let loaded = config::load_text(Path::new("gateway.toml"), &text);
    Arc::new(loaded.unwrap_or_else(|problems| panic!("{problems}")).policy)
}

#[test]
fn a_change_of_the_tools_has_an_act_of_its_own() {
    let dir = TempDir::default();
    let (registry, audit) = registry(&dir);
    let registry = Arc::new(registry);
    let actor = Actor::gate();
    let swap = |policy: &Arc<Policy>| {
        let (of, policy) = (Arc::clone(&registry), Arc::clone(policy));
        let swap: Reload = Box::new(move || {
            let swapped = of.swap_policy(Arc::clone(&policy), clock::wall());
            swapped.map(|_| "done".to_owned()).map_err(|_| "in use".to_owned())
        });
        reload(&registry, &swap, Asked { by: &actor, at: clock::wall() }).expect("it reloads");
        audit.take()
    };
    let reloaded = "config.reload config";
    let changed = "catalogue.change catalogue";
    assert_eq!(swap(&policy(&["get", "put"], "")), [reloaded, changed]);
    assert_eq!(swap(&policy(&["put", "get"], "")), [reloaded], "the same in another order");
    assert_eq!(swap(&policy(&["get", "new"], "tool = { description = 'x' }\n")).len(), 2);
    assert_eq!(swap(&policy(&["get"], "[mcp]\nendpoint = 'off'\n")), [reloaded, changed]);
    assert_eq!(swap(&policy(&["get"], "[mcp]\nendpoint = 'off'\n")), [reloaded]);
}

#[test]
fn what_changed_is_in_the_act_by_name_and_digest() {
    let old = policy(&["get", "put"], "tool = { description = 'x' }\n");
    let new = policy(&["new", "put"], "tool = { description = 'y' }\n");
    let act = Act::catalogue(old.catalogue(), new.catalogue()).expect("they differ");
    let json = |side: Option<crate::model::record::JsonText>| {
        serde_json::from_str::<Value>(&side.expect("a value").0).expect("JSON")
    };
    let (before, after) = (json(act.before), json(act.after));
    let digest = |policy: &Policy, name: &str| {
        policy.catalogue().get(name).map(|tool| tool.digest.to_string()).expect("there")
    };
    assert_eq!(before["removed"]["a_get"], digest(&old, "a_get").as_str());
    assert_eq!(before["changed"]["a_put"], digest(&old, "a_put").as_str());
    assert_eq!(after["added"]["a_new"], digest(&new, "a_new").as_str());
    assert_eq!(after["changed"]["a_put"], digest(&new, "a_put").as_str());
    assert_eq!((&before["tools"], &after["tools"]), (&2.into(), &2.into()));

    let many: Vec<String> = (0..300).map(|n| format!("o{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let act = Act::catalogue(old.catalogue(), policy(&many, "").catalogue()).expect("they differ");
    let after = json(act.after);
    assert_eq!(after["counts"]["added"], 300);
    assert_eq!(after["added"].as_object().map(serde_json::Map::len), Some(100));
}
