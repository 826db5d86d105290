//! The app's process: the real client over its real files. Only the broker and services are stood in for, and passwords
//! are cheap to derive. Time is virtual: it passes when nothing else happens.

use crate::frame::{Command, Ended, FromApp, Killer, Mail, Point, Side, ToApp, parent, receive, send};
use crate::vault::ENDPOINT;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use vettid_client::app::{App, Ports};
use vettid_client::clock::Clock;
use vettid_client::command::CommandError;
use vettid_client::enrolment::{EnrolmentError, Existing};
use vettid_client::intent::Outcome;
use vettid_client::random::SystemRandom;
use vettid_client::services::{ServicesAddress, ServicesApi, ServicesError};
use vettid_client::store::Place;
use vettid_client::store::disk::{DurableStep, Moment, Watch};
use vettid_client::store::file::{FileStore, open_content};
use vettid_client::transport::{Connection, Delivery, SignIn, Subscription, Transport, TransportError};
use vettid_client::vault_credential::{
    CredentialError, Derivation, Gained, NewSecret, NoPassword, PasswordSource, SecretValue,
};
use vettid_core::credential::holder::HolderState;
use vettid_core::credential::holder::slot::Slot;
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_crypto::at_rest::StorageKey;
use vettid_crypto::kdf::h256;
use vettid_crypto::nats::key::AccountKey;
use vettid_crypto::password::{
    DeviceSecret, InnerKey, OutOfMemory, Password, PasswordKeys, PasswordProof, PasswordSalt,
};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_crypto::utk::{self, PasswordPayload, ProofRequest};
use vettid_wire::base64::{self, Base64, Base64Url};
use vettid_wire::credential::{
    CreateCredential, FirstTerms, LatChallenge, LatReference, ReplenishKeys, RequestBinding, TransactionKey, UseRequest,
};
use vettid_wire::digest::Digest;
use vettid_wire::enrolment::{
    Authenticate, Authenticated, EnrolmentState, Finalized, NatsBootstrap, NatsBootstrapped, RenewBootstrap, Scan,
    Scanned,
};
use vettid_wire::event::{CredentialCreate, CredentialReplenish, CredentialUse};
use vettid_wire::id::{MemberId, OperationId, SecretId};
use vettid_wire::secret::{OpenGrant, Operation, SecretKind, UseSecret};
use vettid_wire::subject::{Pattern, Subject};
use vettid_wire::time::Timestamp;

const TRUST: &str = "-----BEGIN CERTIFICATE----- test";

#[derive(Clone)]
struct TestClock {
    start: tokio::time::Instant,
    base_ms: Arc<AtomicI64>,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let passed_ms = i64::try_from(self.start.elapsed().as_millis()).unwrap();
        Timestamp::from_unix_ms(self.base_ms.load(Ordering::Relaxed) + passed_ms)
    }
}

impl Watch for Killer {
    fn at(&self, step: DurableStep, moment: Moment) {
        let point = Point { side: Side::App, step: step.to_string(), after: moment == Moment::After };
        self.pass(point, FromApp::Passed);
    }
}

type Listeners = Arc<Mutex<Vec<(String, mpsc::UnboundedSender<Delivery>)>>>;

/// The way to the driver, who is the broker.
#[derive(Clone)]
struct Pipe {
    parent: Arc<UnixStream>,
    clock: TestClock,
    listeners: Listeners,
}

impl Transport for Pipe {
    type Connection = Pipe;

    async fn connect(&self, _: SignIn<'_>) -> Result<Pipe, TransportError> {
        Ok(Pipe { listeners: Listeners::default(), ..self.clone() })
    }
}

impl Connection for Pipe {
    type Subscription = Listener;

