//! The operator's desk: takes registrations over HTTPS and puts the accounts into the broker, as services do.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, response::IntoResponse};
use axum_server::tls_rustls::RustlsConfig;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use vettid_core::grants::account::{HomeKind, MessageSpaceKeys, home_message_space};
use vettid_core::grants::role::MemberRole;
use vettid_core::grants::trust::SignedAccount;
use vettid_crypto::nats::key::{AccountPublic, OperatorKey};
use vettid_nats::clock;
use vettid_nats::provisioner::Provisioner;
use vettid_testkit::broker::TestServer;
use vettid_wire::enrolment::{RegisterService, ServiceRegistered};

const TOKEN: &str = "a-join-token-of-the-operator-0001";

pub(crate) struct Desk {
    address: std::net::SocketAddr,
    handle: axum_server::Handle<std::net::SocketAddr>,
    registrations: Arc<AtomicUsize>,
}

struct Inner {
    signing: OperatorKey,
    provisioner: Provisioner,
    nats_endpoint: String,
    registrations: Arc<AtomicUsize>,
}

impl Desk {
    /// Opens the desk; leaves its authority in `desk.pem` and a join token in `join.token`.
    pub(crate) async fn open(broker: &TestServer, folder: &Path) -> Self {
        let tls = certificates(&folder.join("desk.pem")).await;
        let token = folder.join("join.token");
        fs::write(&token, TOKEN).unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        let seed = broker.operator.signing.seed().unwrap();
        let registrations = Arc::new(AtomicUsize::new(0));
        let inner = Arc::new(Inner {
            signing: OperatorKey::from_seed(std::str::from_utf8(seed.expose()).unwrap()).unwrap(),
            provisioner: broker.provisioner().unwrap().clone(),
            nats_endpoint: broker.endpoint().unwrap().address,
            registrations: Arc::clone(&registrations),
        });
        let router = Router::new().route("/v1/services", post(register)).with_state(inner);
        let handle = axum_server::Handle::new();
        let server = axum_server::bind_rustls("127.0.0.1:0".parse().unwrap(), tls).handle(handle.clone());
        tokio::spawn(server.serve(router.into_make_service()));
        let address = handle.listening().await.unwrap();
        Self { address, handle, registrations }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Registrations that were taken.
    pub(crate) fn registrations(&self) -> usize {
        self.registrations.load(Ordering::SeqCst)
    }

    pub(crate) fn close(&self) {
        self.handle.shutdown();
    }
}

async fn register(
    State(desk): State<Arc<Inner>>,
    headers: HeaderMap,
    Json(request): Json<RegisterService>,
) -> impl IntoResponse {
    let shown = headers.get("authorization").and_then(|value| value.to_str().ok());
    if shown != Some(format!("Bearer {TOKEN}").as_str()) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let key = |text: &String| text.parse::<AccountPublic>().map_err(|_| StatusCode::BAD_REQUEST);
    let itself = key(&request.account_nkey)?;
    let connection = key(&request.connection_signing_nkey)?;
    let keys = MessageSpaceKeys { service: connection.clone(), connection, claim: key(&request.claim_signing_nkey)? };
    let home = key(&request.vault_signing_nkey)?;
    let mut claims = home_message_space(request.guid, HomeKind::Service, &itself, &keys, &home, 256 << 20);
    claims.signing_keys.retain(|scope| scope.role != MemberRole::Service.name());
    let account = SignedAccount::sign(&claims, &itself, clock::now(), &desk.signing).unwrap();
    desk.provisioner.push(&account).await.unwrap();
    desk.registrations.fetch_add(1, Ordering::SeqCst);
    Ok(Json(ServiceRegistered { nats_endpoint: desk.nats_endpoint.clone() }))
}

async fn certificates(authority_file: &Path) -> RustlsConfig {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    fs::write(authority_file, authority.pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    RustlsConfig::from_pem(certificate.pem().into_bytes(), key.serialize_pem().into_bytes()).await.unwrap()
}
