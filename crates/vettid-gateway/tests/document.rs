//! The checked-in description of the calls is the one that the code makes. `UPDATE_DOCS=1` writes it.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use vettid_gateway::http::{Scope, document};

fn path() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "docs", "gateway-openapi.json"].iter().collect()
}

#[test]
fn the_description_is_the_one_of_the_code() {
    let wanted = format!("{}\n", serde_json::to_string_pretty(&document()).unwrap());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return std::fs::write(path(), wanted).unwrap();
    }
    let present = std::fs::read_to_string(path()).unwrap_or_default();
    assert!(present == wanted, "docs/gateway-openapi.json is not up to date: run this test with UPDATE_DOCS=1");
}

/// Every call that is not open names scopes that exist, and every operation has a name of its own.
#[test]
fn every_call_says_who_may_make_it() {
    let document = serde_json::to_value(document()).unwrap();
    let (mut names, mut open) = (BTreeSet::new(), BTreeSet::new());
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            assert!(names.insert(name.to_owned()), "{name} is the name of two calls");
            let security = operation["security"].as_array().unwrap_or_else(|| panic!("{method} {path}"));
            let scopes: Vec<&Value> =
                security.iter().filter_map(|one| one.get("api_key")).flat_map(|all| all.as_array().unwrap()).collect();
            if scopes.is_empty() {
                open.insert(path.as_str());
            }
            for scope in scopes {
                scope.as_str().unwrap().parse::<Scope>().unwrap();
            }
        }
    }
    assert_eq!(open, BTreeSet::from(["/healthz", "/openapi.json"]), "calls that need no key");
}
