//! What every ledger does. A back end joins by calling [`conforms`] with a way to make a fresh one.

use rand::SeedableRng;
use rand::rngs::StdRng;
use std::any::Any;
use std::sync::Arc;
use vettid_core::enrolment::{BearerToken, Enrolment, Proof, Stage};
use vettid_store::account::Account;
use vettid_store::audit::{Act, Actor, AuditEntry};
use vettid_store::host::Host;
use vettid_store::ledger::{Counter, Ledger, LedgerError, Versioned};
use vettid_store::revocation::Revocation;
use vettid_store::service::Service;
use vettid_store::vault::{VaultKeys, VaultState};
use vettid_wire::control::Target;
use vettid_wire::digest::Digest;
use vettid_wire::enrolment::{RegisterService, RotateSigningKeys, SigningNkeys, VaultDeployed};
use vettid_wire::id::{EventId, HostId, MemberId};
use vettid_wire::key::{KeyAlgorithm, TypedKey};
use vettid_wire::service_keys::{RotateServiceKeys, ServiceSigningNkeys};
use vettid_wire::time::Timestamp;

mod credential;
mod listing;
mod recovery;
mod verification;

/// A ledger with nothing in it, and what must live as long as it does.
pub(crate) struct Fresh {
    /// The ledger.
    pub(crate) ledger: Box<dyn Ledger>,
    /// Its folder or server.
    #[expect(dead_code, reason = "held until the ledger is dropped")]
    pub(crate) keep: Box<dyn Any>,
}

/// Runs the whole suite, each case on a fresh ledger.
pub(crate) async fn conforms(fresh: impl AsyncFn() -> Fresh) {
    accounts(&*fresh().await.ledger).await;
    vaults_go_to_the_least_loaded_host(&*fresh().await.ledger).await;
    keys_are_recorded_once(&*fresh().await.ledger).await;
    keys_belong_to_one_space(&*fresh().await.ledger).await;
    signing_keys_change_forward_only(&*fresh().await.ledger).await;
    an_enrolment_goes_its_way(&*fresh().await.ledger).await;
    a_later_code_closes_earlier_ones(&*fresh().await.ledger).await;
    one_of_two_changes_wins(&*fresh().await.ledger).await;
    hosts(&*fresh().await.ledger).await;
    services(&*fresh().await.ledger).await;
    verification::verifications(&*fresh().await.ledger).await;
    listing::listings(&*fresh().await.ledger).await;
    revocations(&*fresh().await.ledger).await;
    numbers_are_given_out_once(Arc::from(fresh().await.ledger)).await;
    the_log_is_read_in_order(&*fresh().await.ledger).await;
    recovery::a_token_is_spent_once(&*fresh().await.ledger).await;
    recovery::an_act_that_is_refused_spends_nothing(&*fresh().await.ledger).await;
    recovery::tries_are_counted_before_they_are_looked_at(&*fresh().await.ledger).await;
    recovery::a_recovery_takes_the_place_of_the_app(&*fresh().await.ledger).await;
    recovery::a_recovery_that_was_denied_gives_the_app_its_place_back(&*fresh().await.ledger).await;
    recovery::a_device_that_recovered_gets_another_way_in(&*fresh().await.ledger).await;
    credential::changes_name_their_revision(&*fresh().await.ledger).await;
    credential::a_change_is_whole_or_not_there(&*fresh().await.ledger).await;
    recovery::notices_are_read_in_both_orders(&*fresh().await.ledger).await;
}

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_800_000_000_000 + ms)
}

fn member(number: u8) -> MemberId {
    MemberId::v7(at(0), [number; 10])
}

fn session(number: u8) -> EventId {
    EventId::v7(at(i64::from(number)), [number; 10])
}

pub(crate) fn account(number: u8, name: &str) -> Account {
    Account {
        guid: member(number),
        name: name.parse().unwrap(),
        portal_token_hash: Digest::from_bytes([number; 32]),
        created_at: at(0),
    }
}

pub(crate) fn entry(act: Act) -> AuditEntry {
    AuditEntry { at: at(0), actor: Actor::Services, act }
}

fn audit() -> AuditEntry {
    entry(Act::VaultAssigned(member(0)))
}

fn host(name: &str, keys: [&str; 2], expires_at: Timestamp) -> Host {
    let [subscriber_nkey, publisher_nkey] = keys.map(str::to_owned);
    Host { host_id: name.parse().unwrap(), subscriber_nkey, publisher_nkey, expires_at, last_seen: at(0) }
}

