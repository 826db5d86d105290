//! The Vault Services Credential as an app meets it: real holder, real issuer, real store, and a power cut between the two
//! transactions of a use.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use vettid_core::action::Action;
use vettid_core::credential::holder::record::Next;
use vettid_core::credential::holder::request::Wish;
use vettid_core::credential::holder::slot::{PasswordParts, Slot};
use vettid_core::credential::holder::{Holder, Received};
use vettid_core::credential::issuer::creation_binding;
use vettid_crypto::credential::InnerPlace;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::password::{DeviceSecret, InnerKey, PasswordProof, PasswordSalt};
use vettid_crypto::recovery::{PhraseLength, RecoveryKeys, RecoveryPhrase, RecoverySalt};
use vettid_crypto::secret::Secret32;
use vettid_crypto::signature::{self, Context};
use vettid_crypto::utk::{PasswordPayload, ProofRequest, seal};
use vettid_nats::clock;
use vettid_services::vault::VaultView;
use vettid_wire::base64::Base64;
use vettid_wire::credential::{
    ConfirmReply, CredentialStatus, LatAnswer, ReplenishKeys, UseRequest, UseResult, UseStatus,
};
use vettid_wire::id::MemberId;
use vettid_wire::recovery::{NoticeKind, RecoverCredentials, RecoveryCode, RecoveryStarted, StoreCredentialBackup};
use vettid_wire::services_credential::{
    CreateServicesCredential, OPEN_SECRETS, REMOVE_BACKUP, REPLACE_PHRASE, SealedSecrets, ServicesKeys, ServicesTerms,
};
use world::action::{Operation, operation};
use world::member::{App, Member};
use world::{Answer, World};

const REMOVE: &str = REMOVE_BACKUP;
const REFUSED: (u16, &str) = (403, "credential_refused");
const SECRETS: &[u8] = br#"{"vault_access_key":"canary"}"#;

fn payload(password: u8, inner: bool) -> PasswordPayload {
    PasswordPayload {
        proof: PasswordProof::from_secret(Secret32::from_bytes([password; 32])),
        inner: inner.then(|| inner_key(password)),
    }
}

fn inner_key(password: u8) -> InnerKey {
    InnerKey::from_secret(Secret32::from_bytes([password.wrapping_add(100); 32]))
}

fn parts(password: u8) -> PasswordParts {
    let device_secret = DeviceSecret::from_secret(Secret32::from_bytes([password; 32]));
    PasswordParts { salt: PasswordSalt::from_bytes([password; 16]), device_secret, made_at: None }
}

/// A member whose app holds a credential of services, under password 1.
struct Alice {
    member: Member,
    app: App,
    holder: Holder,
}

impl Alice {
    async fn ready(world: &World) -> Self {
        let (_host, member, app) = world.enrolled("alice").await;
        let holder = keys(world, member.guid, &app).await;
        let mut alice = Self { member, app, holder };
        let created = alice.create(world, false).await;
        alice.take(&created.ok());
        alice.confirm(world).await;
        alice
    }

    async fn act(&self, world: &World, action: Action, body: &impl serde::Serialize) -> Answer {
        Operation::new(self.member.guid, action, body).run(world, &self.app.key).await
    }

    async fn create(&mut self, world: &World, inner: bool) -> Answer {
        let op_id = operation();
        let key = self.holder.unused_keys(clock::now()).next().unwrap().clone();
        let (guid, issuer) = (self.member.guid, self.holder.state().issuer);
        let place = InnerPlace { guid, issuer, inner_seq: 1 };
        let terms = ServicesTerms {
            password_salt: Base64::new(*parts(1).salt.as_bytes()),
            secrets: Base64::new(place.seal(&inner_key(1), SECRETS, &mut rand::rng())),
        };
        let binding = creation_binding(op_id, serde_json::to_value(&terms).unwrap(), key.key_id.clone());
        let proof = ProofRequest { guid, binding: &binding };
        let sealed = seal(&key, &proof, &payload(1, inner), &mut rand::rng()).unwrap();
        let encrypted_password_hash = Base64::new(sealed);
        let request = CreateServicesCredential { op_id, key_id: key.key_id.clone(), encrypted_password_hash, terms };
        let body = serde_json::to_vec(&request).unwrap();
        if !inner {
            self.holder.prepare_creation(&binding, body.clone(), parts(1)).unwrap();
        }
        let asked = Operation { guid, action: Action::CreateCredential, op_id, body };
        let answer = asked.run(world, &self.app.key).await;
        let again = asked.run(world, &self.app.key).await;
        if answer.status == 200 {
            assert_eq!(again.body, answer.body, "a repeat gets the same answer");
        }
        answer
    }