    async fn subscribe(&self, pattern: &Pattern) -> Result<Listener, TransportError> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.listeners.lock().unwrap().push((pattern.to_string(), sender));
        Ok(Listener(receiver))
    }

    async fn publish(&self, subject: &Subject, payload: &[u8]) -> Result<(), TransportError> {
        let text = String::from_utf8(payload.to_vec()).unwrap();
        let mail = Mail { subject: subject.to_string(), text };
        send(&self.parent, &FromApp::Publish { mail, now_ms: self.clock.now().unix_ms() }).unwrap();
        let Some(ToApp::Delivered(mails)) = receive(&self.parent) else { panic!("the driver is gone") };
        for Mail { subject, text } in mails {
            let delivery = Delivery { subject: subject.parse().unwrap(), payload: text.into_bytes() };
            let listeners = self.listeners.lock().unwrap();
            let listening = listeners.iter().filter(|(pattern, _)| *pattern == subject);
            listening.for_each(|(_, sender)| drop(sender.send(delivery.clone())));
        }
        Ok(())
    }

    async fn close(self) {}
}

struct Listener(mpsc::UnboundedReceiver<Delivery>);

impl Subscription for Listener {
    async fn next(&mut self) -> Result<Delivery, TransportError> {
        self.0.recv().await.ok_or_else(|| TransportError::Lost("cut".into()))
    }
}

/// Services that let everybody in.
struct Doorman(TestClock);

impl Doorman {
    fn bootstrapped(&self, nkey_pub: &str) -> NatsBootstrapped {
        let mut rng = SystemRandom::new().unwrap();
        let [account, signing] = [(); 2].map(|()| AccountKey::random(&mut rng).unwrap());
        let identity = MemberIdentity::AppBootstrap("phone-1".parse().unwrap());
        let user = nkey_pub.parse().unwrap();
        let minted = mint::member(&identity, &user, account.public(), &signing, self.0.now()).unwrap();
        NatsBootstrapped {
            guid: MemberId::from_bytes([1; 16]),
            nats_endpoint: ENDPOINT.into(),
            nats_jwt: minted.jwt.as_str().to_owned(),
            expires_at: minted.expires_at,
        }
    }
}

impl ServicesApi for Doorman {
    async fn scan(&self, _: ServicesAddress<'_>, _: &Scan) -> Result<Scanned, ServicesError> {
        Ok(Scanned { challenge: Base64Url::new([4; 32]) })
    }

    async fn authenticate(&self, _: ServicesAddress<'_>, _: &Authenticate) -> Result<Authenticated, ServicesError> {
        Ok(Authenticated { enrolment_token: "enrolment".into(), expires_at: self.0.now().plus_ms(600_000) })
    }

    async fn nats_bootstrap(
        &self,
        _: ServicesAddress<'_>,
        _: &SecretBytes,
        request: &NatsBootstrap,
    ) -> Result<NatsBootstrapped, ServicesError> {
        Ok(self.bootstrapped(&request.nkey_pub))
    }

    async fn finalize(&self, _: ServicesAddress<'_>, _: &SecretBytes) -> Result<Finalized, ServicesError> {
        Ok(Finalized { state: EnrolmentState::Completed })
    }

    async fn renew_bootstrap(
        &self,
        _: ServicesAddress<'_>,
        request: &RenewBootstrap,
    ) -> Result<NatsBootstrapped, ServicesError> {
        Ok(self.bootstrapped(&request.nkey_pub))
    }
}

struct TestPorts {
    store: FileStore<Killer>,
    clock: TestClock,
    services: Doorman,
    pipe: Pipe,
}

impl Ports for TestPorts {
    type Transport = Pipe;
    type Services = Doorman;
    type Store = FileStore<Killer>;
    type Clock = TestClock;

    fn transport(&self) -> &Pipe {
        &self.pipe
    }
    fn services(&self) -> &Doorman {
        &self.services
    }
    fn store(&self) -> &FileStore<Killer> {
        &self.store
    }
    fn clock(&self) -> &TestClock {
        &self.clock
    }
    fn random(&self) -> SystemRandom {
        SystemRandom::new().unwrap()
    }
}

