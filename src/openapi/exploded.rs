//! Exploded objects in a query: their members are parameters of their own, so a schema that lets any object
//! through lets a model send any parameter.

use serde_json::{Value, json};

use super::schema;
use super::security::Hidden;

/// Which values fit a schema.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Values {
    NoObjects,
    Objects,
    /// Objects among others, or objects of several schemas.
    Mixed,
    /// Whatever nobody told.
    Any,
}

/// Leaves only objects whose members are told and none of them hidden, or no objects. False where that leaves
/// nothing.
pub fn close(schema: &mut Value, hidden: &Hidden) -> bool {
    match values(schema) {
        Values::NoObjects => true,
        Values::Objects => close_object(schema, hidden),
        Values::Mixed => false,
        Values::Any => forbid_objects(schema),
    }
}

fn values(schema: &Value) -> Values {
    let Some(members) = schema.as_object() else { return Values::Any };
    let by_type = members.get("type").map(|kind| {
        let kinds = kind.as_array().map_or(std::slice::from_ref(kind), Vec::as_slice);
        match kinds {
            [only] if only == "object" => Values::Objects,
            kinds if kinds.iter().any(|kind| kind == "object") => Values::Mixed,
            _ => Values::NoObjects,
        }
    });
    let listed = members.get("enum").and_then(Value::as_array).map(Vec::as_slice);
    let listed = listed.or(members.get("const").map(std::slice::from_ref));
    let by_value = listed.map(|values| {
        if values.iter().any(Value::is_object) { Values::Mixed } else { Values::NoObjects }
    });
    let shown = members.get("properties").map(|_| Values::Objects);
    let told: Vec<Values> = by_type.or(shown).into_iter().chain(by_value).collect();
    let parts = ["allOf", "anyOf", "oneOf"].map(|key| (key, members.get(key)));
    let parts = parts.map(|(key, parts)| Some(of_parts(key, parts?.as_array()?)));
    let is_composed = parts.iter().any(Option::is_some) || members.contains_key("if");
    let all: Vec<Values> = told.into_iter().chain(parts.into_iter().flatten()).collect();
    if all.contains(&Values::NoObjects) {
        return Values::NoObjects;
    }
    let has_objects = all.iter().any(|values| *values != Values::Any);
    match (has_objects, is_composed) {
        (false, _) => Values::Any,
        (true, true) => Values::Mixed,
        (true, false) => all.first().copied().unwrap_or(Values::Any),
    }
}

fn of_parts(key: &str, parts: &[Value]) -> Values {
    let all: Vec<Values> = parts.iter().map(values).collect();
    let fewest = |values: &Values| *values == Values::NoObjects;
    let has_none = if key == "allOf" { all.iter().any(fewest) } else { all.iter().all(fewest) };
    if has_none {
        Values::NoObjects
    } else if all.iter().any(|values| matches!(values, Values::Objects | Values::Mixed)) {
        Values::Mixed
    } else {
        Values::Any
    }
}

fn close_object(schema: &mut Value, hidden: &Hidden) -> bool {
    let Some(schema) = schema.as_object_mut() else { return false };
    schema.insert("type".into(), "object".into());
    schema.insert("additionalProperties".into(), false.into());
    schema.remove("patternProperties");
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return false;
    };
    properties.retain(|name, _| !hidden.has_query(name));
    let names: Vec<String> = properties.keys().cloned().collect();
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| names.iter().any(|known| name == known));
    }
    !names.is_empty()
}

/// A union, for hosts that mind `not`; where there is a union already, `not` it is.
fn forbid_objects(schema: &mut Value) -> bool {
    let is_any = *schema == schema::any();
    let Some(members) = schema.as_object_mut() else { return false };
    if is_any {
        members.clear();
    }
    if !members.contains_key("anyOf") {
        let kinds = ["string", "number", "boolean"].map(|kind| json!({ "type": kind }));
        members.insert("anyOf".into(), Value::from(kinds.to_vec()));
    } else if !members.contains_key("not") {
        members.insert("not".into(), json!({ "type": "object" }));
    } else {
        return false;
    }
    true
}
