//! The life of a contract on real processes: Alice reviews the demo shop, tries its contract, adds what it needs and accepts; a new version is
//! compared, freezes, is tried and accepted; and the statement of it all holds where nothing runs.

use crate::badge::Proving;
use crate::party::{App, list, text, vettid};
use crate::shop::Shop;
use serde_json::{Value, json};

/// What a dry run says of a field.
fn of(trial: &Value, field: &str) -> Value {
    list(trial, "fields").iter().find(|one| one["field"] == field).cloned().unwrap_or_else(|| panic!("{trial}"))
}

/// The review, the dry run before anything was accepted, and the yes with a value that was missing.
async fn accepted(alice: &App, connection: &str) {
    let shown = alice.ask(&["contract", "show", "demo-shop"]).await;
    assert_eq!(shown["missing_fields"], json!(["address", "date_of_birth", "email"]), "{shown}");
    let trial = alice.ask(&["contract", "dry-run", "demo-shop", "--optional", "email"]).await;
    assert_eq!((&trial["basis"], &trial["tried"]), (&json!("other_services"), &json!(0)));
    let address = of(&trial, "address");
    assert_eq!(
        (&address["is_stored"], address["at_most"].as_u64() > Some(300_000)),
        (&json!(false), true),
        "{address}"
    );
    assert_eq!(alice.run(&["connection", "decide", connection, "--reject", "--fill"], "").await.code, 2);
    let accept = ["connection", "decide", connection, "--accept", "--set", "address=-"];
    alice.say(&accept, "Main Street 1\n").await;
    alice.until(&["connection", "review", connection], |view| (view["state"] == "active").then_some(())).await;
    assert_eq!(alice.ask(&["data", "get", "address"]).await["value"], "Main Street 1");
}

/// The same contract with another field, as a program publishes it.
async fn publish(shop: &Shop) {
    let (_, versions) = shop.get("/v1/contract/versions").await;
    let mut contract = list(&versions, "versions")[0]["contract"].clone();
    contract["contract_version"] = json!(2);
    let field =
        json!({"field": "shoe_size", "tier": "required", "purpose": "To send shoes that fit", "retention": "session"});
    contract["fields"].as_array_mut().unwrap().push(field);
    let (status, said) = shop.post("/v1/contract/versions", &contract).await;
    assert!(status.is_success(), "{said}");
}

/// The new version is compared, freezes, is tried on what the shop asked for, and accepted with a value that was missing.
async fn renewed(alice: &App, shop: &Shop, connection: &str) {
    publish(shop).await;
    let diff = ["contract", "diff", "demo-shop"];
    let shown = alice.until(&diff, |view| (view["after"] == 2).then(|| view.clone())).await;
    assert!(list(&shown, "changes").iter().any(|change| change.to_string().contains("shoe_size")), "{shown}");
    let frozen = shop.finished(&shop.ask(connection, "address", "delivery", 10_000).await).await;
    assert_eq!((&frozen["status"], &frozen["code"]), (&json!("refused"), &json!("contract_frozen")), "{frozen}");
    let trial = alice.ask(&["contract", "try", "demo-shop"]).await;
    assert_eq!((&trial["basis"], &trial["contract_version"]), (&json!("own_requests"), &json!(2)));
    let (address, size) = (of(&trial, "address"), of(&trial, "shoe_size"));
    // One request was answered, one refused while it was frozen.
    assert_eq!((&address["asked"], &address["handed_out"]), (&json!(2), &json!(2)), "{trial}");
    assert_eq!((&size["asked"], &size["is_stored"]), (&json!(1), &json!(false)), "{trial}");
    let accept = ["contract", "accept", "demo-shop", "--version", "2", "--set", "shoe_size=-"];
    alice.say(&accept, "42\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contract_is_tried_accepted_renewed_and_accounted_for() {
    let mut proving = Proving::start().await;
    let (alice, connection) = proving.invited().await;
    accepted(&alice, &connection).await;
    let shop = &proving.shop;
    let served = shop.finished(&shop.ask(&connection, "address", "delivery", 10_000).await).await;
    assert_eq!((&served["status"], &served["value"]), (&json!("served"), &json!("Main Street 1")), "{served}");
    let refused = shop.finished(&shop.ask(&connection, "shoe_size", "shoes", 10_000).await).await;
    assert_eq!(refused["code"], "not_in_contract", "{refused}");
    renewed(&alice, shop, &connection).await;
    let sized = async {
        loop {
            let size = shop.finished(&shop.ask(&connection, "shoe_size", "shoes", 10_000).await).await;
            if size["status"] == "served" {
                return size;
            }
            // The gateway has not heard of the yes yet.
            assert_eq!(size["status"], "refused", "{size}");
        }
    };
    let size = tokio::time::timeout(crate::stack::WITHIN, sized).await.unwrap();
    assert_eq!(size["value"], "42");

    let file = proving.place.outside("statement.jsonl");
    let path = file.to_str().unwrap().to_owned();
    alice.ask(&["contract", "statement", "demo-shop", "--output", &path]).await;
    proving.end().await;
    let report = vettid(&["--json", "verify", &path], "").await;
    assert_eq!(report.code, 0, "{report:?}");
    let report: Value = serde_json::from_str(report.out.trim()).unwrap();
    let fields: Vec<_> = list(&report, "served").iter().map(|one| text(one, "field")).collect();
    assert_eq!(fields, ["address", "shoe_size"], "{report}");
    let changed = std::fs::read_to_string(&file).unwrap().replace("shoe_size", "shoe_sise");
    std::fs::write(&file, changed).unwrap();
    assert_eq!(vettid(&["--json", "verify", &path], "").await.code, 3);
}