/// Types a password, or has none. Its keys are cheap.
struct Typist(Option<String>);

impl PasswordSource for Typist {
    fn password(&mut self) -> Result<Password, NoPassword> {
        let typed = self.0.as_ref().ok_or_else(|| NoPassword::new("nobody is here"))?;
        Password::new(typed).map_err(NoPassword::new)
    }

    fn derivation(&self) -> Derivation {
        cheap_keys
    }
}

/// What stands for Argon2id: a thousand schedules with it would take hours.
fn cheap_keys(password: &Password, salt: &PasswordSalt, device: &DeviceSecret) -> Result<PasswordKeys, OutOfMemory> {
    let key = |part: &[u8]| {
        let all = [part, password.expose().as_bytes(), salt.as_bytes().as_slice(), device.expose()].concat();
        Secret32::from_bytes(h256(&all))
    };
    Ok(PasswordKeys { proof: PasswordProof::from_secret(key(b"proof")), inner: InnerKey::from_secret(key(b"inner")) })
}

fn typist(text: String) -> Typist {
    Typist(Some(text))
}

struct Phone {
    folder: PathBuf,
    parent: Arc<UnixStream>,
    killer: Killer,
    clock: TestClock,
}

/// Runs until the driver is gone.
pub(crate) fn run() {
    let parent = Arc::new(parent());
    let Some(ToApp::Start { folder, now_ms, kill }) = receive(&parent) else { panic!("no start") };
    let killer = Killer::new(parent.clone(), kill);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let clock = TestClock { start: tokio::time::Instant::now(), base_ms: Arc::new(AtomicI64::new(now_ms)) };
        let phone = Phone { folder: folder.into(), parent, killer, clock };
        while let Some(asked) = receive::<ToApp>(&phone.parent) {
            let (command, advance_ms) = match asked {
                ToApp::Run { command, advance_ms } => (command, advance_ms),
                ToApp::Aim(kill) => {
                    phone.killer.aim(kill);
                    continue;
                }
                other => panic!("not a command: {other:?}"),
            };
            phone.clock.base_ms.fetch_add(advance_ms, Ordering::Relaxed);
            let app = phone.app();
            let ended = phone.carry_out(&app, command).await;
            let settled = app.take_settled().into_iter();
            let told = settled.map(|told| (told.event_type.to_string(), told.outcome == Outcome::CarriedOut)).collect();
            let now_ms = phone.clock.now().unix_ms();
            send(&phone.parent, &FromApp::Ended { ended, told, now_ms }).unwrap();
        }
    });
}

impl Phone {
    fn app(&self) -> App<TestPorts> {
        let store = FileStore::watched(&self.folder, SystemRandom::new().unwrap(), self.killer.clone());
        let pipe = Pipe { parent: self.parent.clone(), clock: self.clock.clone(), listeners: Listeners::default() };
        let ports = TestPorts { store, clock: self.clock.clone(), services: Doorman(self.clock.clone()), pipe };
        App::new(ports, Some(TRUST.to_owned()))
    }

    async fn carry_out(&self, app: &App<TestPorts>, command: Command) -> Ended {
        match command {
            Command::Enrol { code } => match app.enrol(&code, Existing::Keep).await {
                Ok(_) | Err(EnrolmentError::AlreadyEnrolled) => Ended::Done(None),
                Err(error) => Ended::Failed(error.to_string()),
            },
            Command::State => ended(app.credential_state().await.map(|_| None)),
            Command::Replenish => by_hand(self.replenish(app).await),
            Command::Spoil => by_hand(self.spoil(app).await),
            Command::Thief { slot, password, below } => by_hand(self.steal(app, &slot, &password, below).await),
            command => ended(credential(app, command).await),
        }
    }

