//! The description of the calls, read for what a test needs of it.

use crate::example;
use serde_json::Value;
use std::collections::BTreeSet;

/// `docs/gateway-openapi.json`.
pub(crate) struct Document(Value);

/// One call as it is described.
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) method: String,
    /// With an example in each place.
    pub(crate) path: String,
    /// The names of the parameters of the query.
    pub(crate) query: BTreeSet<String>,
    /// Whether a name keeps it from having its effect twice.
    pub(crate) takes_name: bool,
    /// What the body is.
    pub(crate) body: Option<Value>,
    /// Examples of every answer that is no error, each with its status. Errors are described under `default`.
    pub(crate) answers: Vec<(u16, Value)>,
}

impl Document {
    pub(crate) fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/gateway-openapi.json");
        Self(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    pub(crate) fn operations(&self) -> Vec<Operation> {
        let paths = self.0["paths"].as_object().unwrap().iter();
        let all = paths.flat_map(|(path, methods)| {
            methods.as_object().unwrap().iter().map(move |(method, described)| self.operation(path, method, described))
        });
        all.collect()
    }

    fn operation(&self, path: &str, method: &str, described: &Value) -> Operation {
        let parameters = described["parameters"].as_array().cloned().unwrap_or_default();
        let named = |place: &str| -> BTreeSet<String> {
            let there = parameters.iter().filter(|parameter| parameter["in"] == place);
            there.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
        };
        let place = |path: String, name: &String| {
            path.replace(&format!("{{{name}}}"), example::text(name).unwrap_or_else(|| panic!("no example of {name}")))
        };
        let body = described.pointer("/requestBody/content/application~1json/schema").cloned();
        Operation {
            id: described["operationId"].as_str().unwrap().to_owned(),
            method: method.to_ascii_uppercase(),
            path: named("path").iter().fold(path.to_owned(), place),
            query: named("query"),
            takes_name: named("header").contains("Idempotency-Key"),
            body,
            answers: self.answers(&described["responses"]),
        }
    }

    fn answers(&self, responses: &Value) -> Vec<(u16, Value)> {
        let known = responses.as_object().unwrap().iter();
        let known = known.filter_map(|(status, answer)| Some((status.parse().ok()?, answer)));
        let all = known.flat_map(|(status, answer): (u16, _)| {
            let schema = answer["content"].as_object().and_then(|content| content.values().next());
            let examples = schema.map_or_else(|| vec![Value::Null], |content| self.examples_of(&content["schema"], ""));
            examples.into_iter().map(move |example| (status, example))
        });
        all.collect()
    }

    /// Examples of a schema of this name, every kind of it, with every field.
    pub(crate) fn examples(&self, name: &str) -> Vec<Value> {
        self.examples_of(&self.0["components"]["schemas"][name], name)
    }

    /// Examples of a schema; `named` is the name of the schema, a dot and the name of the field, or either.
    fn examples_of(&self, schema: &Value, named: &str) -> Vec<Value> {
        if let Some(name) = referred(schema) {
            return self.examples(name);
        }
        if let Some(cases) = schema["oneOf"].as_array() {
            let cases = cases.iter().filter(|case| case["type"] != "null");
            return cases.flat_map(|case| self.examples_of(case, named)).collect();
        }
        if let Some(parts) = schema["allOf"].as_array() {
            let parts = parts.iter().map(|part| self.examples_of(part, named));
            return parts.reduce(|all, more| joined(&all, &more)).unwrap();
        }
        if let Some(fields) = schema["properties"].as_object() {
            let of = |name: &String| format!("{}.{name}", named.split('.').next().unwrap());
            let field =
                |(name, field): (&String, &Value)| (name.clone(), self.examples_of(field, &of(name))[0].clone());
            return vec![Value::Object(fields.iter().map(field).collect())];
        }
        if is_a(schema, "array") {
            return vec![Value::Array(self.examples_of(&schema["items"], named))];
        }
        vec![example::of(schema, named)]
    }

    /// Every field of what is sent, those of objects inside it with a dot.
    pub(crate) fn fields(&self, schema: &Value) -> BTreeSet<String> {
        let mut fields = BTreeSet::new();
        for (name, field) in self.properties(schema) {
            fields.extend(self.fields(&field).into_iter().map(|inner| format!("{name}.{inner}")));
            fields.insert(name);
        }
        fields
    }

    /// The same of a value, as deep as the schema goes.
    pub(crate) fn fields_of(&self, schema: &Value, value: &Value) -> BTreeSet<String> {
        let schema_of: std::collections::BTreeMap<_, _> = self.properties(schema).into_iter().collect();
        if schema_of.is_empty() {
            return BTreeSet::new();
        }
        if let Some(items) = value.as_array() {
            return items.iter().flat_map(|item| self.fields_of(schema, item)).collect();
        }
        let mut fields = BTreeSet::new();
        for (name, value) in value.as_object().unwrap() {
            let inner = schema_of.get(name).map_or_else(BTreeSet::new, |field| self.fields_of(field, value));
            fields.extend(inner.into_iter().map(|inner| format!("{name}.{inner}")));
            fields.insert(name.clone());
        }
        fields
    }

    /// The fields of an object, or of what a list is made of.
    fn properties(&self, schema: &Value) -> Vec<(String, Value)> {
        if let Some(name) = referred(schema) {
            return self.properties(&self.0["components"]["schemas"][name]);
        }
        if let Some(cases) = schema["oneOf"].as_array() {
            return cases.iter().flat_map(|case| self.properties(case)).collect();
        }
        if is_a(schema, "array") {
            return self.properties(&schema["items"]);
        }
        let fields = schema["properties"].as_object();
        fields.into_iter().flatten().map(|(name, field)| (name.clone(), field.clone())).collect()
    }
}

/// The name of the schema that another one stands for.
fn referred(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str().map(|reference| reference.rsplit('/').next().unwrap())
}

/// Whether a schema is of a type, or of that or null.
pub(crate) fn is_a(schema: &Value, kind: &str) -> bool {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(|one| one == kind),
        one => one == kind,
    }
}

/// Each of the objects with each of the others.
fn joined(all: &[Value], more: &[Value]) -> Vec<Value> {
    let with = |one: &Value, other: &Value| {
        let fields = one.as_object().unwrap().iter().chain(other.as_object().unwrap());
        Value::Object(fields.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    all.iter().flat_map(|one| more.iter().map(move |other| with(one, other))).collect()
}
