//! Configs and inventories by chance: documents whose defaults are the values that calls are made with, scopes,
//! rules, products, plans of all kinds of limits, and clients in every state.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

/// One gate and its clients.
#[derive(Clone, Debug)]
pub struct World {
    apis: Vec<Api>,
    products: Vec<Vec<usize>>,
    plans: Vec<String>,
    clients: Vec<Client>,
}

#[derive(Clone, Debug)]
struct Api {
    rules: &'static str,
    operations: Vec<Operation>,
}

#[derive(Clone, Debug)]
struct Operation {
    method: &'static str,
    scopes: Vec<&'static str>,
    /// The value of its path's parameter.
    id: String,
    parameters: Vec<Parameter>,
    members: Vec<Value>,
}

#[derive(Clone, Debug)]
struct Parameter {
    place: &'static str,
    value: Value,
}

#[derive(Clone, Debug)]
struct Client {
    kind: &'static str,
    products: Vec<usize>,
    scopes: Vec<&'static str>,
    plan: Option<usize>,
    /// Of another profile, where there is one: its plan.
    more: Vec<Option<usize>>,
    end: &'static str,
}

const SCOPES: [&str; 3] = ["a:read", "a:write", "b:all"];
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
/// What an api may have beside its operations.
const RULES: [&str; 6] = [
    "",
    "hosts = [\"api.example.com\"]",
    "credential = [\"x-api-key\"]",
    "ip = { deny = [\"127.0.0.0/8\"] }",
    "required_headers = [\"x-tenant\"]",
    "blocked_paths = [\"/**/blocked\"]",
];
/// What is done to a client.
const ENDS: [&str; 7] = [
    "",
    "suspend client CLIENT",
    "revoke client CLIENT",
    "revoke profile CLIENT/default",
    "quarantine client CLIENT --for 1h --reads-only",
    "quarantine client CLIENT --for 1h --rate 2/1s",
    "quarantine client CLIENT --for 1h --operation api0.op0",
];
const APIS_MAX: usize = 3;
const OPERATIONS_MAX: usize = 3;
const PRODUCTS_MAX: usize = 3;
const PLANS_MAX: usize = 2;
const CLIENTS_MAX: usize = 4;

pub fn worlds() -> impl Strategy<Value = World> {
    let clients = vec(client(), 1..=CLIENTS_MAX);
    let products = vec(vec(0..APIS_MAX * OPERATIONS_MAX, 1..6), 1..=PRODUCTS_MAX);
    let apis = vec(api(), 1..=APIS_MAX);
    let plans = vec(plan(), 0..=PLANS_MAX);
    let world = |(apis, products, plans, clients)| World { apis, products, plans, clients };
    (apis, products, plans, clients).prop_map(world)
}

fn api() -> impl Strategy<Value = Api> {
    (select(&RULES[..]), vec(operation(), 1..=OPERATIONS_MAX))
        .prop_map(|(rules, operations)| Api { rules, operations })
}

fn operation() -> impl Strategy<Value = Operation> {
    let scopes = subsequence(&SCOPES[..], 0..=SCOPES.len());
    let id = "[a-zA-Z0-9 %?#&=+;:@!~*'()ü€.-]{1,12}"
        .prop_filter("a segment", |id| !["blocked", ".", ".."].contains(&id.as_str()));
    (select(&METHODS[..]), scopes, id, vec(parameter(), 0..3), vec(value(), 0..3)).prop_map(
        |(method, scopes, id, parameters, members)| Operation {
            method,
            scopes,
            id,
            parameters,
            members,
        },
    )
}

fn parameter() -> impl Strategy<Value = Parameter> {
    let query = value().prop_map(|value| Parameter { place: "query", value });
    // A field's value is one of visible characters.
    let header = "[a-zA-Z0-9 ,;=\"/-]{0,12}[a-z]"
        .prop_map(|text| Parameter { place: "header", value: json!(text.trim_start()) });
    prop_oneof![query, header]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        "\\PC{0,12}".prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        vec("[a-z ,|&]{1,4}", 1..3).prop_map(Value::from),
    ]
}