    fn opened(&self, path: &Path, place: Place) -> SecretBytes {
        let text = std::fs::read_to_string(self.folder.join("key")).unwrap();
        let key = Secret32::from_slice(&base64::decode(text.trim_end()).unwrap()).unwrap();
        open_content(&StorageKey::from_secret(key), place, &std::fs::read(path).unwrap()).unwrap().unwrap()
    }

    /// Transaction keys that the app holds and no operation reserved.
    fn keys(&self) -> Vec<TransactionKey> {
        let path = self.folder.join("credential");
        if !path.exists() {
            return vec![];
        }
        let bytes = self.opened(&path, Place::Credential);
        let kept: serde_json::Value = serde_json::from_slice(bytes.expose()).unwrap();
        serde_json::from_value::<HolderState>(kept["holder"].clone()).unwrap().keys
    }

    async fn replenish(&self, app: &App<TestPorts>) -> Result<String, CommandError> {
        let live_key_ids = self.keys().into_iter().map(|key| key.key_id).collect();
        app.command::<CredentialReplenish>(ReplenishKeys { live_key_ids }).await?;
        Ok("Replenished".into())
    }

    async fn spoil(&self, app: &App<TestPorts>) -> Result<String, CommandError> {
        let fresh = app.command::<CredentialReplenish>(ReplenishKeys { live_key_ids: vec![] }).await?;
        let asked = CreateCredential {
            op_id: OperationId::v7(self.clock.now(), [9; 10]),
            key_id: fresh.new_transaction_keys[0].key_id.clone(),
            encrypted_password_hash: Base64::new([8; 168]),
            terms: FirstTerms { password_salt: Base64::new([5; 16]), ttl_minutes: None },
        };
        app.command::<CredentialCreate>(asked).await.map(|made| format!("{:?}", made.status))
    }

    /// A use of the package in this file, with everything else that a thief could have: session, transaction key, password.
    async fn steal(
        &self,
        app: &App<TestPorts>,
        slot: &str,
        password: &str,
        below: u64,
    ) -> Result<String, CommandError> {
        let place = if slot.ends_with('a') { Place::SlotA } else { Place::SlotB };
        let slot = Slot::from_bytes(self.opened(Path::new(slot), place).expose()).unwrap();
        let (package, key) = (&slot.package, self.keys().pop().unwrap());
        let version = package.cek_version;
        if version >= below {
            return Ok(format!("{version} Skipped"));
        }
        let mut random = SystemRandom::new().unwrap();
        let mut nonce = [0; 32];
        rand_core::Rng::fill_bytes(&mut random, &mut nonce);
        let wanted = UseSecret { secret_id: SecretId::from_bytes([2; 16]), operation: Operation::Reveal, input: None };
        let token = &package.ledger_auth_token;
        let binding = RequestBinding {
            op_id: OperationId::v7(self.clock.now(), *nonce.first_chunk().unwrap()),
            action: "secret.use".into(),
            params: serde_json::to_value(&wanted).unwrap(),
            cek_version: package.cek_version,
            blob_hash: Digest::from_bytes(h256(package.encrypted_blob.as_bytes())),
            key_id: key.key_id.clone(),
            lat: LatReference { lat_id: token.lat_id.clone(), version: token.version },
        };
        let keys = cheap_keys(&Password::new(password).unwrap(), &slot.password.salt, &slot.password.device_secret);
        let PasswordKeys { proof, inner } = keys.unwrap();
        let payload = PasswordPayload { proof, inner: Some(inner) };
        let request = ProofRequest { guid: package.user_guid, binding: &binding };
        let sealed = utk::seal(&key, &request, &payload, &mut random).unwrap();
        let request = UseRequest {
            op_id: binding.op_id,
            action: binding.action,
            params: binding.params,
            encrypted_blob: package.encrypted_blob.clone(),
            ephemeral_public_key: package.ephemeral_public_key.clone(),
            cek_version: package.cek_version,
            key_id: key.key_id,
            encrypted_password_hash: Base64::new(sealed),
            lat: LatChallenge { lat_id: binding.lat.lat_id, version: token.version, client_nonce: Base64::new(nonce) },
            slots: vec![package.cek_version],
            journal_head: None,
        };
        match app.command::<CredentialUse>(request).await {
            Err(CommandError::Refused { code, .. }) => Ok(format!("{version} {code}")),
            result => result.map(|result| format!("{version} {:?}", result.status)),
        }
    }
}

