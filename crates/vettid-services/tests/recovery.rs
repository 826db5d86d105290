//! The Credential Backup Service as the app, a new device, the old device and a guesser meet it.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use vettid_core::action::Action;
use vettid_crypto::identity::SigningKey;
use vettid_crypto::recovery::{PhraseLength, RecoveryKeys, RecoveryPhrase, RecoverySalt};
use vettid_crypto::secret::Secret32;
use vettid_crypto::signature::{self, Context};
use vettid_nats::clock;
use vettid_services::vault::VaultView;
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::event::Nothing;
use vettid_wire::handshake::Invitation;
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::recovery::{
    AskRecoverySalt, CredentialBackupStatus, DecideRecovery, EnterVault, NoticeKind, RecoverCredentials,
    RecoveredCredentials, RecoveryCode, RecoverySaltAnswer, RecoveryStarted, StoreCredentialBackup, VaultEntrance,
};
use world::action::{Operation, unique};
use world::member::{App, Member};
use world::{Answer, World};

const REFUSED: (u16, &str) = (403, "recovery_refused");
const CONTENT: &[u8] = b"canary: the credentials of a member";

/// A member's phrase, with the keys for one salt.
struct Phrase(RecoveryKeys);

impl Phrase {
    fn fresh() -> Self {
        let rng = &mut rand::rng();
        let phrase = RecoveryPhrase::generate(rng, PhraseLength::Words12);
        Self(phrase.keys(&RecoverySalt::random(rng)).unwrap())
    }

    fn container(&self, sequence: u64) -> StoreCredentialBackup {
        let container = self.0.seal(sequence, CONTENT, &mut rand::rng()).unwrap();
        let verifier = Base64::new(*self.0.auth().verifier().expose());
        StoreCredentialBackup { sequence, container: Base64::new(container), verifier }
    }

    async fn store(&self, world: &World, guid: MemberId, key: &SigningKey, sequence: u64) -> Answer {
        Operation::new(guid, Action::StoreBackup, &self.container(sequence)).run(world, key).await
    }

    fn try_with(&self, token: &str, key: &SigningKey) -> RecoverCredentials {
        let unsigned = RecoverCredentials {
            token: token.to_owned(),
            proof: Base64::new(*self.0.auth().prove(token.as_bytes()).as_bytes()),
            app_key: key.verifying_key().typed(),
            key_id: key.key_id(),
            signature: Base64::default(),
        };
        let signature = signature::sign(Context::ServiceRequest, key, &unsigned).unwrap();
        RecoverCredentials { signature, ..unsigned }
    }
}

fn new_device() -> SigningKey {
    SigningKey::from_seed(&Secret32::from_bytes([77; 32]))
}

/// What services say to the wish to store a container.
async fn may_store(world: &World, phrase: &Phrase, guid: MemberId, key: &SigningKey) -> u16 {
    let store = Operation::new(guid, Action::StoreBackup, &phrase.container(2));
    world.post("/v1/actions", None, &store.request(key)).await.status
}

async fn code(world: &World, member: &Member) -> RecoveryCode {
    let started: RecoveryStarted =
        world.post("/v1/credentials/recover/start", Some(&member.portal_token), &Nothing {}).await.ok();
    let code = RecoveryCode::read(&started.qr).unwrap();
    assert_eq!(
        (code.guid, &*code.services_url, code.expires_at),
        (member.guid, world.services.url(), started.expires_at)
    );
    code
}

async fn recover(world: &World, attempt: &RecoverCredentials) -> Answer {
    world.post("/v1/credentials/recover", None, attempt).await
}

async fn view(world: &World, member: &Member) -> VaultView {
    world.get("/v1/vault/state", Some(&member.portal_token)).await.ok()
}

async fn told(world: &World, member: &Member) -> Vec<NoticeKind> {
    view(world, member).await.notices.into_iter().map(|notice| notice.what).collect()
}

