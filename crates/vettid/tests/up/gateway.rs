//! What the operator of a gateway does from the command line, against the running demo shop.

use crate::party::{list, text, vettid};
use crate::people::start;
use crate::shop::Shop;
use crate::stack::Place;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

/// Runs `vettid gateway …` against the shop; gives the exit code and what it said.
async fn gateway(place: &Place, address: &str, command: &[&str]) -> (i32, Value) {
    let config = place.data().join("shop/gateway.toml");
    let line =
        [&["--json", "gateway"], command, &["--config", config.to_str().unwrap(), "--address", address]].concat();
    let outcome = vettid(&line, "").await;
    let said = if outcome.code == 0 { &outcome.out } else { &outcome.error };
    (outcome.code, serde_json::from_str(said).unwrap_or_else(|_| panic!("{line:?}: {outcome:?}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_webhooks_are_made_and_taken_back() {
    let place = Place::new();
    let (mut up, addresses) = start(&place).await;
    let shop = Shop::new(&place, addresses.shop.rsplit_once("http://").unwrap().1);
    let file = place.outside("reader.key");
    let out = file.to_str().unwrap().to_owned();
    let create = ["api-key", "create", "--name", "reader", "--scope", "connections:read", "--out", &out];
    let (code, made) = gateway(&place, &addresses.shop, &create).await;
    assert_eq!((code, made.get("secret")), (0, None), "{made}");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let reader = shop.with_key(fs::read_to_string(&file).unwrap().trim_end());
    assert_eq!(reader.get("/v1/connections").await.0, 200);
    assert_eq!(reader.get("/v1/api-keys").await.0, 403);
    assert_eq!(gateway(&place, &addresses.shop, &create).await.0, 2, "a file is not written over");
    let (_, keys) = gateway(&place, &addresses.shop, &["api-key", "list"]).await;
    assert_eq!(list(&keys, "keys").len(), 1);
    let id = text(&made, "key_id");
    assert_eq!(gateway(&place, &addresses.shop, &["api-key", "revoke", &id]).await.0, 0);
    assert_eq!(reader.get("/v1/connections").await.0, 401);
    assert_eq!(gateway(&place, &addresses.shop, &["api-key", "revoke", "vgk_0"]).await.0, 3);

    let (_, added) = gateway(&place, &addresses.shop, &["webhook", "add", "https://shop.example/hook"]).await;
    assert!(text(&added, "secret").starts_with("whsec_"), "{added}");
    let id = text(&added, "webhook_id");
    assert_eq!(gateway(&place, &addresses.shop, &["webhook", "add", "https://10.0.0.1/"]).await.0, 3);
    let (_, replayed) = gateway(&place, &addresses.shop, &["webhook", "replay", &id]).await;
    assert_eq!(replayed["replayed"], 0);
    assert_eq!(gateway(&place, &addresses.shop, &["webhook", "remove", &id]).await.0, 0);
    let (_, hooks) = gateway(&place, &addresses.shop, &["webhook", "list"]).await;
    assert!(list(&hooks, "webhooks").is_empty());
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
    assert_eq!(gateway(&place, &addresses.shop, &["api-key", "list"]).await.0, 4, "nobody is there");
}
