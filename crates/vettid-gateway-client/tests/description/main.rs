//! The client against the description of the calls: each operation is called as it is described, sends every field that it may
//! take, and nothing that it answers is lost.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod calls;
mod document;
mod example;
mod receiver;

use calls::OPERATIONS;
use document::{Document, Operation};
use receiver::{Receiver, Sent};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use vettid_gateway_client::GatewayClient;
use zeroize::Zeroizing;

fn client(address: &str) -> GatewayClient {
    // Without a provider no client is built; a second call changes nothing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    GatewayClient::new(client, address, Zeroizing::new("key".to_owned())).unwrap().under("name")
}

#[test]
fn every_operation_is_a_call_and_every_call_an_operation() {
    let document = Document::read();
    let described: BTreeSet<_> = document.operations().into_iter().map(|operation| operation.id).collect();
    let called: BTreeSet<_> = OPERATIONS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(called, described);
    let methods: BTreeSet<_> = OPERATIONS.iter().map(|(_, call)| method_of(call).to_owned()).collect();
    assert_eq!(methods, public_methods());
}

/// The method that a call of the table is about, such as `client.invite().await?`.
fn method_of(call: &str) -> &str {
    let (_, rest) = call.split_once("client.").or_else(|| call.split_once("client .")).unwrap();
    rest.trim_start().split(|character: char| !(character.is_alphanumeric() || character == '_')).next().unwrap()
}

/// The names of all calls in the sources of the client.
fn public_methods() -> BTreeSet<String> {
    let sources = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let texts = sources.map(|source| std::fs::read_to_string(source.unwrap().path()).unwrap());
    let names = |text: String| {
        let found = text.split("pub async fn ").skip(1).map(|rest| rest.split('(').next().unwrap().to_owned());
        found.collect::<Vec<_>>()
    };
    texts.flat_map(names).collect()
}

#[tokio::test]
async fn each_call_is_made_as_it_is_described_and_its_answer_is_read_to_the_last_field() {
    let document = Document::read();
    let receiver = Receiver::start().await;
    let client = client(&receiver.address);
    for operation in document.operations() {
        let mut sent = Vec::new();
        for (status, answer) in &operation.answers {
            receiver.answers(*status, answer);
            let read = calls::call(&operation.id, &client).await;
            let read = read.unwrap_or_else(|error| panic!("{} {answer}: {error:?}", operation.id));
            assert_eq!(difference(&read, answer), None, "{} read and answered", operation.id);
            sent.extend(receiver.take());
        }
        is_as_described(&document, &operation, &sent);
    }
}

/// The first place in which two values differ.
fn difference(read: &Value, answered: &Value) -> Option<String> {
    match (read, answered) {
        (Value::Object(read), Value::Object(answered)) => {
            let names: BTreeSet<_> = read.keys().chain(answered.keys()).collect();
            let of = |fields: &serde_json::Map<_, _>, name: &String| fields.get(name).cloned().unwrap_or_default();
            let mut each = names.into_iter().map(|name| (name, of(read, name), of(answered, name)));
            each.find_map(|(name, one, other)| difference(&one, &other).map(|inner| format!("/{name}{inner}")))
        }
        (Value::Array(read), Value::Array(answered)) if read.len() == answered.len() => {
            let mut each = read.iter().zip(answered).enumerate();
            each.find_map(|(place, (one, other))| difference(one, other).map(|inner| format!("/{place}{inner}")))
        }
        _ => (read != answered).then(|| format!(": {read} and {answered}")),
    }
}

fn is_as_described(document: &Document, operation: &Operation, sent: &[Sent]) {
    let id = &operation.id;
    assert!(!sent.is_empty(), "{id} was not called");
    let mut body = BTreeSet::new();
    for call in sent {
        assert_eq!((call.method.as_str(), call.path.as_str()), (operation.method.as_str(), operation.path.as_str()));
        assert_eq!(call.query, operation.query, "{id}");
        assert_eq!(call.headers.get("authorization").map(String::as_str), Some("Bearer key"));
        let is_named = call.headers.get("idempotency-key").is_some_and(|name| name == "name");
        assert_eq!(is_named, operation.takes_name, "{id}");
        if let Some(schema) = &operation.body {
            body.extend(document.fields_of(schema, &call.body));
        }
    }
    let Some(schema) = &operation.body else { return };
    let described = document.fields(schema);
    assert_eq!(body, described, "{id}: the fields of the call");
}

#[test]
fn an_answer_of_a_newer_gateway_is_read() {
    let mut request = Document::read().examples("Request").remove(0);
    request["status"] = "postponed".into();
    request["until_when"] = Value::Null;
    let read: vettid_gateway_client::Request = serde_json::from_value(request).unwrap();
    assert_eq!(read.status, vettid_gateway_client::Status::Other);
}