    /// Services prove themselves, then the password is typed; the request as it is sent.
    async fn ask(&mut self, world: &World, action: &str, password: u8) -> UseRequest {
        self.ask_with(world, action, password, json!({})).await
    }

    async fn ask_with(&mut self, world: &World, action: &str, password: u8, params: Value) -> UseRequest {
        let endpoint = Action::UseCredential.endpoint();
        let challenge = self.holder.challenge(clock::now(), &mut rand::rng(), action, endpoint).unwrap();
        let answer: LatAnswer = self.act(world, Action::Challenge, &challenge.request).await.ok();
        assert!(self.holder.verify("https://elsewhere.test", challenge, &answer).is_err(), "a relay shows");
        let challenge = self.holder.challenge(clock::now(), &mut rand::rng(), action, endpoint).unwrap();
        let answer: LatAnswer = self.act(world, Action::Challenge, &challenge.request).await.ok();
        let proven = self.holder.verify(world.services.url(), challenge, &answer).unwrap();
        let wish = Wish {
            op_id: operation(),
            params,
            payload: payload(password, false),
            next_password: None,
            journal_head: None,
        };
        self.holder.prepare(&mut rand::rng(), proven, wish).unwrap();
        serde_json::from_slice(self.holder.request().unwrap()).unwrap()
    }

    async fn send(&self, world: &World, request: &UseRequest) -> Answer {
        let body = serde_json::to_vec(request).unwrap();
        let asked = Operation { guid: self.member.guid, action: Action::UseCredential, op_id: request.op_id, body };
        asked.run(world, &self.app.key).await
    }

    /// One use, and what the app makes of the answer.
    async fn once(&mut self, world: &World, action: &str, password: u8) -> (UseStatus, Option<Value>) {
        self.once_with(world, action, password, json!({})).await
    }

    async fn once_with(
        &mut self,
        world: &World,
        action: &str,
        password: u8,
        params: Value,
    ) -> (UseStatus, Option<Value>) {
        let request = self.ask_with(world, action, password, params).await;
        let answer = self.send(world, &request).await;
        let result: UseResult = answer.ok();
        let (status, action_result) = (result.status, result.action_result.clone());
        self.receive(result);
        self.confirm(world).await;
        (status, action_result)
    }

    fn take(&mut self, answer: &Value) {
        self.receive(serde_json::from_value(answer.clone()).unwrap());
    }

    fn receive(&mut self, result: UseResult) {
        if let Received::Write { write, .. } = self.holder.receive(result).unwrap() {
            assert!(Slot::from_bytes(write.slot.to_bytes().unwrap().expose()).is_some());
            self.holder.stored(*write);
        }
    }

    async fn confirm(&mut self, world: &World) {
        let Next::Confirm(confirm) = self.holder.next() else { return };
        let body = serde_json::to_vec(&confirm).unwrap();
        let op_id = confirm.op_id;
        let asked = Operation { guid: self.member.guid, action: Action::ConfirmCredential, op_id, body };
        let ConfirmReply::Confirmed(confirmed) = asked.run(world, &self.app.key).await.ok() else {
            panic!("not confirmed")
        };
        if let Some(slot) = self.holder.confirmed(&confirmed) {
            self.holder.freed(slot);
        }
    }

    async fn view(&self, world: &World) -> VaultView {
        world.get("/v1/vault/state", Some(&self.member.portal_token)).await.ok()
    }

    async fn told(&self, world: &World, what: NoticeKind) -> usize {
        self.view(world).await.notices.iter().filter(|notice| notice.what == what).count()
    }

    async fn store_backup(&self, world: &World) -> RecoveryKeys {
        let keys = phrase();
        assert_eq!(self.act(world, Action::StoreBackup, &container(1, &keys)).await.status, 200);
        keys
    }

    async fn status(&self, world: &World) -> CredentialStatus {
        self.act(world, Action::CredentialStatus, &json!({})).await.ok()
    }
}

fn phrase() -> RecoveryKeys {
    let rng = &mut rand::rng();
    RecoveryPhrase::generate(rng, PhraseLength::Words12).keys(&RecoverySalt::random(rng)).unwrap()
}

fn container(sequence: u64, keys: &RecoveryKeys) -> StoreCredentialBackup {
    let container = Base64::new(keys.seal(sequence, b"content", &mut rand::rng()).unwrap());
    StoreCredentialBackup { sequence, container, verifier: Base64::new(*keys.auth().verifier().expose()) }
}

