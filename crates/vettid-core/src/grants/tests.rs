//! The matrix of who may publish and subscribe where, as a golden file, and the rules that hold for all of it.

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;
use vettid_crypto::nats::account::{AccountClaims, overlaps};
use vettid_crypto::nats::key::{AccountKey, AccountPublic, Kind, OperatorKey, OperatorPublic, SecretKey, UserKey};
use vettid_crypto::nats::token::TokenError;
use vettid_crypto::secret::Secret32;
use vettid_wire::event::{Delivery, ROWS};
use vettid_wire::id::{ConnectionId, MemberId};
use vettid_wire::subject::Pattern;
use vettid_wire::time::Timestamp;

use super::account::{self, HomeKind, HostKeys, MessageSpaceKeys, OperatorAccounts, OwnerSpaceKeys};
use super::credential::Credential;
use super::delivery::{Receiver, durable_of_member, of_member};
use super::mint::{self, MemberIdentity, OperatorIdentity};
use super::role::{Grant, MemberRole, OperatorRole};

const GUID: &str = "550e8400-e29b-41d4-a716-446655440000";

fn guid() -> MemberId {
    GUID.parse().unwrap()
}

fn key<K: Kind>(byte: u8) -> SecretKey<K> {
    SecretKey::from_secret(Secret32::from_bytes([byte; 32])).unwrap()
}

fn public(byte: u8) -> AccountPublic {
    key(byte).public().clone()
}

fn accounts() -> OperatorAccounts {
    OperatorAccounts {
        system: public(1),
        vault_services: public(2),
        service_registry: public(3),
        vault_host: public(4),
    }
}

fn owner_keys() -> OwnerSpaceKeys {
    OwnerSpaceKeys { app: public(30), bootstrap: public(31) }
}

fn message_keys() -> MessageSpaceKeys {
    MessageSpaceKeys { connection: public(40), service: public(41), claim: public(42) }
}

fn every_account() -> Vec<(AccountPublic, AccountClaims)> {
    let hosts = HostKeys { subscribing: public(10), publishing: public(11), admin: public(12) };
    vec![
        (public(1), account::system(&public(13))),
        (public(2), account::vault_services(&accounts(), &public(14))),
        (public(3), account::service_registry(&public(15))),
        (public(4), account::vault_host(&accounts(), &hosts, 1 << 30)),
        (public(5), account::hosted_owner_space(guid(), &accounts(), &owner_keys())),
        (public(6), account::hosted_message_space(guid(), &accounts(), &message_keys())),
        (public(7), account::home_owner_space(guid(), &accounts(), &owner_keys(), &public(32))),
        (
            public(8),
            account::home_message_space(guid(), HomeKind::Vault, &public(8), &message_keys(), &public(43), 1 << 30),
        ),
        (
            public(9),
            account::home_message_space(guid(), HomeKind::Service, &public(9), &message_keys(), &public(44), 1 << 30),
        ),
    ]
}

#[test]
fn the_account_of_a_service_has_room_for_the_vaults_of_its_members() {
    let connections = |kind| {
        let claims = account::home_message_space(guid(), kind, &public(9), &message_keys(), &public(44), 1 << 30);
        claims.limits.connections
    };
    assert!(connections(HomeKind::Service) > 50_000);
    assert_eq!(connections(HomeKind::Vault), 10);
}

fn every_grant() -> Vec<Grant> {
    let member = MemberRole::ALL.iter().map(|role| role.grant(guid()));
    member.chain(OperatorRole::ALL.iter().map(|role| role.grant())).collect()
}

fn print(grant: &Grant) -> String {
    let mut text = format!("{}{}\n", grant.role, if grant.bearer { " (needs no key)" } else { "" });
    for subject in &grant.publish {
        writeln!(text, "  publish    {subject}").unwrap();
    }
    for subject in &grant.subscribe {
        writeln!(text, "  subscribe  {subject}").unwrap();
    }
    if grant.answers {
        writeln!(text, "  answer     one, to each request it gets").unwrap();
    }
    text
}