fn keys(number: u8) -> VaultKeys {
    let nkey = |role: &str| format!("A{role}{number}");
    VaultKeys {
        deployed: VaultDeployed {
            guid: member(number),
            identity_key: TypedKey::new(KeyAlgorithm::Ed25519, [number; 32]).unwrap(),
            owner_account_nkey: nkey("OWNER"),
            app_signing_nkey: nkey("APP"),
            message_account_nkey: nkey("MESSAGE"),
            connection_signing_nkey: nkey("CONNECTION"),
            service_signing_nkey: nkey("SERVICE"),
            claim_signing_nkey: nkey("CLAIM"),
        },
        bootstrap_signing_nkey: nkey("BOOTSTRAP"),
        signing: None,
    }
}

fn service(name: &str, number: u8) -> Service {
    let nkey = |role: &str| format!("AS{role}{number}");
    Service {
        registration: RegisterService {
            service_id: name.parse().unwrap(),
            guid: member(number),
            account_nkey: nkey("ACCOUNT"),
            vault_signing_nkey: nkey("VAULT"),
            connection_signing_nkey: nkey("CONNECTION"),
            claim_signing_nkey: nkey("CLAIM"),
        },
        registered_at: at(0),
        signing: None,
    }
}

fn service_keys(number: u8, since: i64, keeps_former: bool) -> RotateServiceKeys {
    let nkey = |role: &str| format!("AS{role}{number}");
    RotateServiceKeys {
        service_id: "shop".parse().unwrap(),
        guid: member(1),
        since: at(since),
        keys: ServiceSigningNkeys { vault: nkey("VAULT"), connection: nkey("CONNECTION"), claim: nkey("CLAIM") },
        keeps_former,
        signature: vettid_wire::base64::Base64::default(),
    }
}

async fn open_account(ledger: &dyn Ledger, number: u8) {
    ledger.open_account(&account(number, &format!("member-{number}")), &audit()).await.unwrap();
}

async fn assign(ledger: &dyn Ledger, number: u8) -> HostId {
    open_account(ledger, number).await;
    ledger.assign_vault(member(number), at(1), &audit()).await.unwrap().host
}

async fn entries(ledger: &dyn Ledger) -> usize {
    ledger.audit(0, 1000).await.unwrap().len()
}

async fn accounts(ledger: &dyn Ledger) {
    let alice = account(1, "alice");
    ledger.open_account(&alice, &audit()).await.unwrap();
    let again = Account { name: "Alice".parse().unwrap(), ..account(2, "x") };
    let refused = ledger.open_account(&again, &audit()).await;
    assert!(matches!(refused, Err(LedgerError::NameTaken)), "{refused:?}");
    assert_eq!(entries(ledger).await, 1, "what was refused was not done");
    assert_eq!(ledger.account_of_token(alice.portal_token_hash).await.unwrap(), Some(alice));
    assert_eq!(ledger.account_of_token(Digest::from_bytes([9; 32])).await.unwrap(), None);
    ledger.ping().await.unwrap();
}

async fn vaults_go_to_the_least_loaded_host(ledger: &dyn Ledger) {
    open_account(ledger, 1).await;
    let nobody = ledger.assign_vault(member(1), at(1), &audit()).await;
    assert!(matches!(nobody, Err(LedgerError::NoHost)), "{nobody:?}");
    for joined in
        [host("one", ["U1", "U2"], at(100)), host("two", ["U3", "U4"], at(100)), host("late", ["U5", "U6"], at(1))]
    {
        ledger.join_host(&joined, &audit()).await.unwrap();
    }
    let stranger = ledger.assign_vault(member(99), at(1), &audit()).await;
    assert!(matches!(stranger, Err(LedgerError::Missing)), "{stranger:?}");
    let first = ledger.assign_vault(member(1), at(1), &audit()).await.unwrap();
    assert_eq!((first.host.as_str(), first.state, first.keys.clone()), ("one", VaultState::Assigned, None));
    let hosts = [assign(ledger, 2).await, assign(ledger, 3).await, assign(ledger, 4).await];
    assert_eq!(hosts.map(|host| host.to_string()), ["two", "one", "two"]);
    let before = entries(ledger).await;
    assert_eq!(ledger.assign_vault(member(1), at(500), &audit()).await.unwrap(), first, "a vault stays where it is");
    assert_eq!(entries(ledger).await, before);
}