async fn credential(app: &App<TestPorts>, command: Command) -> Result<Option<String>, CredentialError> {
    match command {
        Command::Create { password } => match app.create_credential(None, &mut typist(password)).await {
            Ok(_) | Err(CredentialError::Exists | CredentialError::EarlierDone { .. }) => Ok(None),
            Err(error) => Err(error),
        },
        Command::Add { label, value, password } => {
            let new = NewSecret { label, category: None, grant_minutes: None, value: note(&value) };
            app.add_secret(new, &mut typist(password)).await.map(|_| None)
        }
        Command::Reveal { label, password } => show(app, &label, typist(password)).await,
        Command::RevealGranted { label } => show(app, &label, Typist(None)).await,
        Command::Rotate { label, value, password } => {
            let secret_id = find(app, &label).await?;
            app.rotate_secret(secret_id, note(&value), &mut typist(password)).await.map(|_| None)
        }
        Command::Remove { label, password } => {
            let secret_id = find(app, &label).await?;
            app.remove_secret(secret_id, &mut typist(password)).await.map(|()| None)
        }
        Command::Grant { label, password } => {
            let secret_id = find(app, &label).await?;
            let wanted = OpenGrant { secret_id, operation: Operation::Reveal, uses: 2, minutes: 5 };
            app.open_grant(wanted, &mut typist(password)).await.map(|_| None)
        }
        Command::Change { present, new } => {
            app.change_password(&mut typist(present), &mut typist(new)).await.map(|()| None)
        }
        other => panic!("not of the credential: {other:?}"),
    }
}

fn note(text: &str) -> SecretValue {
    SecretValue::new(SecretKind::Note, None, SecretBytes::copied_from(text.as_bytes())).unwrap()
}

async fn find(app: &App<TestPorts>, label: &str) -> Result<SecretId, CredentialError> {
    let secrets = app.secrets().await?;
    Ok(secrets.iter().find(|secret| secret.label == label).unwrap_or_else(|| panic!("{label} is lost")).secret_id)
}

async fn show(app: &App<TestPorts>, label: &str, mut typist: Typist) -> Result<Option<String>, CredentialError> {
    let secret_id = find(app, label).await?;
    match app.use_secret(UseSecret { secret_id, operation: Operation::Reveal, input: None }, &mut typist).await? {
        Gained::Value(value) => Ok(Some(String::from_utf8(value.expose().to_vec()).unwrap())),
        Gained::Signature(_) => panic!("a signature"),
    }
}

fn ended(outcome: Result<Option<String>, CredentialError>) -> Ended {
    match outcome {
        Ok(value) => Ended::Done(value),
        Err(CredentialError::WrongPassword { .. }) => Ended::Wrong,
        Err(CredentialError::Wait { retry_after_ms }) => Ended::Wait(retry_after_ms.unwrap()),
        Err(CredentialError::Password(_)) => Ended::Asked,
        Err(CredentialError::Command(error)) => of_command(error),
        Err(error) => Ended::Failed(format!("{error:?}")),
    }
}

fn of_command(error: CommandError) -> Ended {
    match error {
        CommandError::NoAnswer { .. } => Ended::NoAnswer,
        CommandError::Refused { code, .. } => Ended::Refused(code.to_string()),
        error => Ended::Failed(format!("{error:?}")),
    }
}

fn by_hand(outcome: Result<String, CommandError>) -> Ended {
    outcome.map_or_else(of_command, Ended::Status)
}
