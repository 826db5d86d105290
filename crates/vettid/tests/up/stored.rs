//! The demo shop stores data with Alice, on real processes: after she accepted a version of the contract that lets it, within its
//! quota, over a kill of everything; she sees and deletes it, and keeps what is left when she ends the connection.

use crate::agreement::start;
use crate::authorisation::{connect, shop_of};
use crate::party::{App, list, text, vettid};
use crate::processes;
use crate::shop::Shop;
use crate::stack::{Place, WITHIN, family};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// The shop offers a version with storage, and Alice accepts it after seeing that it is wider.
async fn agree(shop: &Shop, alice: &App) {
    let (_, versions) = shop.get("/v1/contract/versions").await;
    let mut contract = list(&versions, "versions").last().unwrap()["contract"].clone();
    contract["contract_version"] = 2.into();
    contract["permissions"].as_array_mut().unwrap().push("store_data".into());
    contract["storage"] = json!({"quota_bytes": 1000, "categories":
        [{"category": "receipts", "purpose": "Receipts of what you ordered"}]});
    let (published, said) = shop.post("/v1/contract/versions", &contract).await;
    assert_eq!(published, StatusCode::CREATED, "{said}");
    alice.until(&["contract", "list"], |page| page.to_string().contains("\"offered_version\":2").then_some(())).await;
    let diff = alice.ask(&["contract", "diff", "demo-shop"]).await;
    let wider = |part: &str| {
        let changes = list(&diff, "changes");
        changes.iter().any(|change| change["part"] == part && change["effect"] == "wider")
    };
    assert!(wider("quota") && wider("category") && wider("permission"), "{diff}");
    alice.ask(&["contract", "accept", "demo-shop", "--version", "2"]).await;
}

/// The shop stores this; gives the end of the request.
async fn store(shop: &Shop, connection: &str, name: &str, value: Value) -> Value {
    let call = json!({"category": "receipts", "name": name, "value": value, "wait_ms": 30_000});
    let (_, said) = shop.post(&format!("/v1/connections/{connection}/stored"), &call).await;
    shop.finished(&said).await
}

async fn read(shop: &Shop, connection: &str, name: &str) -> Value {
    let (_, said) = shop.get(&format!("/v1/connections/{connection}/stored/receipts/{name}?wait_ms=30000")).await;
    shop.finished(&said).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shop_stores_receipts_with_alice_and_she_keeps_them() {
    let place = Place::new();
    let mut up = start(&place).await;
    let shop = shop_of(&place, &up);
    let (alice, connection) = connect(&place, &shop).await;
    let refused = store(&shop, &connection, "early", json!(1)).await;
    assert_eq!((&refused["status"], &refused["code"]), (&json!("refused"), &json!("not_in_contract")), "{refused}");
    agree(&shop, &alice).await;
    let told = async {
        // The gateway quotes the new version once it heard of the acceptance.
        loop {
            let first = store(&shop, &connection, "order-1", json!({"total": "12.00"})).await;
            if first["status"] == "done" {
                return first;
            }
            assert_eq!(first["code"], "contract_mismatch", "{first}");
        }
    };
    let first = tokio::time::timeout(WITHIN, told).await.unwrap();
    assert_eq!(first.pointer("/result/stored/used/items"), Some(&json!(1)), "{first}");
    store(&shop, &connection, "order-2", json!("second")).await;
    let full = store(&shop, &connection, "order-3", json!("x".repeat(1000))).await;
    assert_eq!(full["code"], "no_room", "{full}");

    // Everything is killed; what is stored stays stored.
    let processes = family(&up);
    up.kill();
    up.kill_group();
    up.ended().await;
    processes::none_left(&processes, up.id(), &place.data(), WITHIN).await;
    let mut up = start(&place).await;
    let shop = shop_of(&place, &up);
    let again = read(&shop, &connection, "order-1").await;
    assert_eq!(again.pointer("/result/read/value"), Some(&json!({"total": "12.00"})), "{again}");

    let seen = alice.ask(&["stored", "list", "demo-shop"]).await;
    assert_eq!((&seen["quota_bytes"], list(&seen, "stored").len()), (&json!(1000), 2), "{seen}");
    let value = alice.ask(&["stored", "get", "demo-shop", "receipts", "order-2"]).await;
    assert_eq!(value["value"], "second");
    alice.ask(&["stored", "delete", "demo-shop", "receipts", "order-2"]).await;
    let gone = read(&shop, &connection, "order-2").await;
    assert_eq!((&gone["status"], &gone["code"]), (&json!("refused"), &json!("not_found")), "{gone}");

    let statement = place.outside("statement.jsonl");
    alice.ask(&["contract", "statement", "demo-shop", "--output", statement.to_str().unwrap()]).await;
    let report = vettid(&["--json", "verify", statement.to_str().unwrap()], "").await;
    assert_eq!(report.code, 0, "{report:?}");
    let report: Value = serde_json::from_str(report.out.trim()).unwrap();
    let served = &list(&report, "served")[0];
    assert_eq!(
        (text(served, "category").as_str(), text(served, "field").as_str()),
        ("receipts", "order-1"),
        "{report}"
    );

    alice.ask(&["connection", "revoke", &connection, "--reason", "user-requested"]).await;
    let left = alice.ask(&["stored", "list"]).await;
    let left = &list(&left, "services")[0];
    assert_eq!((&left["ended"], &left["items"]), (&json!(true), &json!(1)), "{left}");
    let deleted = alice.ask(&["stored", "delete", "demo-shop", "--all"]).await;
    assert_eq!(deleted["items"], 1, "{deleted}");
    assert!(list(&alice.ask(&["stored", "list"]).await, "services").is_empty());
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}