async fn keys_are_recorded_once(ledger: &dyn Ledger) {
    ledger.join_host(&host("one", ["U1", "U2"], at(100)), &audit()).await.unwrap();
    let missing = ledger.record_keys(&keys(1), &audit()).await;
    assert!(matches!(missing, Err(LedgerError::Missing)), "{missing:?}");
    assign(ledger, 1).await;
    ledger.record_keys(&keys(1), &audit()).await.unwrap();
    ledger.record_keys(&keys(1), &audit()).await.unwrap();
    let mut other = keys(1);
    other.deployed.identity_key = TypedKey::new(KeyAlgorithm::Ed25519, [77; 32]).unwrap();
    let changed = ledger.record_keys(&other, &audit()).await;
    assert!(matches!(changed, Err(LedgerError::Conflict)), "{changed:?}");
    let vault = ledger.vault(member(1)).await.unwrap().unwrap();
    assert_eq!((vault.state, vault.keys), (VaultState::Deployed, Some(keys(1))));
    assert_eq!(ledger.vault(member(2)).await.unwrap(), None);
}

async fn signing_keys_change_forward_only(ledger: &dyn Ledger) {
    ledger.join_host(&host("one", ["U1", "U2"], at(100)), &audit()).await.unwrap();
    for number in [1, 2] {
        assign(ledger, number).await;
        let missing = ledger.rotate_signing(member(number), &rotation(1, 10, true), &audit()).await;
        assert!(matches!(missing, Err(LedgerError::Missing)), "{missing:?}");
        ledger.record_keys(&keys(number), &audit()).await.unwrap();
    }
    let rotate = async |number, asked: RotateSigningKeys| ledger.rotate_signing(member(number), &asked, &audit()).await;
    let first = keys(1).current_signing();
    let once = rotate(1, rotation(1, 10, true)).await.unwrap();
    assert_eq!((once.current_signing(), once.signing.unwrap().former), (rotation(1, 10, true).keys, Some(first)));
    let before = entries(ledger).await;
    rotate(1, rotation(1, 10, true)).await.unwrap();
    assert_eq!(entries(ledger).await, before, "the same again is nothing new");
    let given_up = rotate(1, rotation(1, 10, false)).await.unwrap();
    assert_eq!(given_up.signing.unwrap().former, None);
    let again = rotate(1, rotation(1, 10, true)).await.unwrap();
    assert_eq!(again.signing.unwrap().former, None, "what was given up stays so");
    let next = rotate(1, rotation(2, 11, true)).await.unwrap();
    assert_eq!(next.signing.unwrap().former, Some(rotation(1, 10, true).keys));
    for refused in [rotation(3, 10, true), rotation(3, 11, true), rotation(1, 12, true)] {
        let outcome = rotate(1, refused).await;
        assert!(matches!(outcome, Err(LedgerError::Conflict)), "{outcome:?}");
    }
    let theft = rotate(2, rotation(2, 12, true)).await;
    assert!(matches!(theft, Err(LedgerError::Conflict)), "{theft:?}");
    let kept = ledger.vault(member(1)).await.unwrap().unwrap().keys.unwrap();
    assert_eq!(kept.signing.map(|signing| signing.since), Some(at(11)));
    ledger.record_keys(&keys(1), &audit()).await.unwrap();
}

fn rotation(number: u8, since: i64, keeps_former: bool) -> RotateSigningKeys {
    let nkey = |role: &str| format!("AR{role}{number}");
    let keys = SigningNkeys {
        app: nkey("APP"),
        connection: nkey("CONNECTION"),
        service: nkey("SERVICE"),
        claim: nkey("CLAIM"),
    };
    RotateSigningKeys { since: at(since), keys, keeps_former }
}

async fn keys_belong_to_one_space(ledger: &dyn Ledger) {
    ledger.join_host(&host("one", ["U1", "U2"], at(100)), &audit()).await.unwrap();
    assign(ledger, 1).await;
    assign(ledger, 2).await;
    ledger.record_keys(&keys(1), &audit()).await.unwrap();
    for take in [
        |keys: &mut VaultKeys, taken: &str| keys.deployed.owner_account_nkey = taken.to_owned(),
        |keys: &mut VaultKeys, taken: &str| keys.deployed.claim_signing_nkey = taken.to_owned(),
        |keys: &mut VaultKeys, taken: &str| keys.bootstrap_signing_nkey = taken.to_owned(),
    ] {
        let mut theft = keys(2);
        take(&mut theft, &keys(1).deployed.message_account_nkey);
        let refused = ledger.record_keys(&theft, &audit()).await;
        assert!(matches!(refused, Err(LedgerError::Conflict)), "{refused:?}");
    }
    let mut twice = keys(2);
    twice.deployed.app_signing_nkey = twice.deployed.owner_account_nkey.clone();
    assert!(matches!(ledger.record_keys(&twice, &audit()).await, Err(LedgerError::Conflict)));
    assert_eq!(ledger.vault(member(2)).await.unwrap().unwrap().state, VaultState::Assigned);
    ledger.record_keys(&keys(2), &audit()).await.unwrap();
}

