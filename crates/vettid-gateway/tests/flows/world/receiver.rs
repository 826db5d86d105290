//! A receiver of webhooks: a real HTTP server that keeps what it gets and answers as the test says.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use vettid_crypto::kdf::hmac;
use vettid_wire::base64::{decode, encode};

/// What arrived, once.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) signature: String,
    pub(crate) timestamp: String,
    pub(crate) body: String,
    pub(crate) path: String,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn kind(&self) -> String {
        self.json().get("type").and_then(Value::as_str).unwrap().to_owned()
    }

    /// Whether one of the signatures is that of this secret (`whsec_…`).
    pub(crate) fn is_signed_by(&self, secret: &str) -> bool {
        let secret = decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let signed = format!("{}.{}.{}", self.id, self.timestamp, self.body);
        let wanted = format!("v1,{}", encode(&hmac(&secret, &[signed.as_bytes()])));
        self.signature.split(' ').any(|one| one == wanted)
    }
}

type Answer = Box<dyn FnMut(&Received) -> u16 + Send>;

#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    answer: Arc<Mutex<Answer>>,
}

impl Receiver {
    /// Takes everything.
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer: Answer = Box::new(|_| 204);
        let receiver = Self { address, received: Arc::default(), answer: Arc::new(Mutex::new(answer)) };
        let router = Router::new().fallback(take).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Answers like this from now on.
    pub(crate) fn answer(&self, answer: impl FnMut(&Received) -> u16 + Send + 'static) {
        *self.answer.lock().unwrap() = Box::new(answer);
    }

    /// Everything that arrived, in order.
    pub(crate) fn all(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The kinds of what arrived at a path, each event once, in order.
    pub(crate) fn kinds(&self, path: &str) -> Vec<String> {
        let mut seen = BTreeMap::new();
        let wanted = format!("/{path}");
        let fresh = |one: &Received| one.path == wanted && seen.insert(one.id.clone(), ()).is_none();
        self.all().into_iter().filter(fresh).map(|one| one.kind()).collect()
    }
}

async fn take(
    State(receiver): State<Receiver>,
    headers: HeaderMap,
    uri: axum::http::Uri,
    body: Bytes,
) -> impl IntoResponse {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let received = Received {
        id: header("webhook-id"),
        signature: header("webhook-signature"),
        timestamp: header("webhook-timestamp"),
        body: String::from_utf8(body.to_vec()).unwrap(),
        path: uri.path().to_owned(),
    };
    let status = (receiver.answer.lock().unwrap())(&received);
    receiver.received.lock().unwrap().push(received);
    (StatusCode::from_u16(status).unwrap(), [("location", "/elsewhere")])
}
