//! `vettid gateway client` on real files: clients are registered, listed, given new secrets and removed.

use crate::Place;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

const CONFIG: &str = "\
version = 1
name = \"Small Shop\"
origins = [\"http://localhost:8092\"]
contract = \"contract.json\"
state = \"state\"
key_file = \"state.key\"
[services]
url = \"https://127.0.0.1:8443\"
ca_file = \"ca.pem\"
[oidc]
issuer = \"http://localhost:8092\"
listen = \"127.0.0.1:8092\"
clients_file = \"clients.toml\"
";

/// Clients whose ids and hashes stay the same.
const CLIENTS: &str = "\
version = 1
[[client]]
client_id = \"c_shop\"
name = \"A small shop\"
auth = \"secret\"
secret_hash = \"K7gNU3sdo-OL0wNhqoVWhr3g6s1xYv72ol_pe_Unols\"
redirect_uris = [\"http://localhost:5000/callback\"]
[[client]]
client_id = \"c_app\"
name = \"An app\"
auth = \"none\"
redirect_uris = [\"com.example.app:/callback\"]
scopes = [\"openid\", \"offline_access\"]
require_nonce = true
require_pushed_authorization_requests = true
";

fn place() -> Place {
    let place = Place::new();
    place.write("gateway.toml", CONFIG);
    place.write("clients.toml", CLIENTS);
    place
}

fn client(place: &Place, what: &str) -> String {
    place.run(&format!("gateway client {what} --config gateway.toml"), "")
}

fn clients(place: &Place) -> String {
    fs::read_to_string(place.path().join("clients.toml")).unwrap()
}

/// The value of a field in the text for people.
fn field(said: &str, name: &str) -> String {
    let line = said.lines().find_map(|line| line.trim_start().strip_prefix(name));
    assert!(line.is_some(), "{name}: {said}");
    line.unwrap().trim().to_owned()
}

#[test]
fn clients_are_listed_and_removed() {
    let place = place();
    let said = [
        client(&place, "list"),
        place.run("--json gateway client list --config gateway.toml", ""),
        client(&place, "remove c_shop"),
        place.run("--json gateway client remove c_app --config gateway.toml", ""),
        client(&place, "list"),
        client(&place, "remove c_app"),
    ];
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn what_cannot_be_done_to_a_client_changes_nothing() {
    let place = place();
    let mut said = Vec::new();
    for what in [
        "new-secret c_app",
        "new-secret c_none",
        "remove c_none",
        "add --name An-app",
        "add --name An-app --redirect-uri http://shop.example/callback",
        "add --name Till --sector till --ciba-poll",
    ] {
        said.push(client(&place, what));
    }
    place.write("clients.toml", CLIENTS.replace("An app", "An-app"));
    said.push(client(&place, "add --name An-app --redirect-uri https://shop.example/callback"));
    assert_eq!(clients(&place), CLIENTS.replace("An app", "An-app"));
    place.write("clients.toml", "version = 1\nclients = []\n");
    said.push(client(&place, "list"));
    place.write("gateway.toml", CONFIG.split("[oidc]").next().unwrap());
    said.push(client(&place, "list"));
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_secret_is_shown_once_and_renewed_in_a_file_for_the_owner_alone() {
    let place = Place::new();
    place.write("gateway.toml", CONFIG);
    let added = client(&place, "add --name Shop --require-nonce --redirect-uri http://localhost:5000/callback");
    let (id, old) = (field(&added, "client_id"), field(&added, "client_secret"));
    let before = clients(&place);
    assert!(before.contains("require_nonce = true") && !before.contains(&old), "{before}");
    let renewed = client(&place, &format!("new-secret {id}"));
    let new = field(&renewed, "client_secret");
    assert!(new != old && renewed.contains("the old one ends, when the gateway is started again"), "{renewed}");
    let after = clients(&place);
    assert!(after != before && !after.contains(&new));
    let mode = fs::metadata(place.path().join("clients.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = client(&place, "add --name Shop --same-name --redirect-uri http://localhost:5000/callback");
    assert_ne!(field(&again, "client_id"), id);
}