fn started(number: u8, guid: u8) -> (Enrolment, String) {
    let mut rng = StdRng::seed_from_u64(u64::from(number));
    let (enrolment, token) = Enrolment::start(session(number), member(guid), at(0), &mut rng);
    (enrolment, token.expose())
}

async fn an_enrolment_goes_its_way(ledger: &dyn Ledger) {
    let mut rng = StdRng::seed_from_u64(0);
    let (begun, code) = started(1, 1);
    let stranger = ledger.start_enrolment(&begun, &audit()).await;
    assert!(matches!(stranger, Err(LedgerError::Missing)), "{stranger:?}");
    ledger.join_host(&host("one", ["U1", "U2"], at(100)), &audit()).await.unwrap();
    assign(ledger, 1).await;
    ledger.record_keys(&keys(1), &audit()).await.unwrap();
    ledger.start_enrolment(&begun, &audit()).await.unwrap();

    let kept = ledger.enrolment(begun.session_id).await.unwrap().unwrap();
    assert_eq!(kept, Versioned { record: begun, revision: 0 });
    let (pending, challenge) = kept.record.scan(at(1), &mut rng).unwrap();
    ledger.advance_enrolment(&Versioned { record: pending, revision: 0 }, &audit()).await.unwrap();

    let kept = ledger.enrolment(kept.record.session_id).await.unwrap().unwrap();
    let app_key = TypedKey::new(KeyAlgorithm::Ed25519, [5; 32]).unwrap();
    let proof = Proof { token: &code, challenge: &challenge, app_key: Some(&app_key) };
    let attempt = kept.record.authenticate(&proof, at(2), &mut rng);
    let token = attempt.outcome.unwrap();
    ledger.advance_enrolment(&Versioned { record: attempt.next, revision: kept.revision }, &audit()).await.unwrap();

    let kept = ledger.enrolment_of_token(token.hash()).await.unwrap().unwrap();
    let connected = Versioned { record: kept.record.connect("U9", at(3)).unwrap(), revision: kept.revision };
    ledger.advance_enrolment(&connected, &audit()).await.unwrap();
    assert_eq!(ledger.vault(member(1)).await.unwrap().unwrap().state, VaultState::Deployed);
    let kept = ledger.enrolment_of_token(token.hash()).await.unwrap().unwrap();
    let done = Versioned { record: kept.record.complete(at(4)).unwrap(), revision: kept.revision };
    ledger.advance_enrolment(&done, &audit()).await.unwrap();
    assert_eq!(ledger.vault(member(1)).await.unwrap().unwrap().state, VaultState::Active);
    assert_eq!(ledger.enrolment_of_token(token.hash()).await.unwrap(), None, "the token is spent");
    assert_eq!(ledger.latest_enrolment(member(1)).await.unwrap(), Some(done.record.clone()));

    // The app of the completed enrolment stays known while a later code waits.
    assert_eq!(ledger.completed_enrolment(member(1)).await.unwrap(), Some(done.record.clone()));
    ledger.start_enrolment(&started(2, 1).0, &audit()).await.unwrap();
    assert_eq!(ledger.completed_enrolment(member(1)).await.unwrap(), Some(done.record));
    assert_eq!(ledger.completed_enrolment(member(2)).await.unwrap(), None);
    let stage = Stage::Completed { app_key: TypedKey::new(KeyAlgorithm::Ed25519, [6; 32]).unwrap() };
    let later = Enrolment { stage, ..started(2, 1).0 };
    ledger.advance_enrolment(&Versioned { record: later.clone(), revision: 0 }, &audit()).await.unwrap();
    assert_eq!(ledger.completed_enrolment(member(1)).await.unwrap(), Some(later), "the latest one counts");
}

