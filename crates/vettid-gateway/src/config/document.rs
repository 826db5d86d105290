//! `docs/gateway-config.md` is made from the structs of the configuration: names, types and comments from their source, defaults
//! from the values that a file with nothing but the needed keys gives. `UPDATE_DOCS=1` writes it.

use super::Config;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt::Write as _;

const SOURCES: [&str; 2] = [include_str!("../config.rs"), include_str!("../oidc/settings.rs")];
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/gateway-config.md");

/// Every part, with the keys that it cannot do without.
const SMALLEST: &str = r#"
version = 1
name = "Demo Shop"
origins = ["https://shop.example"]
contract = "contract.json"
state = "state"
key_file = "state.key"

[services]
url = "https://127.0.0.1:8443"
ca_file = "ca.pem"

[postgres]
url_file = "postgres.url"

[http]
listen = "127.0.0.1:8091"
api_key_file = "api.key"

[oidc]
issuer = "https://shop.example"
listen = "127.0.0.1:8092"
clients_file = "clients.toml"
"#;

const INTRODUCTION: &str = "\
# The configuration of a gateway

Made from the code; do not edit: `UPDATE_DOCS=1 cargo nextest run -p vettid-gateway -E 'test(config::document)'`

`vettid gateway --config gateway.toml` reads this TOML file once, at its start. A key that does not stand here, or a value that cannot be meant, stops the
start. Relative paths count from the folder of the file. There are examples in [the shop](../examples/shop/gateway.toml) and in
[login-with-vettid.md](login-with-vettid.md#ten-minutes); what the parts are for stands in [gateway.md](gateway.md).

**Members of other operators.** A gateway speaks with the broker that its own operator's services name. Members whose vaults live with another operator
answer invitations from another broker, and are refused until that stands in `peers`; ask their operator for its address:

```toml
[broker]
peers = [\"tls://ms.example:4222\"]
```

**Too much at once.** A call that is answered 429 with the code `too_many` found as much open as the gateway allows: `open_requests`, `open_invitations` in
`[limits]`, `waiting` in `[login]`, or one of its fixed bounds. A 429 with `Retry-After` is about `calls_per_minute` of the key instead.
";

struct Key {
    name: String,
    kind: String,
    says: String,
}

fn lines_of(structure: &str) -> Vec<&'static str> {
    let head = format!("pub struct {structure} {{");
    let source = SOURCES.iter().find(|source| source.contains(&head)).unwrap();
    source.lines().skip_while(|line| **line != head).skip(1).take_while(|line| *line != "}").map(str::trim).collect()
}

/// The keys of a struct, in the order in which it has them; not what no file can say.
fn keys_of(structure: &str) -> Vec<Key> {
    let (mut keys, mut says, mut is_skipped) = (vec![], vec![], false);
    for line in lines_of(structure) {
        if let Some(comment) = line.strip_prefix("///") {
            says.push(comment.trim());
        } else if line == "#[serde(skip)]" {
            is_skipped = true;
        } else if let Some((name, kind)) = line.strip_prefix("pub ").and_then(|line| line.split_once(": ")) {
            let (name, kind) = (name.to_owned(), kind.trim_end_matches(',').to_owned());
            let says = std::mem::take(&mut says).join(" ");
            if !std::mem::take(&mut is_skipped) {
                keys.push(Key { name, kind, says });
            }
        }
    }
    keys
}

/// What people write for a type; `None`: a part of the file, whose struct has this name.
fn words(kind: &str) -> Option<&str> {
    Some(match kind.strip_prefix("Option<").map_or(kind, |inner| inner.trim_end_matches('>')) {
        "String" => "text",
        "Category" => "text, a kind",
        "PathBuf" => "path",
        "bool" => "`true` or `false`",
        "u32" | "u64" | "usize" | "i64" => "whole number",
        "SocketAddr" => "address and port",
        "Vec<String" | "Vec<String>" => "list of texts",
        "BTreeMap<String, String>" => "table of texts",
        "BrowserKeyKind" => "`\"webcrypto\"` or `\"webauthn\"`",
        _ => return None,
    })
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::Array(values) if values.is_empty() => "none".to_owned(),
        Value::Object(values) if values.is_empty() => "none".to_owned(),
        value => format!("`{value}`"),
    }
}

/// The table of a part; `needed`: what the smallest file says in it, `values`: what comes of that.
fn table(structure: &str, needed: &toml::Table, values: &Map<String, Value>) -> String {
    let keys = keys_of(structure);
    let named: BTreeSet<&str> = keys.iter().map(|key| key.name.as_str()).collect();
    assert_eq!(named, values.keys().map(String::as_str).collect(), "the source of {structure} is not understood");
    let mut text = "| key | value | default | what it does |\n|---|---|---|---|\n".to_owned();
    for Key { name, kind, says } in keys {
        let Some(kind) = words(&kind) else { continue };
        let default = if needed.contains_key(&name) { "needed".to_owned() } else { shown(&values[&name]) };
        assert!(!says.is_empty(), "{structure}.{name} has no comment");
        writeln!(text, "| `{name}` | {kind} | {default} | {} |", says.replace('|', "\\|")).unwrap();
    }
    text
}

fn written() -> String {
    let needed: toml::Table = toml::from_str(SMALLEST).unwrap();
    let config: Config = toml::from_str(SMALLEST).unwrap();
    let Value::Object(values) = serde_json::to_value(&config).unwrap() else { panic!("not a table") };
    let mut text = format!("{INTRODUCTION}\n## Outside of the parts\n\n{}", table("Config", &needed, &values));
    let nothing = toml::Table::new();
    for Key { name, kind, says } in keys_of("Config") {
        if words(&kind).is_some() {
            continue;
        }
        let structure = kind.trim_start_matches("Option<").trim_end_matches('>');
        let needed = needed.get(&name).and_then(toml::Value::as_table).unwrap_or(&nothing);
        let values = values[&name].as_object().unwrap_or_else(|| panic!("SMALLEST has no part {name}"));
        write!(text, "\n## `[{name}]`\n\n{says}\n\n{}", table(structure, needed, values)).unwrap();
    }
    text
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a person asks for the document to be written")]
fn the_document_is_the_one_of_the_code() {
    let wanted = written();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return std::fs::write(PATH, wanted).unwrap();
    }
    let present = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(present == wanted, "docs/gateway-config.md is not up to date: run this test with UPDATE_DOCS=1");
}

/// What the document calls needed is needed, and nothing else is.
#[test]
fn a_file_without_a_needed_key_is_refused() {
    let smallest: toml::Table = toml::from_str(SMALLEST).unwrap();
    for (name, value) in &smallest {
        let mut without = smallest.clone();
        if let Some(part) = value.as_table() {
            for key in part.keys() {
                let mut part = part.clone();
                part.remove(key);
                without.insert(name.clone(), part.into());
                assert!(without.clone().try_into::<Config>().is_err(), "[{name}] {key}");
            }
        } else {
            without.remove(name);
            assert!(without.try_into::<Config>().is_err(), "{name}");
        }
    }
}
