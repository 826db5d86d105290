//! What the demo shop wants Alice's word for, on real processes: a payment with the password, a consent that is taken back, a
//! document that is compared first; the record is the same file on both sides, holds where nothing runs, and outlives a kill.

use crate::agreement::start;
use crate::party::{App, Outcome, list, text, vettid};
use crate::processes;
use crate::shop::Shop;
use crate::stack::{Place, Up, WITHIN, family};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use vettid_wire::base64::Base64;

const PASSWORD: &str = "seven tall camels ride\n";

pub(crate) fn shop_of(place: &Place, up: &Up) -> Shop {
    let said = up.said();
    let line = said.lines().rev().find(|line| line.contains("demo shop")).unwrap().to_owned();
    Shop::new(place, line.rsplit_once("http://").unwrap().1.trim())
}

/// Alice enrolled, connected with the shop, whose safety number she compared.
pub(crate) async fn connect(place: &Place, shop: &Shop) -> (App, String) {
    let alice = place.app("alice");
    alice.enrol(&place.data().join("people/alice.code")).await;
    let (_, invited) = shop.post("/v1/invitations", &json!({})).await;
    let connection = text(&alice.say(&["connection", "accept"], &text(&invited, "link")).await, "connection_id");
    alice.until(&["connection", "review", &connection], |view| (view["state"] == "review").then_some(())).await;
    alice.ask(&["connection", "decide", &connection, "--accept"]).await;
    alice.until(&["connection", "review", &connection], |view| (view["state"] == "active").then_some(())).await;
    alice.ask(&["connection", "verify", &connection]).await;
    (alice, connection)
}

/// The shop asks; gives what the gateway knows and what Alice is shown.
async fn want(shop: &Shop, alice: &App, connection: &str, wanted: Value) -> (Value, Value) {
    let mut call = wanted;
    call["wait_ms"] = 0.into();
    let (_, asked) = shop.post(&format!("/v1/connections/{connection}/authorisations"), &call).await;
    let id = text(&asked, "request_id");
    let shown = alice
        .until(&["request", "list"], |page| {
            list(page, "requests").iter().find(|pending| pending["request_id"] == id.as_str()).cloned()
        })
        .await;
    (asked, shown)
}

fn terms(shown: &Value) -> String {
    shown.pointer("/ask/authorisation/request_hash").unwrap().as_str().unwrap().to_owned()
}

fn payment() -> Value {
    json!({"kind": "payment", "action": "transfer", "amount": {"value": "500.00", "currency": "EUR"},
        "payee": {"name": "Bob Smith", "account_masked": "DE•• 1234", "account_hash": Base64::new([7; 32])},
        "reference": "Rent"})
}

async fn verify(file: &Path, more: &[&str]) -> Outcome {
    let mut arguments = vec!["--json", "verify", file.to_str().unwrap()];
    arguments.extend(more);
    vettid(&arguments, "").await
}

/// The record as the gateway gives it, in a file.
async fn record(place: &Place, shop: &Shop, id: &str, name: &str) -> PathBuf {
    let (_, record) = shop.get(&format!("/v1/records/{id}")).await;
    let file = place.outside(name);
    fs::write(&file, vettid_wire::json::canonical(&record).unwrap()).unwrap();
    file
}

/// Alice pays with her password, and not with another one.
async fn pays(place: &Place, shop: &Shop, alice: &App, connection: &str) -> String {
    alice.say(&["credential", "create", "--password-stdin"], PASSWORD).await;
    let (asked, shown) = want(shop, alice, connection, payment()).await;
    let (id, hash) = (text(&asked, "request_id"), terms(&shown));
    assert_eq!(shown.pointer("/ask/authorisation/needs"), Some(&json!(["password"])));
    let blind = alice.run(&["request", "approve", &id], "").await;
    assert!(blind.code == 2 && blind.error.contains("--terms"), "{blind:?}");
    let approve = ["request", "approve", &id, "--terms", &hash, "--password-stdin"];
    assert_eq!(alice.run(&approve, "nine green boats drift\n").await.code, 3);
    alice.say(&approve, PASSWORD).await;
    let paid = shop.finished(&asked).await;
    assert_eq!((&paid["status"], &paid["method"]), (&json!("approved"), &json!(["user", "pwd"])), "{paid}");
    let file = record(place, shop, &id, "paid").await;
    let own = place.outside("own");
    alice.ask(&["record", "export", &id, "--to", own.to_str().unwrap()]).await;
    assert_eq!(fs::read(&file).unwrap(), fs::read(&own).unwrap());
    let alice_is = text(&alice.ask(&["status"]).await, "vault_fingerprint");
    let report = verify(&file, &["--party", &alice_is]).await;
    assert_eq!(report.code, 0, "{report:?}");
    let report: Value = serde_json::from_str(report.out.trim()).unwrap();
    assert_eq!((&report["decision"], &report["answered_by"]), (&json!("approve"), &json!("password")));
    assert!(list(&report, "displayed").contains(&"Amount: 500.00 EUR".into()), "{report}");
    let changed = place.outside("changed");
    fs::write(&changed, fs::read_to_string(&file).unwrap().replace("500.00", "900.00")).unwrap();
    assert_eq!(verify(&changed, &[]).await.code, 3);
    id
}