async fn a_later_code_closes_earlier_ones(ledger: &dyn Ledger) {
    open_account(ledger, 1).await;
    open_account(ledger, 2).await;
    for (number, guid) in [(1, 1), (2, 2), (3, 1)] {
        ledger.start_enrolment(&started(number, guid).0, &audit()).await.unwrap();
    }
    let stage = async |number| ledger.enrolment(session(number)).await.unwrap().unwrap().record.stage;
    assert_eq!(stage(1).await, Stage::Closed);
    assert_eq!((stage(2).await, stage(3).await), (started(2, 2).0.stage, started(3, 1).0.stage));
    assert_eq!(ledger.latest_enrolment(member(1)).await.unwrap().unwrap().session_id, session(3));
    let mut rng = StdRng::seed_from_u64(0);
    let token = BearerToken::random(&mut rng);
    let app_key = TypedKey::new(KeyAlgorithm::Ed25519, [5; 32]).unwrap();
    let known = Enrolment { stage: Stage::Authenticated { app_key, token_hash: token.hash() }, ..started(3, 1).0 };
    ledger.advance_enrolment(&Versioned { record: known, revision: 0 }, &audit()).await.unwrap();
    assert!(ledger.enrolment_of_token(token.hash()).await.unwrap().is_some());
    ledger.start_enrolment(&started(4, 1).0, &audit()).await.unwrap();
    assert_eq!(ledger.enrolment_of_token(token.hash()).await.unwrap(), None, "its token died with it");
}

async fn one_of_two_changes_wins(ledger: &dyn Ledger) {
    open_account(ledger, 1).await;
    let (begun, _) = started(1, 1);
    ledger.start_enrolment(&begun, &audit()).await.unwrap();
    let mut rng = StdRng::seed_from_u64(0);
    let mut change = || Versioned { record: begun.scan(at(1), &mut rng).unwrap().0, revision: 0 };
    let (one, other, entry) = (change(), change(), audit());
    let (first, second) =
        tokio::join!(ledger.advance_enrolment(&one, &entry), ledger.advance_enrolment(&other, &entry));
    let stale = [&first, &second].into_iter().filter(|outcome| matches!(outcome, Err(LedgerError::Stale))).count();
    assert_eq!((stale, [first, second].iter().filter(|outcome| outcome.is_ok()).count()), (1, 1));
}

async fn hosts(ledger: &dyn Ledger) {
    let one = host("one", ["U1", "U2"], at(100));
    assert_eq!(ledger.join_host(&one, &audit()).await.unwrap(), None);
    for theft in
        [host("two", ["U1", "U4"], at(100)), host("two", ["U4", "U1"], at(100)), host("two", ["U4", "U4"], at(100))]
    {
        let refused = ledger.join_host(&theft, &audit()).await;
        assert!(matches!(refused, Err(LedgerError::Conflict)), "{refused:?}");
    }
    let renewed = host("one", ["U1", "U7"], at(200));
    assert_eq!(ledger.join_host(&renewed, &audit()).await.unwrap(), Some(one));
    ledger.host_seen(&renewed.host_id, at(50)).await.unwrap();
    ledger.host_seen(&renewed.host_id, at(40)).await.unwrap();
    let kept = ledger.host(&renewed.host_id).await.unwrap().unwrap();
    assert_eq!(kept, Host { last_seen: at(50), ..renewed });
    assert_eq!(ledger.host(&"two".parse().unwrap()).await.unwrap(), None);
}

async fn services(ledger: &dyn Ledger) {
    assert_eq!(ledger.count_services().await.unwrap(), 0);
    let shop = service("shop", 1);
    ledger.register_service(&shop, &audit()).await.unwrap();
    ledger.register_service(&Service { registered_at: at(9), ..shop.clone() }, &audit()).await.unwrap();
    open_account(ledger, 3).await;
    let mut moved = service("shop", 1);
    moved.registration.account_nkey = "AOTHER".into();
    let mut thief = service("bank", 2);
    thief.registration.claim_signing_nkey = shop.registration.account_nkey.clone();
    let mut posing = service("bank", 2);
    posing.registration.guid = member(1);
    for wrong in [moved, thief, posing, service("as-a-member", 3)] {
        let refused = ledger.register_service(&wrong, &audit()).await;
        assert!(matches!(refused, Err(LedgerError::Conflict)), "{wrong:?} {refused:?}");
    }
    assert_eq!(ledger.service(&shop.registration.service_id).await.unwrap(), Some(shop));
    assert_eq!(ledger.service(&"bank".parse().unwrap()).await.unwrap(), None);
    ledger.register_service(&service("bank", 2), &audit()).await.unwrap();
    assert_eq!(ledger.count_services().await.unwrap(), 2);
    keys_of_services(ledger).await;
}