fn plan() -> impl Strategy<Value = String> {
    let shadow = select(&["", ", shadow = true"][..]);
    let by = select(&["", ", by = \"credential\"", ", operations = [\"api0.op0\"]"][..]);
    let rate = (1..5_u32, by, shadow).prop_map(|(burst, by, shadow)| {
        format!(
            "{{ limit = 1, per = \"1s\", burst = {burst}{by}{shadow}, name = \"rate-NUMBER\" }}"
        )
    });
    let unit = select(&["day", "week", "month"][..]);
    let quota = (1..5_u32, unit, select(&["", ", operations = [\"api0.op0\"]"][..])).prop_map(
        |(limit, unit, operations)| {
            format!("{{ limit = {limit}, per = \"{unit}\"{operations}, name = \"quota-NUMBER\" }}")
        },
    );
    (vec(rate, 1..3), vec(quota, 0..2), option::of(1..4_u32)).prop_map(
        |(rates, quotas, at_once)| {
            let mut text = format!("rates = [{}]\n", numbered(&rates));
            if !quotas.is_empty() {
                text += &format!("quotas = [{}]\n", numbered(&quotas));
            }
            text + &at_once.map_or(String::new(), |limit| format!("concurrency = {limit}\n"))
        },
    )
}

fn numbered(limits: &[String]) -> String {
    let limits = limits.iter().enumerate();
    let limits = limits.map(|(at, limit)| limit.replace("NUMBER", &at.to_string()));
    limits.collect::<Vec<_>>().join(", ")
}

fn client() -> impl Strategy<Value = Client> {
    let products = vec(0..PRODUCTS_MAX, 0..=PRODUCTS_MAX);
    let scopes = subsequence(&SCOPES[..], 0..=SCOPES.len());
    let plan = || option::of(0..PLANS_MAX);
    let kind = select(&["app", "partner", "service", "agent"][..]);
    let end = prop_oneof![5 => Just(""), 1 => select(&ENDS[1..])];
    (kind, products, scopes, plan(), vec(plan(), 0..2), end).prop_map(
        |(kind, products, scopes, plan, more, end)| Client {
            kind,
            products,
            scopes,
            plan,
            more,
            end,
        },
    )
}

impl World {
    /// One operation, and a client of each kind that there is.
    pub fn of_all_kinds() -> Self {
        let operation = Operation {
            method: "POST",
            scopes: vec![SCOPES[0]],
            id: "a b".to_owned(),
            parameters: vec![Parameter { place: "query", value: json!(["x", "y z"]) }],
            members: vec![json!("ü"), json!(7)],
        };
        let client = |end| Client {
            kind: "service",
            products: vec![0],
            scopes: vec![SCOPES[0]],
            plan: Some(0),
            more: vec![Some(0)],
            end,
        };
        Self {
            apis: vec![Api { rules: "", operations: vec![operation] }],
            products: vec![vec![0]],
            plans: vec!["rates = [{ limit = 9, per = \"1s\" }]\nconcurrency = 2\n".to_owned()],
            clients: ENDS.map(client).into(),
        }
    }

    pub fn config(&self) -> String {
        let mut text = concat!(
            "[[listener]]\nname = \"public\"\naddress = \"0.0.0.0:8443\"\n",
            "[[upstream]]\nname = \"far\"\nendpoints = [\"192.0.2.1:80\", \"192.0.2.2:80\"]\n",
            "[upstream.health]\ncheck = \"tcp\"\n",
        )
        .to_owned();
        for (at, Api { rules, operations }) in self.apis.iter().enumerate() {
            text += &format!(
                "[[api]]\nname = \"api{at}\"\nbase_path = \"/api{at}\"\nupstream = \"far\"\n\
                 access = \"granted\"\nopenapi = \"api{at}.json\"\n{rules}\n"
            );
            for (number, operation) in operations.iter().enumerate() {
                let scopes = json!(operation.scopes);
                text += &format!("[[api.operation]]\nid = \"op{number}\"\nscopes = {scopes}\n");
            }
        }
        let ids = self.ids();
        for (at, product) in self.products.iter().enumerate() {
            let mut of_product: Vec<_> = product.iter().map(|at| &ids[at % ids.len()]).collect();
            of_product.sort();
            of_product.dedup();
            let of_product = json!(of_product);
            text += &format!("[[product]]\nname = \"product{at}\"\noperations = {of_product}\n");
        }
        for (at, plan) in self.plans.iter().enumerate() {
            text += &format!("[[plan]]\nname = \"plan{at}\"\n{plan}");
        }
        text
    }

