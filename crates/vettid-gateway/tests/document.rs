//! The checked-in description of the calls is the one that the code makes. `UPDATE_DOCS=1` writes it.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
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
    assert_eq!(open, BTreeSet::from(["/healthz", "/openapi.json", "/readyz"]), "calls that need no key");
}

/// A validator that nobody here wrote reads the document. Fetched once; without its registry the test says so and ends.
#[test]
fn the_description_is_openapi() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi-validator");
    let python = folder.join("bin/python");
    if !folder.join("installed").exists() {
        succeeded(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        let install =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "openapi-spec-validator==0.9.0"];
        let output = Command::new(&python).args(install).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() && (said.contains("NewConnectionError") || said.contains("ConnectTimeoutError")) {
            eprintln!("SKIPPED: docs/gateway-openapi.json was NOT validated, because PyPI cannot be reached:\n{said}");
            return;
        }
        assert!(output.status.success(), "{said}");
        std::fs::write(folder.join("installed"), "").unwrap();
    }
    succeeded(Command::new(&python).args(["-m", "openapi_spec_validator", "--schema", "3.1"]).arg(path()));
    let broken = folder.join("broken.json");
    std::fs::write(&broken, std::fs::read_to_string(path()).unwrap().replace("\"responses\"", "\"answers\"")).unwrap();
    let output = Command::new(&python).args(["-m", "openapi_spec_validator"]).arg(&broken).output().unwrap();
    assert!(!output.status.success(), "the validator takes anything");
}

fn succeeded(command: &mut Command) {
    let output = command.output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
}