/// The shop changes keys: as those of vaults do, younger ones take the place of older ones, and each key stands for one role for ever.
async fn keys_of_services(ledger: &dyn Ledger) {
    let of = async || ledger.service(&"shop".parse().unwrap()).await.unwrap().unwrap();
    let first = of().await.current_signing();
    let (second, third) = (service_keys(12, 10, true), service_keys(13, 20, true));
    let after = ledger.rotate_service_signing(&second, &audit()).await.unwrap();
    let signing = after.signing.clone().unwrap();
    assert_eq!((signing.since, &signing.current, signing.former), (at(10), &second.keys, Some(first)));
    assert_eq!((of().await, after.current_signing()), (after.clone(), second.keys.clone()));
    assert_eq!(ledger.rotate_service_signing(&second, &audit()).await.unwrap(), after, "again changes nothing");
    let after = ledger.rotate_service_signing(&third, &audit()).await.unwrap();
    assert_eq!(after.signing.unwrap().former, Some(second.keys.clone()));
    for wrong in
        [service_keys(14, 15, true), service_keys(14, 20, true), service_keys(2, 30, true), service_keys(12, 30, true)]
    {
        let refused = ledger.rotate_service_signing(&wrong, &audit()).await;
        assert!(matches!(refused, Err(LedgerError::Conflict)), "{wrong:?} {refused:?}");
    }
    let gives_up = RotateServiceKeys { keeps_former: false, ..third.clone() };
    assert_eq!(ledger.rotate_service_signing(&gives_up, &audit()).await.unwrap().signing.unwrap().former, None);
    assert_eq!(ledger.rotate_service_signing(&third, &audit()).await.unwrap().signing.unwrap().former, None);
    let nobody = RotateServiceKeys { service_id: "nobody".parse().unwrap(), ..service_keys(14, 30, true) };
    assert!(matches!(ledger.rotate_service_signing(&nobody, &audit()).await, Err(LedgerError::Missing)));
}

async fn revocations(ledger: &dyn Ledger) {
    let cut = |account: &str, user: &str, ms| Revocation {
        account_nkey: account.into(),
        user_nkey: user.into(),
        revoked_at: at(ms),
    };
    for revocation in [cut("A1", "U2", 5), cut("A1", "U1", 9), cut("A1", "U1", 3), cut("A2", "U1", 1)] {
        ledger.revoke(&revocation, &audit()).await.unwrap();
    }
    assert_eq!(ledger.revocations("A1").await.unwrap(), [cut("A1", "U1", 9), cut("A1", "U2", 5)]);
    assert_eq!(ledger.revocations("A3").await.unwrap(), []);
}

async fn numbers_are_given_out_once(ledger: Arc<dyn Ledger>) {
    let key: vettid_wire::id::KeyId = "k_utkd2ec6y33ntxd64zqbcj2x5a".parse().unwrap();
    let counter = Counter::Control(key.clone(), Target::Enclave("one".parse().unwrap()));
    let tasks = (0..20).map(|_| {
        let (ledger, counter) = (ledger.clone(), counter.clone());
        tokio::spawn(async move { ledger.next_number(&counter).await.unwrap() })
    });
    let mut numbers = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        numbers.push(task.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<u64>>());
    let other = Counter::Control(key, Target::Enclave("two".parse().unwrap()));
    assert_eq!(ledger.next_number(&other).await.unwrap(), 1);
    assert_eq!(ledger.next_number(&Counter::RegistryProfile).await.unwrap(), 1);
}

async fn the_log_is_read_in_order(ledger: &dyn Ledger) {
    let acts =
        [Act::AccountOpened(member(1)), Act::EnrolmentStarted(session(1)), Act::HostJoined("one".parse().unwrap())];
    for act in &acts {
        ledger.note(&entry(act.clone())).await.unwrap();
    }
    let all = ledger.audit(0, 10).await.unwrap();
    assert_eq!(all.iter().map(|(_, line)| line.act.clone()).collect::<Vec<_>>(), acts);
    let (first, _) = all[0].clone();
    assert_eq!(ledger.audit(first, 1).await.unwrap(), all[1..2]);
}