/// An app with its first transaction keys.
async fn keys(world: &World, guid: MemberId, app: &App) -> Holder {
    let asked = Operation::new(guid, Action::ReplenishKeys, &ReplenishKeys { live_key_ids: Vec::new() });
    let keys: ServicesKeys = asked.run(world, &app.key).await.ok();
    assert_eq!((keys.new_transaction_keys.len(), keys.live_key_ids.len()), (20, 20));
    Holder::new(guid, keys.issuer, keys.new_transaction_keys)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guarded_action_runs_once_for_the_right_password() {
    let world = World::start().await;
    let mut alice = Alice::ready(&world).await;
    alice.store_backup(&world).await;
    let request = alice.ask(&world, REMOVE, 1).await;
    let first = alice.send(&world, &request).await;
    assert_eq!(
        (&first.body["status"], &first.body["action_result"]),
        (&"done".into(), &json!({ "status": "success", "value": { "removed": true } }))
    );
    assert!(!alice.view(&world).await.credential_backup.enabled);
    let world = world.restart().await;
    let again = alice.send(&world, &request).await;
    assert_eq!((again.status, &again.body), (200, &first.body), "the same answer, over a restart");
    assert_eq!(alice.told(&world, NoticeKind::BackupRemoved).await, 1);
    alice.take(&first.body);
    alice.confirm(&world).await;
    assert_eq!(alice.once(&world, REMOVE, 1).await.0, UseStatus::Done, "the next version works");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_never_take_the_key_of_the_inner_layer() {
    let world = World::start().await;
    let (_host, member, app) = world.enrolled("alice").await;
    let holder = keys(&world, member.guid, &app).await;
    let mut alice = Alice { member, app, holder };
    assert_eq!(alice.create(&world, true).await.refusal(), REFUSED);
    let second = world.member("bob").await;
    assert!(alice.view(&world).await.notices.is_empty() && second.guid != alice.member.guid);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_gets_its_inner_layer_back_for_the_right_password_only() {
    let world = World::start().await;
    let mut alice = Alice::ready(&world).await;
    let (status, nothing) = alice.once(&world, OPEN_SECRETS, 2).await;
    assert_eq!((status, nothing), (UseStatus::WrongPassword, None));
    let (_, sealed) = alice.once(&world, OPEN_SECRETS, 1).await;
    let sealed: SealedSecrets = serde_json::from_value(sealed.unwrap()["value"].take()).unwrap();
    let place =
        InnerPlace { guid: alice.member.guid, issuer: alice.holder.state().issuer, inner_seq: sealed.inner_seq };
    assert_eq!(place.open(&inner_key(1), sealed.secrets.as_bytes()).unwrap().expose(), SECRETS);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_phrase_needs_the_password() {
    let world = World::start().await;
    let mut alice = Alice::ready(&world).await;
    let (first, second, third) = (alice.store_backup(&world).await, phrase(), phrase());
    assert_eq!(alice.act(&world, Action::StoreBackup, &container(2, &second)).await.refusal(), REFUSED);
    let allowed = json!({ "verifier": container(2, &second).verifier });
    assert_eq!(
        alice.once_with(&world, REPLACE_PHRASE, 2, allowed.clone()).await.0,
        UseStatus::WrongPassword,
        "a guess allows nothing"
    );
    assert_eq!(alice.act(&world, Action::StoreBackup, &container(2, &second)).await.refusal(), REFUSED);
    let (_, told) = alice.once_with(&world, REPLACE_PHRASE, 1, allowed).await;
    assert_eq!(told.unwrap()["value"], json!({ "allowed": true }));
    assert_eq!(alice.act(&world, Action::StoreBackup, &container(2, &third)).await.refusal(), REFUSED);
    assert_eq!(
        alice.act(&world, Action::StoreBackup, &container(2, &first)).await.status,
        200,
        "the same phrase as ever"
    );
    let world = world.restart().await;
    assert_eq!(alice.act(&world, Action::StoreBackup, &container(3, &second)).await.status, 200);
    assert_eq!(
        alice.act(&world, Action::StoreBackup, &container(4, &first)).await.refusal(),
        REFUSED,
        "not back again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_cannot_be_done_says_so_and_the_version_moves_on() {
    let world = World::start().await;
    let mut alice = Alice::ready(&world).await;
    let before = alice.status(&world).await;
    let (status, told) = alice.once_with(&world, "credential.password.change", 1, json!({ "hash": "none" })).await;
    assert_eq!((status, &told.unwrap()["status"]), (UseStatus::Done, &json!("refused")));
    let after = alice.status(&world).await;
    assert_eq!((after.cek_version, after.attempts_total), (before.cek_version + 1, 1));
    assert!(after.exists && !after.locked && after.attempts == 0);
    assert_eq!(alice.once(&world, OPEN_SECRETS, 1).await.0, UseStatus::Done, "the password is the former one");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_credential_for_each_member() {
    let world = World::start().await;
    let mut alice = Alice::ready(&world).await;
    alice.holder = keys_again(&world, &alice).await;
    assert_eq!(alice.create(&world, false).await.refusal(), (409, "conflict"));
}

/// A second set of keys, as an app without a credential would have.
async fn keys_again(world: &World, alice: &Alice) -> Holder {
    let asked = ReplenishKeys { live_key_ids: Vec::new() };
    let keys: ServicesKeys = alice.act(world, Action::ReplenishKeys, &asked).await.ok();
    Holder::new(alice.member.guid, keys.issuer, keys.new_transaction_keys)
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_wait_also_after_a_restart() {
    let world = World::start().await;
    let mut alice = Alice::ready(&world).await;
    alice.store_backup(&world).await;
    for number in 1..=4 {
        assert_eq!(alice.once(&world, REMOVE, 2).await.0, UseStatus::WrongPassword, "{number}");
    }
    let world = world.restart().await;
    let request = alice.ask(&world, REMOVE, 1).await;
    let waiting: UseResult = alice.send(&world, &request).await.ok();
    assert_eq!(waiting.status, UseStatus::Wait, "the right password is not looked at");
    let retry_after_ms = waiting.retry_after_ms.unwrap();
    assert!((30_000..=60_000).contains(&retry_after_ms), "{retry_after_ms}");
    assert_eq!(waiting.attempts_total, 4);
    assert!(alice.view(&world).await.credential_backup.enabled);
    assert_eq!(alice.told(&world, NoticeKind::WrongPassword).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_between_the_two_transactions_costs_one_attempt_and_runs_once() {
    let world = World::start().await;
    let mut alice = Alice::ready(&world).await;
    alice.store_backup(&world).await;
    let request = alice.ask(&world, REMOVE, 1).await;
    let lost = alice.send(&world, &request).await;
    assert_eq!(lost.body["status"], "done");
    let world = cut_before_the_last_transaction(world).await;
    assert!(alice.view(&world).await.credential_backup.enabled, "the second transaction is gone with its effect");
    // Another guess under the same operation gets nothing; the same bytes are carried out, and not counted again.
    let other = UseRequest { encrypted_password_hash: Base64::new([9; 136]), ..request.clone() };
    assert_eq!(alice.send(&world, &other).await.refusal(), (409, "conflict"));
    let result: UseResult = alice.send(&world, &request).await.ok();
    assert_eq!((result.status, result.attempts_total), (UseStatus::Done, 1));
    assert!(!alice.view(&world).await.credential_backup.enabled);
    assert_eq!(alice.told(&world, NoticeKind::BackupRemoved).await, 1);
    alice.receive(result);
    alice.confirm(&world).await;
    assert_eq!(alice.once(&world, REMOVE, 1).await.0, UseStatus::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_gives_no_guess_back() {
    let world = World::start().await;
    let mut alice = Alice::ready(&world).await;
    let request = alice.ask(&world, REMOVE, 2).await;
    assert_eq!(alice.send(&world, &request).await.body["status"], "wrong_password");
    let world = cut_before_the_last_transaction(world).await;
    let result: UseResult = alice.send(&world, &request).await.ok();
    assert_eq!((result.status, result.attempts_total), (UseStatus::WrongPassword, 1), "counted before it was compared");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_recovery_holds_guarded_actions_back() {
    let world = World::start().await;
    let mut alice = Alice::ready(&world).await;
    let phrase = alice.store_backup(&world).await;
    let started: RecoveryStarted =
        world.post("/v1/credentials/recover/start", Some(&alice.member.portal_token), &json!({})).await.ok();
    let token = RecoveryCode::read(&started.qr).unwrap().token;
    let device = SigningKey::from_seed(&Secret32::from_bytes([77; 32]));
    let mut request = RecoverCredentials {
        proof: Base64::new(*phrase.auth().prove(token.as_bytes()).as_bytes()),
        token,
        app_key: device.verifying_key().typed(),
        key_id: device.key_id(),
        signature: Base64::default(),
    };
    request.signature = signature::sign(Context::ServiceRequest, &device, &request).unwrap();
    assert_eq!(world.post("/v1/credentials/recover", None, &request).await.status, 200);
    alice.app.key = device;
    let guarded = alice.ask(&world, REMOVE, 1).await;
    assert_eq!(alice.send(&world, &guarded).await.refusal(), (403, "on_hold"));
    assert!(alice.view(&world).await.credential_backup.enabled);
}

/// Stops services and brings the ledger back to what was on the disk before its last transaction, as its write-ahead log
/// shows; then starts them again.
async fn cut_before_the_last_transaction(world: World) -> World {
    let ledger = world.config().data_dir.join("ledger.sqlite");
    let (database, log) = (fs::read(&ledger).unwrap(), fs::read(with(&ledger, "-wal")).unwrap());
    let log = without_last_transaction(&log);
    world
        .restart_after(|| {
            fs::write(&ledger, database).unwrap();
            fs::write(with(&ledger, "-wal"), log).unwrap();
        })
        .await
}

fn with(path: &Path, ending: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The log up to the commit before the last one: 32 bytes of head with two salts, then frames of 24 bytes and a page. A frame
/// with a size in its second word ends a transaction.
fn without_last_transaction(log: &[u8]) -> Vec<u8> {
    let word = |at: usize| u32::from_be_bytes(log[at..at + 4].try_into().unwrap());
    let frame_bytes = 24 + usize::try_from(word(8)).unwrap();
    assert_eq!(word(12), 0, "nothing was moved from the log to the database yet");
    let frames = (32..log.len()).step_by(frame_bytes);
    let living = frames.take_while(|at| at + frame_bytes <= log.len() && log[at + 8..at + 16] == log[16..24]);
    let mut ends: Vec<_> = living.filter(|at| word(at + 4) != 0).map(|at| at + frame_bytes).collect();
    ends.pop().unwrap();
    log[..*ends.last().unwrap()].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_raises_an_alarm_and_gets_nothing() {
    let world = World::start().await;
    let mut alice = Alice::ready(&world).await;
    let old = alice.ask(&world, REMOVE, 1).await;
    let result: UseResult = alice.send(&world, &old).await.ok();
    alice.receive(result);
    alice.confirm(&world).await;
    let copied = UseRequest { op_id: operation(), ..old };
    let stale: UseResult = alice.send(&world, &copied).await.ok();
    assert_eq!(stale.status, UseStatus::StaleCredential);
    assert!(stale.credential_package.is_none());
    assert_eq!(alice.told(&world, NoticeKind::CredentialAlarm).await, 1);
    assert_eq!(alice.once(&world, REMOVE, 1).await.0, UseStatus::Done, "the member is not locked out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_for_its_holder_and_its_policy() {
    let world = World::start().await;
    let mut alice = Alice::ready(&world).await;
    let right = alice.ask(&world, REMOVE, 1).await;
    let other_blob = UseRequest { encrypted_blob: Base64::new([1; 200]), op_id: operation(), ..right.clone() };
    assert_eq!(alice.send(&world, &other_blob).await.refusal(), REFUSED);
    let unnamed = UseRequest { action: "vault.destroy".into(), op_id: operation(), ..right.clone() };
    assert_eq!(alice.send(&world, &unnamed).await.refusal(), REFUSED);
    let (_host, bob, app) = world.enrolled("bob").await;
    let holder = keys(&world, bob.guid, &app).await;
    let bob = Alice { member: bob, app, holder };
    assert_eq!(bob.send(&world, &right).await.refusal(), REFUSED, "a member without a credential");
    let body = serde_json::to_vec(&right).unwrap();
    let mixed = Operation { guid: alice.member.guid, action: Action::UseCredential, op_id: operation(), body };
    assert_eq!(
        mixed.run(&world, &alice.app.key).await.refusal(),
        (400, "invalid_request"),
        "another operation's token"
    );
    let result: UseResult = alice.send(&world, &right).await.ok();
    assert_eq!((result.status, result.attempts_total), (UseStatus::Done, 1), "none of this was counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_lies_in_clear_in_the_ledger() {
    let world = World::start().await;
    let alice = Alice::ready(&world).await;
    let token = alice.holder.newest().unwrap().package.ledger_auth_token.token.expose().to_vec();
    let folder = world.config().data_dir;
    let World { services, folder: kept, .. } = world;
    services.stop().await.unwrap();
    let bytes = fs::read(folder.join("ledger.sqlite")).unwrap();
    assert!(bytes.windows(14).any(|window| window == b"CREATE TRIGGER"), "the file is read as it is");
    let coded = Base64::new(token.clone()).to_string();
    for secret in [&token, coded.as_bytes(), b"argon2id", b"canary", b"ledger_keys"] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
    drop(kept);
}
