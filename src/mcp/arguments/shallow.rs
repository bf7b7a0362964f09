//! The types of arguments, by the `type` of each property alone.

use serde_json::Value;

pub(super) fn check(schema: &Value, arguments: &Value) -> Result<(), String> {
    let members = arguments.as_object().into_iter().flatten();
    for (name, value) in members {
        let kinds = schema.get("properties").and_then(|all| all.get(name)?.get("type"));
        let fits = match kinds {
            Some(Value::String(kind)) => is_of(kind, value),
            Some(Value::Array(kinds)) => {
                kinds.iter().filter_map(Value::as_str).any(|k| is_of(k, value))
            }
            _ => true,
        };
        if let (false, Some(kinds)) = (fits, kinds) {
            return Err(format!("The argument `{name}` is of the wrong type: it must be {kinds}."));
        }
    }
    Ok(())
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
        }
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}