#[test]
fn matrix() {
    let text: Vec<_> = every_grant().iter().map(print).collect();
    insta::assert_snapshot!(text.join("\n").replace(GUID, "{guid}"));
}

#[test]
fn borders() {
    let mut text = String::new();
    for (_, claims) in every_account() {
        writeln!(text, "{}", claims.name).unwrap();
        for export in &claims.exports {
            writeln!(text, "  export {:?} {}", export.traffic, export.subject).unwrap();
        }
        for import in &claims.imports {
            let exporter = every_account().into_iter().find(|(key, _)| *key == import.account).unwrap().1.name;
            let local = import.local_subject.as_deref().map(|local| format!(" as {local}")).unwrap_or_default();
            writeln!(text, "  import {:?} {}{local} from {exporter}", import.traffic, import.subject).unwrap();
        }
        for scope in &claims.signing_keys {
            writeln!(text, "  mints  {}", scope.role).unwrap();
        }
    }
    insta::assert_snapshot!(text.replace(GUID, "{guid}"));
}

#[test]
fn every_account_can_be_signed_and_read_back() {
    let operator: OperatorKey = key(20);
    let trusted: [OperatorPublic; 1] = [operator.public().clone()];
    let now = Timestamp::from_unix_ms(1_000_000);
    for (itself, claims) in every_account() {
        let token = claims.sign(&itself, now, &operator).unwrap();
        assert_eq!(AccountClaims::verify(&token, &trusted, now), Ok((itself, claims)));
    }
}

#[test]
fn every_import_is_covered_by_an_export_of_the_same_kind() {
    let all = every_account();
    for (_, claims) in &all {
        for import in &claims.imports {
            let exporter = &all.iter().find(|(key, _)| *key == import.account).unwrap().1;
            let covered = exporter
                .exports
                .iter()
                .any(|export| export.traffic == import.traffic && overlaps(&export.subject, &import.subject));
            assert!(covered, "{} imports {}", claims.name, import.subject);
        }
    }
}

#[test]
fn a_member_role_reaches_no_other_member() {
    let public_subjects =
        [Pattern::Directory, Pattern::Broadcast, Pattern::ControlGlobal].map(|pattern| pattern.to_string());
    for grant in MemberRole::ALL.map(|role| role.grant(guid())) {
        for subject in grant.publish.iter().chain(&grant.subscribe) {
            let private = subject.starts_with("$JS.") || subject.starts_with("_r.");
            let own = subject.contains(GUID) || private || public_subjects.contains(subject);
            assert!(own, "{} {subject}", grant.role);
        }
    }
}

#[test]
fn nobody_is_granted_the_whole_of_anything_of_the_broker() {
    let forbidden =
        ["$JS.API.>", "$SYS.>", "_INBOX.a", "$JS.API.STREAM.DELETE.INBOX", "$JS.API.STREAM.LIST", "$JS.API.INFO"];
    for grant in every_grant() {
        for subject in grant.publish.iter().chain(&grant.subscribe) {
            for forbidden in forbidden {
                assert!(
                    subject != forbidden && (forbidden.contains('>') || !overlaps(subject, forbidden)),
                    "{} {subject}",
                    grant.role
                );
            }
        }
    }
}

#[test]
fn an_event_arrives_in_one_way() {
    for receiver in [Receiver::Vault, Receiver::Service] {
        for durable in receiver.durable() {
            for other in receiver.best_effort() {
                assert!(!overlaps(&durable.to_string(), &other.to_string()), "{durable} {other}");
            }
        }
    }
}

#[test]
fn every_row_that_reaches_a_vault_or_service_is_delivered() {
    for row in ROWS {
        for receiver in [Receiver::Vault, Receiver::Service].into_iter().filter(|r| r.lanes().contains(&row.lane)) {
            let arrival = row.arrival().unwrap().to_string();
            let ways = if row.delivery == Delivery::Durable { receiver.durable() } else { receiver.best_effort() };
            assert!(ways.iter().any(|way| overlaps(&way.to_string(), &arrival)), "{}", row.name);
        }
    }
}

