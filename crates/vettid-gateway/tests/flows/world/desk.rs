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
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use vettid_core::grants::account::{
    HomeKind, MessageSpaceKeys, home_message_space, keep_former_message_keys, keep_former_service,
};
use vettid_core::grants::role::MemberRole;
use vettid_core::grants::trust::SignedAccount;
use vettid_crypto::nats::key::{AccountPublic, OperatorKey};
use vettid_crypto::service_keys;
use vettid_nats::clock;
use vettid_nats::provisioner::Provisioner;
use vettid_testkit::broker::TestServer;
use vettid_wire::enrolment::{RegisterService, ServiceRegistered, SigningKeysRotated};
use vettid_wire::service_keys::{RotateServiceKeys, ServiceSigningNkeys};

const TOKEN: &str = "a-join-token-of-the-operator-0001";

pub(crate) struct Desk {
    address: std::net::SocketAddr,
    handle: axum_server::Handle<std::net::SocketAddr>,
    registrations: Arc<AtomicUsize>,
    rotations: Arc<AtomicUsize>,
    is_deaf: Arc<AtomicBool>,
}

struct Inner {
    /// The account of the service, and the keys that sign for it now.
    known: Mutex<Option<(RegisterService, ServiceSigningNkeys)>>,
    is_deaf: Arc<AtomicBool>,
    signing: OperatorKey,
    provisioner: Provisioner,
    nats_endpoint: String,
    registrations: Arc<AtomicUsize>,
    rotations: Arc<AtomicUsize>,
}

impl Desk {
    /// Opens the desk; leaves its authority in `desk.pem` and a join token in `join.token`.
    pub(crate) async fn open(broker: &TestServer, folder: &Path) -> Self {
        let tls = certificates(&folder.join("desk.pem")).await;
        let token = folder.join("join.token");
        fs::write(&token, TOKEN).unwrap();
        fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
        let seed = broker.operator.signing.seed().unwrap();
        let (registrations, rotations) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let is_deaf = Arc::new(AtomicBool::new(false));
        let inner = Arc::new(Inner {
            known: Mutex::default(),
            is_deaf: Arc::clone(&is_deaf),
            signing: OperatorKey::from_seed(std::str::from_utf8(seed.expose()).unwrap()).unwrap(),
            provisioner: broker.provisioner().unwrap().clone(),
            nats_endpoint: broker.endpoint().unwrap().address,
            registrations: Arc::clone(&registrations),
            rotations: Arc::clone(&rotations),
        });
        let router = Router::new()
            .route("/v1/services", post(register))
            .route("/v1/services/keys", post(rotate))
            .with_state(inner);
        let handle = axum_server::Handle::new();
        let server = axum_server::bind_rustls("127.0.0.1:0".parse().unwrap(), tls).handle(handle.clone());
        tokio::spawn(server.serve(router.into_make_service()));
        let address = handle.listening().await.unwrap();
        Self { address, handle, registrations, rotations, is_deaf }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Registrations that were taken.
    pub(crate) fn registrations(&self) -> usize {
        self.registrations.load(Ordering::SeqCst)
    }

    /// Changes of signing keys that were taken.
    pub(crate) fn rotations(&self) -> usize {
        self.rotations.load(Ordering::SeqCst)
    }

    /// Answers nothing about keys, or does again.
    pub(crate) fn is_deaf(&self, is_deaf: bool) {
        self.is_deaf.store(is_deaf, Ordering::SeqCst);
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
    let first = ServiceSigningNkeys {
        vault: request.vault_signing_nkey.clone(),
        connection: request.connection_signing_nkey.clone(),
        claim: request.claim_signing_nkey.clone(),
    };
    let current = desk.known.lock().unwrap().as_ref().map_or(first, |(_, keys)| keys.clone());
    desk.push(&request, &current, None).await?;
    *desk.known.lock().unwrap() = Some((request, current));
    desk.registrations.fetch_add(1, Ordering::SeqCst);
    Ok(Json(ServiceRegistered { nats_endpoint: desk.nats_endpoint.clone() }))
}

async fn rotate(
    State(desk): State<Arc<Inner>>,
    Json(request): Json<RotateServiceKeys>,
) -> Result<Json<SigningKeysRotated>, StatusCode> {
    if desk.is_deaf.load(Ordering::SeqCst) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let (registration, former) = desk.known.lock().unwrap().clone().ok_or(StatusCode::UNAUTHORIZED)?;
    service_keys::verify(&key(&registration.account_nkey)?, &request).map_err(|_| StatusCode::UNAUTHORIZED)?;
    let former = Some(former).filter(|former| request.keeps_former && *former != request.keys);
    desk.push(&registration, &request.keys, former.as_ref()).await?;
    *desk.known.lock().unwrap() = Some((registration, request.keys));
    desk.rotations.fetch_add(1, Ordering::SeqCst);
    Ok(Json(SigningKeysRotated { since: request.since, keeps_former: request.keeps_former }))
}

fn key(text: &str) -> Result<AccountPublic, StatusCode> {
    text.parse().map_err(|_| StatusCode::BAD_REQUEST)
}

fn message_keys(keys: &ServiceSigningNkeys) -> Result<MessageSpaceKeys, StatusCode> {
    let connection = key(&keys.connection)?;
    Ok(MessageSpaceKeys { service: connection.clone(), connection, claim: key(&keys.claim)? })
}

impl Inner {
    async fn push(
        &self,
        registration: &RegisterService,
        keys: &ServiceSigningNkeys,
        former: Option<&ServiceSigningNkeys>,
    ) -> Result<(), StatusCode> {
        let (itself, guid) = (key(&registration.account_nkey)?, registration.guid);
        let (message, home) = (message_keys(keys)?, key(&keys.vault)?);
        let mut claims = home_message_space(guid, HomeKind::Service, &itself, &message, &home, 256 << 20);
        if let Some(former) = former {
            keep_former_message_keys(&mut claims, guid, &message_keys(former)?);
            keep_former_service(&mut claims, guid, &key(&former.vault)?);
        }
        claims.signing_keys.retain(|scope| scope.role != MemberRole::Service.name());
        let account = SignedAccount::sign(&claims, &itself, clock::now(), &self.signing).unwrap();
        self.provisioner.push(&account).await.unwrap();
        Ok(())
    }
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
