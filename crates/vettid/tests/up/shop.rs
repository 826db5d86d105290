//! The demo shop from two sides: a program that uses its HTTP API, and somebody who stole its state folder and does not
//! care that a connection has ended.

use crate::operator::{self, Broker};
use crate::party::{list, text};
use crate::stack::Place;
use async_nats::{Client, ConnectError};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use vettid_core::grants::credential::Credential;
use vettid_core::grants::mint::MemberIdentity;
use vettid_crypto::at_rest;
use vettid_crypto::nats::key::UserKey;
use vettid_crypto::nats::token::UserJwt;
use vettid_crypto::secret::Secret32;
use vettid_nats::clock;
use vettid_store::state::sqlite::SqliteState;
use vettid_wire::base64::decode;

/// A program of the shop.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    client: reqwest::Client,
    url: String,
    key: String,
}

impl Shop {
    /// With the address that the gateway listens on now.
    pub(crate) fn new(place: &Place, address: &str) -> Self {
        let key = fs::read_to_string(place.data().join("shop/api.key")).unwrap().trim().to_owned();
        Self { client: http(), url: format!("http://{address}"), key }
    }

    /// Where the gateway listens.
    pub(crate) fn address(&self) -> &str {
        &self.url
    }

    /// A program with a key that the gateway does not know.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        read(self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.key)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        read(self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.key).json(body)).await
    }

    /// Asks for a field and waits this long for the answer.
    pub(crate) async fn ask(&self, connection: &str, field: &str, purpose: &str, wait_ms: u64) -> Value {
        let body = json!({"field": field, "purpose": purpose, "wait_ms": wait_ms});
        self.post(&format!("/v1/connections/{connection}/data-requests"), &body).await.1
    }

    /// Waits for the end of a request, unless the first answer was the last one.
    pub(crate) async fn finished(&self, asked: &Value) -> Value {
        if !matches!(text(asked, "status").as_str(), "asked" | "pending") {
            return asked.clone();
        }
        self.get(&format!("/v1/requests/{}?wait_ms=30000", text(asked, "request_id"))).await.1
    }
}

fn http() -> reqwest::Client {
    // Fails only if it was done before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap()
}

async fn read(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    let (status, bytes) = (answer.status(), answer.bytes().await.unwrap());
    if bytes.is_empty() {
        return (status, Value::Null);
    }
    (status, serde_json::from_slice(&bytes).unwrap())
}

/// What the shop holds of a connection, out of its sealed state: enough to speak to the member's vault without it.
pub(crate) struct StolenConnection {
    credential: Credential,
    user: String,
    client: Option<Client>,
}

impl StolenConnection {
    /// Opens the shop's state with its key file.
    pub(crate) async fn of(place: &Place, connection: &str) -> Self {
        let name = format!("connection/{connection}");
        let record: Value = serde_json::from_slice(&state(place).await[&name]).unwrap();
        let member = &record["member"];
        let seed = decode(&text(member, "nkey_seed")).unwrap();
        let key = UserKey::from_secret(Secret32::from_slice(&seed).unwrap()).unwrap();
        let user = key.public().to_string();
        let identity = MemberIdentity::Service("demo-shop".parse().unwrap());
        let guid = text(member, "guid").parse().unwrap();
        let jwt = UserJwt::unchecked(text(member, "jwt"));
        let credential = Credential::member(&identity, guid, Arc::new(key), jwt, clock::now()).unwrap();
        Self { credential, user, client: None }
    }

    /// The public key of the shop's user in the member's account.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Connects to the broker as this user, and stays connected.
    pub(crate) async fn connect(&mut self, place: &Place) -> Result<(), ConnectError> {
        self.client = Some(Broker::of(place).connect(&self.credential).await?);
        Ok(())
    }

    /// The connections of this user that the broker has open.
    pub(crate) async fn open_connections(&self, place: &Place) -> Vec<Value> {
        let url = format!("{}/connz?auth=true&state=open&limit=1000", place.monitor());
        let (_, told) = read(http().get(url)).await;
        list(&told, "connections").iter().filter(|open| open["authorized_user"] == self.user).cloned().collect()
    }
}

/// The values of the shop's state by key: rows whose sealed content is a label, key and value by length, and zeros.
async fn state(place: &Place) -> BTreeMap<String, Vec<u8>> {
    let folder = place.data().join("shop");
    let key = operator::key_of(&folder.join("state.key"));
    let rows = SqliteState::look(&folder.join("state/state.sqlite")).await.unwrap().rows;
    let open = |(name, sealed): ([u8; 32], Vec<u8>)| {
        let plain = at_rest::open(&key, &[b"vettid-gateway row\0".as_slice(), &name].concat(), &sealed).unwrap();
        let mut rest = plain.expose().strip_prefix(b"vettid-gateway-row-v1\0").unwrap();
        let name = String::from_utf8(field(&mut rest).to_vec()).unwrap();
        (name, field(&mut rest).to_vec())
    };
    rows.into_iter().map(open).collect()
}

fn field<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let (length, tail) = rest.split_first_chunk::<4>().unwrap();
    let (field, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
    *rest = tail;
    field
}