    fn ids(&self) -> Vec<String> {
        let of_api = |(at, api): (usize, &Api)| {
            (0..api.operations.len()).map(move |number| format!("api{at}.op{number}"))
        };
        self.apis.iter().enumerate().flat_map(of_api).collect()
    }

    /// By the names that the config has for them.
    pub fn documents(&self) -> Vec<(String, Value)> {
        let document = |(at, api): (usize, &Api)| {
            let operations = api.operations.iter().enumerate();
            let paths: Map<String, Value> = operations
                .map(|(number, operation)| {
                    let method = operation.method.to_ascii_lowercase();
                    (format!("/r{number}/{{id}}"), json!({ method: operation.described(number) }))
                })
                .collect();
            let info = json!({ "title": "by chance", "version": "1" });
            let document = json!({ "openapi": "3.1.0", "info": info, "paths": paths });
            (format!("api{at}.json"), document)
        };
        self.apis.iter().enumerate().map(document).collect()
    }

    pub fn clients(&self) -> String {
        let mut text = String::new();
        for (at, client) in self.clients.iter().enumerate() {
            let mut products: Vec<_> =
                client.products.iter().map(|at| at % self.products.len()).collect();
            products.sort_unstable();
            products.dedup();
            let products: Vec<_> = products.iter().map(|at| format!("product{at}")).collect();
            let (products, scopes) = (json!(products), json!(client.scopes));
            let plan = |plan: Option<usize>| match plan.filter(|_| !self.plans.is_empty()) {
                Some(plan) => format!("plan = \"plan{}\"\n", plan % self.plans.len()),
                None => String::new(),
            };
            text += &format!(
                "[[client]]\nid = \"client{at}\"\nkind = \"{}\"\nowner = \"o@example.com\"\n\
                 purpose = \"chance\"\nno_expiry = true\nproducts = {products}\nscopes = {scopes}\n{}",
                client.kind,
                plan(client.plan),
            );
            for of_profile in client.more.iter().copied() {
                text += &format!(
                    "[[client.profile]]\nname = \"more\"\nproducts = {products}\n{}",
                    plan(of_profile)
                );
            }
            text += "[[client.credential]]\nissue = true\n";
        }
        text
    }

    /// What is done to the clients.
    pub fn acts(&self) -> Vec<Vec<String>> {
        let clients = self.clients.iter().enumerate();
        let ends = clients.filter(|(_, client)| !client.end.is_empty());
        let act = |(at, client): (usize, &Client)| {
            let id = format!("client{at}");
            let words = client.end.split(' ').map(|word| word.replace("CLIENT", &id));
            words.chain(["--reason".to_owned(), "chance".to_owned()]).collect()
        };
        ends.map(act).collect()
    }
}

impl Operation {
    /// As a document has it: every value is the default of what it is for.
    fn described(&self, number: usize) -> Value {
        let id = json!({
            "name": "id",
            "in": "path",
            "required": true,
            "schema": { "type": "string", "default": self.id },
        });
        let parameter = |(at, parameter): (usize, &Parameter)| {
            json!({
                "name": format!("{}-{at}", parameter.place),
                "in": parameter.place,
                // Every other one may be left out.
                "required": at.is_multiple_of(2),
                "schema": schema(&parameter.value),
            })
        };
        let parameters = self.parameters.iter().enumerate().map(parameter);
        let parameters: Vec<Value> = [id].into_iter().chain(parameters).collect();
        let mut described = json!({
            "operationId": format!("op{number}"),
            "parameters": parameters,
            "responses": { "200": { "description": "done" } },
        });
        if !self.members.is_empty() && ["POST", "PUT", "PATCH"].contains(&self.method) {
            let member = |(at, value): (usize, &Value)| (format!("member{at}"), schema(value));
            let properties: Map<String, Value> =
                self.members.iter().enumerate().map(member).collect();
            let required = ["member0"];
            let body = json!({ "type": "object", "properties": properties, "required": required });
            described["requestBody"] =
                json!({ "required": true, "content": { "application/json": { "schema": body } } });
        }
        described
    }
}

fn schema(value: &Value) -> Value {
    let kind = match value {
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::Array(_) => "array",
        Value::String(_) | Value::Null | Value::Object(_) => "string",
    };
    let mut schema = json!({ "type": kind, "default": value });
    if kind == "array" {
        schema["items"] = json!({ "type": "string" });
    }
    schema
}