fn approval(app: &App, guid: MemberId, recovery_id: EventId) -> DecideRecovery {
    let unsigned = DecideRecovery {
        guid,
        recovery_id,
        approve: true,
        app_key: app.key.verifying_key().typed(),
        issued_at: clock::now(),
        nonce: Base64Url::new(unique()),
        key_id: app.key.key_id(),
        signature: Base64::default(),
    };
    let signature = signature::sign(Context::ServiceRequest, &app.key, &unsigned).unwrap();
    DecideRecovery { signature, ..unsigned }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_kept_and_only_replaced_by_a_newer_one() {
    let world = World::start().await;
    let (_host, alice, app) = world.enrolled("alice").await;
    assert!(!view(&world, &alice).await.credential_backup.enabled);
    let phrase = Phrase::fresh();
    let first = Operation::new(alice.guid, Action::StoreBackup, &phrase.container(3));
    let stored: CredentialBackupStatus = first.run(&world, &app.key).await.ok();
    assert_eq!((stored.enabled, stored.sequence), (true, Some(3)));
    assert_eq!(first.run(&world, &app.key).await.status, 200, "the same again");
    assert_eq!(phrase.store(&world, alice.guid, &app.key, 3).await.refusal(), (409, "conflict"), "another one");
    assert_eq!(phrase.store(&world, alice.guid, &app.key, 2).await.refusal(), (409, "conflict"));
    assert_eq!(phrase.store(&world, alice.guid, &app.key, 4).await.status, 200);
    assert_eq!(told(&world, &alice).await, [NoticeKind::BackupEnabled], "the same phrase is told once");
    assert_eq!(Phrase::fresh().store(&world, alice.guid, &app.key, 5).await.status, 200);
    assert_eq!(told(&world, &alice).await.len(), 2, "another phrase is told");
    let asked: CredentialBackupStatus =
        world.get("/v1/credentials/backup/status", Some(&alice.portal_token)).await.ok();
    assert_eq!(asked.sequence, Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_container_is_refused() {
    let world = World::start().await;
    let (_host, alice, app) = world.enrolled("alice").await;
    let right = Phrase::fresh().container(3);
    let large = vec![0; 600 * 1024];
    let cases = [
        StoreCredentialBackup { sequence: 4, ..right.clone() },
        StoreCredentialBackup { verifier: Base64::new([1; 31]), ..right.clone() },
        StoreCredentialBackup { container: Base64::new([1; 200]), ..right.clone() },
        StoreCredentialBackup {
            container: Base64::new([right.container.as_bytes(), &large].concat()),
            ..right.clone()
        },
    ];
    for wrong in &cases {
        let answer = Operation::new(alice.guid, Action::StoreBackup, wrong).run(&world, &app.key).await;
        assert_eq!(answer.refusal(), (400, "invalid_request"), "{wrong:?}");
    }
    assert!(!view(&world, &alice).await.credential_backup.enabled);
}

#[tokio::test(flavor = "multi_thread")]
async fn phrase_portal_and_code_bring_the_container_back_and_a_way_into_the_vault() {
    let world = World::start().await;
    let (host, alice, app) = world.enrolled("alice").await;
    let echo = host.echo().await;
    let phrase = Phrase::fresh();
    assert_eq!(phrase.store(&world, alice.guid, &app.key, 1).await.status, 200);
    let bootstrapped = app.connected_again(&world, alice.guid).await.ok();
    let connection = app.open(&world, &bootstrapped).await.unwrap();
    let code = code(&world, &alice).await;
    let salt: RecoverySaltAnswer =
        world.post("/v1/credentials/recover/salt", None, &AskRecoverySalt { token: code.token.clone() }).await.ok();
    assert_eq!(salt.salt.as_bytes(), &phrase.container(1).container.as_bytes()[6..22]);
    let recovered: RecoveredCredentials = recover(&world, &phrase.try_with(&code.token, &new_device())).await.ok();
    assert_eq!(phrase.0.open(recovered.container.as_bytes()).unwrap().expose(), CONTENT);
    let hold_ms = recovered.hold_until.since_ms(clock::now());
    assert!((86_390_000..=86_400_000).contains(&hold_ms), "{hold_ms}");
    // The vault was asked for a way in for this key alone. What becomes of the old app there is the vault's matter; at services
    // it does nothing any more but look how the recovery stands.
    let invitation = Invitation::read(&recovered.enrolment.unwrap()).unwrap();
    assert_eq!(invitation.space.guid(), alice.guid);
    assert_eq!(host.commands().last().unwrap(), "vault.recover");
    assert!(app.open(&world, &bootstrapped).await.is_ok());
    assert_eq!(may_store(&world, &phrase, alice.guid, &app.key).await, 401);
    let status = Operation::new(alice.guid, Action::BackupStatus, &Nothing {});
    let looked: CredentialBackupStatus = status.run(&world, &app.key).await.ok();
    assert_eq!(looked.recovery.unwrap().recovery_id, recovered.recovery_id);
    drop(connection);
    let shown: CredentialBackupStatus = status.run(&world, &new_device()).await.ok();
    assert_eq!(shown.recovery.unwrap().recovery_id, recovered.recovery_id);
    use NoticeKind::{BackupEnabled, Recovered, RecoveryStarted, RecoveryTried};
    assert_eq!(told(&world, &alice).await, [Recovered, RecoveryTried, RecoveryStarted, BackupEnabled]);
    echo.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_before_does_not_act_after_a_recovery() {
    let world = World::start().await;
    let (_host, alice, app) = world.enrolled("alice").await;
    let phrase = Phrase::fresh();
    assert_eq!(phrase.store(&world, alice.guid, &app.key, 1).await.status, 200);
    let store = Operation::new(alice.guid, Action::StoreBackup, &phrase.container(2));
    let granted = store.grant(&world, &app.key).await;
    let token = code(&world, &alice).await.token;
    assert_eq!(recover(&world, &phrase.try_with(&token, &new_device())).await.status, 200);
    let proof = vettid_crypto::action_token::prove(&store.proof(&world, &granted), &app.key).unwrap();
    assert_eq!(store.act(&world, &granted.token, &proof).await.refusal(), (401, "unauthorized"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_recovery_holds_back_what_is_of_high_value() {
    let world = World::start().await;
    let (host, alice, app) = world.enrolled("alice").await;
    let (phrase, other) = (Phrase::fresh(), Phrase::fresh());
    assert_eq!(phrase.store(&world, alice.guid, &app.key, 1).await.status, 200);
    let token = code(&world, &alice).await.token;
    let recovered: RecoveredCredentials = recover(&world, &phrase.try_with(&token, &new_device())).await.ok();
    let device = new_device();
    assert_eq!(phrase.store(&world, alice.guid, &device, 2).await.status, 200, "under the same phrase");
    assert_eq!(other.store(&world, alice.guid, &device, 3).await.refusal(), (403, "on_hold"));
    let world = world.restart().await;
    let _host = host.reconnect(&world).await;
    assert_eq!(other.store(&world, alice.guid, &device, 3).await.refusal(), (403, "on_hold"), "over a restart");
    let right = approval(&app, alice.guid, recovered.recovery_id);
    let stranger = App { key: new_device(), ..app };
    for wrong in [
        DecideRecovery { signature: Base64::new([0; 64]), ..right.clone() },
        DecideRecovery { guid: MemberId::from_bytes([9; 16]), ..right.clone() },
        approval(&stranger, alice.guid, recovered.recovery_id),
    ] {
        assert_eq!(world.post("/v1/credentials/recover/decide", None, &wrong).await.refusal(), REFUSED);
    }
    assert_eq!(other.store(&world, alice.guid, &device, 3).await.refusal(), (403, "on_hold"));
    assert_eq!(world.post("/v1/credentials/recover/decide", None, &right).await.status, 200);
    assert_eq!(world.post("/v1/credentials/recover/decide", None, &right).await.refusal(), REFUSED, "once");
    assert_eq!(other.store(&world, alice.guid, &device, 3).await.status, 200);
    assert!(view(&world, &alice).await.credential_backup.recovery.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_recovery_gives_the_old_app_its_place_back() {
    let world = World::start().await;
    let (host, alice, app) = world.enrolled("alice").await;
    let phrase = Phrase::fresh();
    assert_eq!(phrase.store(&world, alice.guid, &app.key, 1).await.status, 200);
    let token = code(&world, &alice).await.token;
    let recovered: RecoveredCredentials = recover(&world, &phrase.try_with(&token, &new_device())).await.ok();
    let unsigned = DecideRecovery {
        approve: false,
        signature: Base64::default(),
        ..approval(&app, alice.guid, recovered.recovery_id)
    };
    let signature = signature::sign(Context::ServiceRequest, &app.key, &unsigned).unwrap();
    let denial = DecideRecovery { signature, ..unsigned };
    let approved = DecideRecovery { approve: true, ..denial.clone() };
    assert_eq!(world.post("/v1/credentials/recover/decide", None, &approved).await.refusal(), REFUSED);
    assert_eq!(world.post("/v1/credentials/recover/decide", None, &denial).await.status, 200);
    assert_eq!(host.commands().last().unwrap(), "vault.recovery.decide");
    assert_eq!(may_store(&world, &phrase, alice.guid, &new_device()).await, 401);
    assert_eq!(phrase.store(&world, alice.guid, &app.key, 2).await.status, 200);
    assert_eq!(told(&world, &alice).await[0], NoticeKind::RecoveryDenied);
    let again = recover(&world, &phrase.try_with(&token, &new_device())).await;
    assert_eq!(again.refusal(), REFUSED, "the code was used up");
}

fn entrance(key: &SigningKey, guid: MemberId, recovery_id: EventId) -> EnterVault {
    let unsigned = EnterVault {
        guid,
        recovery_id,
        app_key: key.verifying_key().typed(),
        issued_at: clock::now(),
        nonce: Base64Url::new(unique()),
        key_id: key.key_id(),
        signature: Base64::default(),
    };
    let signature = signature::sign(Context::ServiceRequest, key, &unsigned).unwrap();
    EnterVault { signature, ..unsigned }
}

async fn enter(world: &World, asked: &EnterVault) -> Answer {
    world.post("/v1/credentials/recover/enter", None, asked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_vault_costs_no_code_and_lets_the_device_in_later() {
    let world = World::start().await;
    let (host, alice, app) = world.enrolled("alice").await;
    let phrase = Phrase::fresh();
    assert_eq!(phrase.store(&world, alice.guid, &app.key, 1).await.status, 200);
    host.memory.lock().unwrap().is_locked = true;
    let token = code(&world, &alice).await.token;
    let recovered: RecoveredCredentials = recover(&world, &phrase.try_with(&token, &new_device())).await.ok();
    assert_eq!((recovered.vault_is_away, recovered.enrolment), (true, None));
    assert_eq!(phrase.0.open(recovered.container.as_bytes()).unwrap().expose(), CONTENT);
    // The device gets as far as the lock, and no further.
    let device = App { key: new_device(), ..app };
    assert_eq!(device.connected_again(&world, alice.guid).await.status, 200);
    let asked = entrance(&device.key, alice.guid, recovered.recovery_id);
    assert_eq!(enter(&world, &asked).await.refusal(), (423, "vault_away"));
    assert_eq!(enter(&world, &asked).await.refusal(), REFUSED, "repeated");
    let app = App { key: SigningKey::from_seed(&Secret32::from_bytes([7; 32])), ..device };
    let early = approval(&app, alice.guid, recovered.recovery_id);
    assert_eq!(world.post("/v1/credentials/recover/decide", None, &early).await.status, 423, "nobody to lift the hold");

    host.memory.lock().unwrap().is_locked = false;
    let wrong = [
        entrance(&app.key, alice.guid, recovered.recovery_id),
        entrance(&new_device(), alice.guid, EventId::from_bytes([9; 16])),
        EnterVault { signature: Base64::new([0; 64]), ..entrance(&new_device(), alice.guid, recovered.recovery_id) },
    ];
    for wrong in wrong {
        assert_eq!(enter(&world, &wrong).await.refusal(), REFUSED, "{wrong:?}");
    }
    for _ in 0..2 {
        let entered: VaultEntrance =
            enter(&world, &entrance(&new_device(), alice.guid, recovered.recovery_id)).await.ok();
        assert_eq!(Invitation::read(&entered.enrolment).unwrap().space.guid(), alice.guid);
    }
    let right = approval(&app, alice.guid, recovered.recovery_id);
    assert_eq!(world.post("/v1/credentials/recover/decide", None, &right).await.status, 200);
    assert_eq!(host.commands().last().unwrap(), "vault.recovery.decide");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_a_locked_vault_never_heard_of_is_denied_all_the_same() {
    let world = World::start().await;
    let (host, alice, app) = world.enrolled("alice").await;
    let phrase = Phrase::fresh();
    assert_eq!(phrase.store(&world, alice.guid, &app.key, 1).await.status, 200);
    host.memory.lock().unwrap().is_locked = true;
    let token = code(&world, &alice).await.token;
    let recovered: RecoveredCredentials = recover(&world, &phrase.try_with(&token, &new_device())).await.ok();
    let unsigned = DecideRecovery {
        approve: false,
        signature: Base64::default(),
        ..approval(&app, alice.guid, recovered.recovery_id)
    };
    let signature = signature::sign(Context::ServiceRequest, &app.key, &unsigned).unwrap();
    let denial = DecideRecovery { signature, ..unsigned };
    assert_eq!(world.post("/v1/credentials/recover/decide", None, &denial).await.status, 200);
    host.memory.lock().unwrap().is_locked = false;
    let late = entrance(&new_device(), alice.guid, recovered.recovery_id);
    assert_eq!(enter(&world, &late).await.refusal(), REFUSED);
    let device = App { key: new_device(), ..app };
    assert_eq!(device.connected_again(&world, alice.guid).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_two_recoveries_the_first_device_still_approves() {
    let world = World::start().await;
    let (_host, alice, app) = world.enrolled("alice").await;
    let phrase = Phrase::fresh();
    assert_eq!(phrase.store(&world, alice.guid, &app.key, 1).await.status, 200);
    let (lost, device) = (SigningKey::from_seed(&Secret32::from_bytes([78; 32])), new_device());
    let token = code(&world, &alice).await.token;
    let first: RecoveredCredentials = recover(&world, &phrase.try_with(&token, &lost)).await.ok();
    let token = code(&world, &alice).await.token;
    let second: RecoveredCredentials = recover(&world, &phrase.try_with(&token, &device)).await.ok();
    let earlier = approval(&app, alice.guid, first.recovery_id);
    assert_eq!(world.post("/v1/credentials/recover/decide", None, &earlier).await.refusal(), REFUSED);
    let between = App { key: lost, ..app };
    let right = approval(&between, alice.guid, second.recovery_id);
    assert_eq!(world.post("/v1/credentials/recover/decide", None, &right).await.refusal(), REFUSED);
    let app = App { key: SigningKey::from_seed(&Secret32::from_bytes([7; 32])), ..between };
    let right = approval(&app, alice.guid, second.recovery_id);
    assert_eq!(world.post("/v1/credentials/recover/decide", None, &right).await.status, 200);
    assert_eq!(Phrase::fresh().store(&world, alice.guid, &device, 2).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lacks_one_of_the_three_learns_nothing() {
    let world = World::start().await;
    let (_host, alice, app) = world.enrolled("alice").await;
    let bob = world.member("bob").await;
    let phrase = Phrase::fresh();
    assert_eq!(phrase.store(&world, alice.guid, &app.key, 1).await.status, 200);
    let dead = code(&world, &alice).await.token;
    let living = code(&world, &alice).await.token;
    let device = new_device();
    let other_proof =
        RecoverCredentials { proof: phrase.try_with("another", &device).proof, ..phrase.try_with(&living, &device) };
    let other_proof = {
        let unsigned = RecoverCredentials { signature: Base64::default(), ..other_proof };
        let signature = signature::sign(Context::ServiceRequest, &device, &unsigned).unwrap();
        RecoverCredentials { signature, ..unsigned }
    };
    let cases = [
        ("a code that a later one replaced", phrase.try_with(&dead, &device)),
        ("no such code", phrase.try_with(&"t".repeat(43), &device)),
        ("a proof for another code", other_proof),
        ("the code of before, now used up", phrase.try_with(&living, &device)),
        ("another phrase", Phrase::fresh().try_with(&code(&world, &alice).await.token, &device)),
        ("a member without a container", phrase.try_with(&code(&world, &bob).await.token, &device)),
    ];
    let expected = recover(&world, &cases[1].1).await;
    assert_eq!(expected.refusal(), REFUSED);
    for (case, attempt) in &cases {
        let answer = recover(&world, attempt).await;
        assert_eq!((answer.status, &answer.body), (expected.status, &expected.body), "{case}");
    }
    let salt = async |token: &str| -> RecoverySaltAnswer {
        world.post("/v1/credentials/recover/salt", None, &AskRecoverySalt { token: token.to_owned() }).await.ok()
    };
    assert_eq!(salt("nothing").await, salt("nothing").await);
    assert_ne!(salt("nothing").await, salt("something").await);
    assert_eq!(salt("nothing").await.salt.as_bytes().len(), 16);
    let again = app.connected_again(&world, alice.guid).await;
    assert_eq!(again.status, 200, "false tries cut nobody off");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_tries_pass_and_the_sixth_does_not_even_after_a_restart() {
    let mut world = World::start().await;
    let (_host, alice, app) = world.enrolled("alice").await;
    let (phrase, wrong) = (Phrase::fresh(), Phrase::fresh());
    assert_eq!(phrase.store(&world, alice.guid, &app.key, 1).await.status, 200);
    for number in 1..=5 {
        let token = code(&world, &alice).await.token;
        assert_eq!(recover(&world, &wrong.try_with(&token, &new_device())).await.refusal(), REFUSED, "{number}");
        world = world.restart().await;
    }
    let token = code(&world, &alice).await.token;
    let sixth = recover(&world, &phrase.try_with(&token, &new_device())).await;
    assert_eq!(sixth.refusal(), (429, "rate_limited"), "the right phrase is not looked at");
    let wait: u32 = sixth.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3_000..=3_600).contains(&wait), "{wait}");
    let told = told(&world, &alice).await;
    let count = |kind| told.iter().filter(|told| **told == kind).count();
    assert_eq!((count(NoticeKind::RecoveryTried), count(NoticeKind::RecoveryTooOften)), (5, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_tries_with_one_code_one_counts() {
    let world = World::start().await;
    let (_host, alice, app) = world.enrolled("alice").await;
    let phrase = Phrase::fresh();
    assert_eq!(phrase.store(&world, alice.guid, &app.key, 1).await.status, 200);
    let attempt = phrase.try_with(&code(&world, &alice).await.token, &new_device());
    let tries = futures_util::future::join_all((0..6).map(|_| recover(&world, &attempt))).await;
    let mut outcomes: Vec<_> = tries.iter().map(|answer| answer.status).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, [200, 403, 403, 403, 403, 403]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_phrase_lies_in_clear_in_the_ledger() {
    let world = World::start().await;
    let (_host, alice, app) = world.enrolled("alice").await;
    let phrase = Phrase::fresh();
    assert_eq!(phrase.store(&world, alice.guid, &app.key, 1).await.status, 200);
    let token = code(&world, &alice).await.token;
    let verifier = *phrase.0.auth().verifier().expose();
    let folder = world.config().data_dir;
    let World { services, folder: kept, .. } = world;
    services.stop().await.unwrap();
    for file in ["ledger.sqlite", "ledger.sqlite-wal"] {
        let bytes = std::fs::read(folder.join(file)).unwrap_or_default();
        for secret in [verifier.as_slice(), Base64::new(verifier).to_string().as_bytes(), token.as_bytes(), CONTENT] {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{file}");
        }
    }
    drop(kept);
}