#[test]
fn inbox_subjects_do_not_overlap_each_other() {
    for receiver in [Receiver::Vault, Receiver::Service] {
        let subjects = receiver.durable();
        for (place, one) in subjects.iter().enumerate() {
            for other in &subjects[place + 1..] {
                assert!(!overlaps(&one.to_string(), &other.to_string()), "{one} {other}");
            }
        }
    }
}

#[test]
fn a_members_filter_covers_all_its_durable_events_and_nobody_elses() {
    let filter = durable_of_member(guid());
    let other = MemberId::from_bytes([9; 16]);
    for receiver in [Receiver::Vault, Receiver::Service] {
        for pattern in receiver.durable() {
            let own = of_member(pattern.clone(), guid()).to_string();
            assert!(own.starts_with(filter.trim_end_matches('>')), "{own}");
            assert!(!overlaps(&filter, &of_member(pattern, other).to_string()));
        }
    }
}

#[test]
fn tokens_live_no_longer_than_their_role() {
    let now = Timestamp::from_unix_ms(1_000_000);
    let identity = MemberIdentity::App("phone".parse().unwrap());
    let user: UserKey = key(50);
    let scoped: AccountKey = key(30);
    let minted = mint::member_until(&identity, user.public(), &public(5), &scoped, now, now.plus_ms(i64::MAX)).unwrap();
    assert_eq!(minted.expires_at, now.plus_ms(MemberRole::App.lifetime_ms()));
    let past = mint::member_until(&identity, user.public(), &public(5), &scoped, now, now);
    assert_eq!(past, Err(TokenError::Expired));
}

#[test]
fn a_credential_holds_only_the_token_of_its_own_key_and_name() {
    let now = Timestamp::from_unix_ms(1_000_000);
    let identity = MemberIdentity::App("phone".parse().unwrap());
    let scoped: AccountKey = key(30);
    let user: Arc<UserKey> = Arc::new(key(50));
    let minted = mint::member(&identity, user.public(), &public(5), &scoped, now).unwrap();
    let credential = Credential::member(&identity, guid(), user.clone(), minted.jwt.clone(), now).unwrap();
    assert_eq!(credential.inbox(), format!("OwnerSpace.{GUID}.forApp._r.phone"));
    assert!(user.public().verifies(b"nonce", &credential.sign(b"nonce").unwrap()));

    let other: Arc<UserKey> = Arc::new(key(51));
    assert!(Credential::member(&identity, guid(), other.clone(), minted.jwt.clone(), now).is_err());
    let tablet = MemberIdentity::App("tablet".parse().unwrap());
    assert!(Credential::member(&tablet, guid(), user.clone(), minted.jwt.clone(), now).is_err());
    assert!(Credential::bearer(&identity, guid(), minted.jwt.clone(), now).is_err());
    assert!(Credential::member(&identity, guid(), user, minted.jwt, minted.expires_at).is_err());

    let foreign = mint::member(&identity, other.public(), &public(5), &scoped, now).unwrap();
    assert!(credential.renewed(foreign.jwt, now).is_err());
}

#[test]
fn a_host_is_named_in_its_own_subjects() {
    let identity = OperatorIdentity { role: OperatorRole::HostSubscribing, process: "host-1".parse().unwrap() };
    let grant = identity.grant();
    assert!(grant.subscribe.contains(&"Control.enclave.host-1.>".to_owned()));
    assert!(grant.publish.contains(&"$JS.API.CONSUMER.MSG.NEXT.INBOX.host-1".to_owned()));
}

proptest! {
    #[test]
    fn no_name_widens_a_grant(bytes in any::<[u8; 16]>()) {
        let connection = ConnectionId::from_bytes(bytes);
        let grant = MemberIdentity::Connection(connection).grant(guid());
        for subject in grant.publish.iter().chain(&grant.subscribe) {
            prop_assert!(!subject.contains(['{', '*']), "{}", subject);
        }
    }
}