/// A document that is another one than Alice has is not approved; the same one is.
async fn signs(place: &Place, shop: &Shop, alice: &App, connection: &str) {
    let (right, wrong) = (place.outside("lease.pdf"), place.outside("other.pdf"));
    fs::write(&right, b"the lease").unwrap();
    fs::write(&wrong, b"the leash").unwrap();
    let hash = Base64::new(vettid_crypto::kdf::h256(b"the lease"));
    let document = json!({"kind": "document", "name": "lease.pdf", "sha256": hash, "media_type": "application/pdf", "size_bytes": 9});
    let (asked, shown) = want(shop, alice, connection, document).await;
    let (id, hash) = (text(&asked, "request_id"), terms(&shown));
    let approve = |file: &Path| {
        vec![
            "request".to_owned(),
            "approve".into(),
            id.clone(),
            "--terms".into(),
            hash.clone(),
            "--document".into(),
            file.to_str().unwrap().into(),
        ]
    };
    let refused = approve(&wrong);
    let refused = alice.run(&refused.iter().map(String::as_str).collect::<Vec<_>>(), "").await;
    assert!(refused.code == 3 && refused.error.contains("not the document"), "{refused:?}");
    let approve = approve(&right);
    alice.ask(&approve.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(shop.finished(&asked).await["status"], "approved");
}

#[tokio::test(flavor = "multi_thread")]
async fn alice_gives_the_shop_her_word_and_both_keep_it() {
    let place = Place::new();
    let mut up = start(&place).await;
    let shop = shop_of(&place, &up);
    let (alice, connection) = connect(&place, &shop).await;
    let paid = pays(&place, &shop, &alice, &connection).await;
    signs(&place, &shop, &alice, &connection).await;

    let consent = json!({"kind": "consent", "purpose": "to send you offers", "what": ["write to your address"]});
    let (asked, shown) = want(&shop, &alice, &connection, consent).await;
    let id = text(&asked, "request_id");
    alice.ask(&["request", "approve", &id, "--terms", &terms(&shown)]).await;
    assert_eq!(shop.finished(&asked).await["status"], "approved");
    let given = alice.ask(&["consent", "list"]).await;
    assert_eq!(given.pointer("/answered/0/in_force"), Some(&json!(true)), "{given}");

    // Everything is killed; what was paid stays paid, and the consent can still be taken back.
    let processes = family(&up);
    up.kill();
    up.kill_group();
    up.ended().await;
    processes::none_left(&processes, up.id(), &place.data(), WITHIN).await;
    let mut up = start(&place).await;
    let shop = shop_of(&place, &up);
    assert_eq!(verify(&record(&place, &shop, &paid, "later").await, &[]).await.code, 0);
    alice.ask(&["consent", "withdraw", &id]).await;
    let listed = format!("/v1/connections/{connection}/authorisations");
    let taken_back = async {
        loop {
            let (_, page) = shop.get(&listed).await;
            let records = list(&page, "records").to_vec();
            if records.iter().any(|record| record.get("withdrawn_at").is_some()) {
                return records.len();
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(tokio::time::timeout(WITHIN, taken_back).await.unwrap(), 3);
    assert_eq!(verify(&record(&place, &shop, &id, "withdrawn").await, &[]).await.code, 0);
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}
