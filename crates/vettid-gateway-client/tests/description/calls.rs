//! The table: each operation of the description with the call of the client that makes it, every field of it given. A call gives
//! what it read, in the form in which it was answered.

use crate::example::{CONTRACT, HASH, ID, RANDOM, TIME};
use serde_json::{Value, json};
use vettid_gateway_client::{
    AuthorisationRequest, BatchRequest, BrowserProof, ClientError, DataRequest, FinishLogin, GatewayClient,
    LoginRequest, Message, NewApiKey, NewLogin, NewWebhook, Page, PushLogin, Request, RequestFilter, StoreData,
};
use vettid_wire::auth::Display;
use vettid_wire::authorisation::Wanted;
use vettid_wire::base64::Base64;
use vettid_wire::connection::ConnectionState;
use vettid_wire::contract::Retention;
use vettid_wire::data::batch::BatchField;
use vettid_wire::key::{KeyAlgorithm, TypedKey};
use vettid_wire::service_message::MessageKind;
use vettid_wire::stored::StoredPlace;
use vettid_wire::webauthn::Assertion;

macro_rules! operations {
    (of $client:ident: $($operation:literal => $call:expr,)+) => {
        /// Each operation with the text of its call.
        pub(crate) const OPERATIONS: &[(&str, &str)] = &[$(($operation, stringify!($call))),+];

        /// Makes the call of an operation.
        pub(crate) async fn call(operation: &str, $client: &GatewayClient) -> Result<Value, ClientError> {
            match operation {
                $($operation => Ok(json!($call)),)+
                other => panic!("{other} has no call"),
            }
        }
    };
}

operations! { of client:
    "health" => client.health().await?,
    "ready" => client.readiness().await?,
    "metrics" => client.metrics().await?,
    "openapi" => client.description().await?,
    "invite" => client.invite().await?,
    "list_connections" => client.connections(Some(ConnectionState::Active), &page()).await?,
    "get_connection" => client.connection(id()).await?,
    "end_connection" => client.end_connection(id()).await?,
    "list_values" => json!({"values": client.values(id()).await?}),
    "request_data" => client.request_data(id(), &data()).await?,
    "request_data_batch" => client.request_batch(id(), &batch()).await?,
    "request_login" => client.request_login(id(), &login()).await?,
    "send_message" => client.send_message(id(), &message()).await?,
    "list_requests" => client.requests(&filter(), &page()).await?,
    "get_request" => client.request(id(), 5).await?,
    "request_authorisation" => each_kind(async |wanted| client.request_authorisation(id(), &wanted).await).await?,
    "list_authorisations" => client.authorisations(id()).await?,
    "get_record" => serde_json::from_slice::<Value>(&client.record(id()).await?).unwrap(),
    "store_data" => client.store(id(), &store()).await?,
    "list_stored" => client.stored(id(), Some("receipts"), &page(), Some(5)).await?,
    "get_stored" => client.stored_value(id(), &place(), Some(5)).await?,
    "delete_stored" => client.delete_stored(id(), &place(), Some(5)).await?,
    "begin_login" => client.begin_login(&new_login()).await?,
    "prove_browser" => client.prove_browser(login_id(), &proof()).await?,
    "push_login" => client.push_login(login_id(), &push()).await?,
    "finish_login" => client.finish_login(login_id(), &finish()).await?,
    "list_contract_versions" => json!({"versions": client.contract_versions().await?}),
    "publish_contract_version" => client.publish_contract(&serde_json::from_str(CONTRACT).unwrap()).await?,
    "show_verification" => client.verification().await?,
    "claim_domain" => client.claim_domain(&"example.org".parse().unwrap()).await?,
    "list_keys" => json!({"keys": client.keys().await?}),
    "rotate_keys" => json!({"since": client.rotate_keys(true).await?}),
    "create_api_key" => client.create_api_key(&api_key()).await?,
    "list_api_keys" => client.api_keys(&page()).await?,
    "revoke_api_key" => client.revoke_api_key("key-1").await?,
    "add_webhook" => client.add_webhook(&webhook()).await?,
    "list_webhooks" => client.webhooks(&page()).await?,
    "get_webhook" => client.webhook(id()).await?,
    "remove_webhook" => client.remove_webhook(id()).await?,
    "renew_webhook_secret" => client.renew_webhook_secret(id()).await?,
    "test_webhook" => json!({"event_id": client.test_webhook(id()).await?}),
    "list_deliveries" => client.deliveries(id(), Some("waiting"), &page()).await?,
    "replay_webhook" => json!({"replayed": client.replay_webhook(id(), Some(id())).await?}),
}

/// An id of any kind that is a UUID.
fn id<T: std::str::FromStr<Err: std::fmt::Debug>>() -> T {
    ID.parse().unwrap()
}

fn login_id() -> vettid_wire::id::LoginId {
    RANDOM.parse().unwrap()
}

fn page() -> Page {
    Page { limit: Some(7), cursor: Some("cursor".to_owned()) }
}

fn display() -> Display {
    Display { browser: "Firefox".to_owned(), city: "Bern".to_owned(), ip_prefix: "192.0.2".to_owned() }
}

fn data() -> DataRequest {
    let (field, purpose) = ("address".to_owned(), "delivery".to_owned());
    DataRequest { field, purpose, retention: Some(Retention::TimeLimited { days: 7 }), wait_ms: Some(5) }
}

fn batch() -> BatchRequest {
    let field = BatchField { field: "address".to_owned(), retention: Some(Retention::Session) };
    BatchRequest { fields: vec![field], purpose: "delivery".to_owned(), wait_ms: Some(5) }
}

fn login() -> LoginRequest {
    LoginRequest {
        origin: "https://shop.example".to_owned(),
        session_hash: HASH.parse().unwrap(),
        display: display(),
        number: Some(42),
        wait_ms: Some(5),
    }
}

fn message() -> Message {
    let (subject, text) = ("Parcel".to_owned(), "It is here.".to_owned());
    Message { kind: MessageKind::Information, subject, text, expires_in_ms: Some(9), wait_ms: Some(5) }
}

fn filter() -> RequestFilter {
    let (kind, status) = (Some("data".to_owned()), Some("pending".to_owned()));
    RequestFilter { connection_id: Some(id()), kind, status }
}

/// Makes a call with each kind of what may be wanted; gives the last answer.
async fn each_kind(
    ask: impl AsyncFn(AuthorisationRequest) -> Result<Request, ClientError>,
) -> Result<Request, ClientError> {
    let hash = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let amount = json!({"value": "500.00", "currency": "EUR"});
    let payee = json!({"name": "Bob Smith", "account_masked": "DE•• 1234", "account_hash": hash});
    let kinds = [
        json!({"kind": "payment", "action": "transfer", "amount": amount, "payee": payee, "reference": "Rent"}),
        json!({"kind": "transaction", "action": "change of address", "reference": "17"}),
        json!({"kind": "consent", "purpose": "offers", "what": ["write"], "until": TIME}),
        json!({"kind": "document", "name": "a.pdf", "sha256": hash, "media_type": "application/pdf", "size_bytes": 9}),
        json!({"kind": "proof", "claims": ["age_over_18"], "purpose": "wine", "origin": "https://shop.example", "nonce": HASH}),
    ];
    let mut last = None;
    for kind in kinds {
        let wanted: Wanted = serde_json::from_value(kind).unwrap();
        last = Some(ask(AuthorisationRequest { wanted, expires_in_ms: Some(9), wait_ms: Some(5) }).await?);
    }
    Ok(last.unwrap())
}

fn place() -> StoredPlace {
    StoredPlace { category: "receipts".to_owned(), name: "order-7".to_owned() }
}

fn store() -> StoreData {
    let StoredPlace { category, name } = place();
    StoreData { category, name, value: json!({"total": "12.00"}), expires_at: TIME.parse().ok(), wait_ms: Some(5) }
}

fn new_login() -> NewLogin {
    let (origin, return_path) = ("https://shop.example".to_owned(), "/login/return".to_owned());
    NewLogin { origin, return_path, display: display() }
}

fn proof() -> BrowserProof {
    let part = || Base64::new([7; 37]);
    let assertion = Assertion { credential_id: part(), authenticator_data: part(), client_data_json: part() };
    let browser_key = TypedKey::new(KeyAlgorithm::WebAuthnP256, [4; 65]).unwrap();
    BrowserProof { verifier: HASH.to_owned(), browser_key, signature: part(), assertion: Some(assertion) }
}

fn push() -> PushLogin {
    PushLogin { verifier: HASH.to_owned(), connection_id: Some(id()) }
}

fn finish() -> FinishLogin {
    FinishLogin { verifier: HASH.to_owned(), code: HASH.parse().ok(), wait_ms: Some(5) }
}

fn api_key() -> NewApiKey {
    NewApiKey { name: "reader".to_owned(), scopes: vec!["data:read".to_owned()], calls_per_minute: Some(7) }
}

fn webhook() -> NewWebhook {
    NewWebhook {
        url: "https://shop.example/hook".to_owned(),
        events: vec!["request.answered".to_owned()],
        with_answers: true,
    }
}
