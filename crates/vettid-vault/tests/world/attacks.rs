//! Whoever holds something, an invitation, a credential, an old connection, and tries to reach more with it.

use crate::app::{random_bytes, record};
use crate::flows::{ask_field, decide, request_id, send};
use crate::node::ENDPOINT;
use crate::town::{ALICE, BOB, DAY_MS, Town};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_core::handshake::{Closing, Initiator, Opening, Party, Target};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::VerifiedKeyRecord;
use vettid_crypto::nats::key::{Account, SecretKey, User};
use vettid_crypto::signature::{Context, sign_object};
use vettid_wire::base64::Base64;
use vettid_wire::connection::{ConnectionState, ConnectionView, Invited};
use vettid_wire::contract::Contract;
use vettid_wire::feed::Severity;
use vettid_wire::handshake::{Claim, HandshakeMessage, Invitation, SpaceUri};
use vettid_wire::id::{HandshakeId, InviteId, MemberId};
use vettid_wire::json as vjson;
use vettid_wire::key_record::KeyRole;
use vettid_wire::profile::{MAX_LIFE_MS, PublicProfile, ServiceProfile, SignedProfile};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::subject::Subject;

struct Stranger {
    signing: SigningKey,
    record: VerifiedKeyRecord,
    initiator: Initiator,
    hs1: Vec<u8>,
}

fn stranger_guid() -> MemberId {
    MemberId::from_bytes([66; 16])
}

fn invitation(town: &mut Town) -> Invitation {
    let invited: Invited = town.ask(ALICE, "connection.invite", json!({})).unwrap();
    Invitation::read(&invited.link).unwrap()
}

fn fresh(town: &mut Town) -> HandshakeId {
    HandshakeId::v7(town.now, random_bytes(&mut town.rng))
}

impl Stranger {
    /// Answers an invitation under this handshake id, perhaps with a profile that says it is a service.
    fn answering(town: &mut Town, invitation: &Invitation, hs_id: HandshakeId, poses: bool) -> Self {
        let (signing, record) = record(KeyRole::Vault, stranger_guid(), town.now, &mut town.rng);
        let contract: Contract = vjson::read(
            br#"{"service_id":"demo-bank","contract_version":1,"description":"d","fields":[],"permissions":[],
            "rate":{"count":1,"per_seconds":1},"terms_url":"t","privacy_url":"p"}"#,
        )
        .unwrap();
        let service = ServiceProfile { service_id: "demo-bank".parse().unwrap(), origins: vec![], contract };
        let profile = SignedProfile {
            profile_version: "1.0".into(),
            guid: stranger_guid(),
            public_key: record.identity().typed(),
            key_record: record.record().clone(),
            restore_key: None,
            public: PublicProfile::default(),
            service: poses.then_some(service),
            event_types: vec![],
            items: std::collections::BTreeMap::new(),
            supported: vec![],
            sequence: 1,
            updated_at: town.now,
            valid_until: town.now.plus_ms(MAX_LIFE_MS),
            key_id: signing.key_id(),
            signature: Base64::default(),
        };
        let profile = vjson::from_value(sign_object(Context::Profile, &signing, &profile).unwrap()).unwrap();
        let space = SpaceUri::new(ENDPOINT, stranger_guid()).unwrap();
        let opening = Opening {
            profile: Some(profile),
            nkey_pub: Some(SecretKey::<User>::random(&mut town.rng).unwrap().public().to_string()),
            claim: Some(Claim { messagespace_uri: space, token: "claim".into() }),
            ..Opening::default()
        };
        let party = Party { key_record: &record, signing: &signing };
        let target = Target::invitation(invitation).unwrap();
        let (initiator, first) = Initiator::start_as(hs_id, town.now, &mut town.rng, &party, target, &opening).unwrap();
        Self { signing, record, initiator, hs1: first.send.unwrap() }
    }
}

fn deliver(town: &mut Town, invite: InviteId, bytes: &[u8]) {
    let subject = Subject::Invite(town.nodes[ALICE].guid, invite);
    town.give(ALICE, vec![(subject, bytes.to_vec())]);
}

/// The id is the attacker's to choose: that of a connection that stands must not reach it.
#[test]
fn the_holder_of_an_invitation_does_not_reach_another_connection() {
    let mut town = Town::settled(20);
    let id = town.connect();
    let hs_id = HandshakeId::from_bytes(id.to_bytes());
    let open = invitation(&mut town);
    let mut garbage = HandshakeMessage::read(&Stranger::answering(&mut town, &open, hs_id, false).hs1).unwrap();
    garbage.c = Base64::new(vec![1; 100]);
    for _ in 0..6 {
        deliver(&mut town, open.invite_id, &garbage.to_bytes().unwrap());
    }
    assert_eq!(town.view(ALICE, id).state, ConnectionState::Active);
    let (under_review, open) = (town.ask_to_connect(), invitation(&mut town));
    garbage.hs_id = HandshakeId::from_bytes(under_review.to_bytes());
    for _ in 0..6 {
        deliver(&mut town, open.invite_id, &garbage.to_bytes().unwrap());
    }
    assert_eq!(town.view(ALICE, under_review).state, ConnectionState::Review);
    let open = invitation(&mut town);
    for _ in 0..3 {
        let hs1 = Stranger::answering(&mut town, &open, hs_id, false).hs1;
        deliver(&mut town, open.invite_id, &hs1);
    }
    town.now = town.now.plus_ms(8 * DAY_MS);
    town.tick();
    town.resume(ALICE, true);
    assert_eq!(town.view(ALICE, id).state, ConnectionState::Active);
}

#[test]
fn a_member_that_says_it_is_a_service_is_nobody_to_decide_about() {
    let mut town = Town::settled(21);
    for poses in [false, true] {
        let (open, hs_id) = (invitation(&mut town), fresh(&mut town));
        let hs1 = Stranger::answering(&mut town, &open, hs_id, poses).hs1;
        deliver(&mut town, open.invite_id, &hs1);
        let asked = json!({"connection_id": hs_id.connection_id()});
        let seen = town.ask::<ConnectionView>(ALICE, "connection.review", asked);
        assert_eq!(seen.is_ok(), !poses);
    }
}

/// Alice accepts Bob's request, then ends the connection before his last message comes: it stays ended.
#[test]
fn a_connection_that_was_ended_does_not_come_back_with_the_last_message() {
    let mut town = Town::settled(22);
    let id = town.ask_to_connect();
    town.decide(ALICE, id, true).unwrap();
    town.run();
    let body = json!({"connection_id": id, "reason": "user_requested"});
    let _: ConnectionView = town.ask(ALICE, "connection.revoke", body).unwrap();
    town.decide(BOB, id, true).unwrap();
    town.run();
    assert_eq!(town.view(ALICE, id).state, ConnectionState::Revoked);
    let sent = town.ask::<Value>(ALICE, "messaging.send", json!({"connection_id": id, "text": "x"}));
    assert_eq!(sent, Err(RefusalCode::NotConnected));
    assert_eq!(town.nodes[ALICE].vault.to_cut_off().unwrap().len(), 1, "the credential was issued already");
}

#[test]
fn a_second_message_counts_only_on_its_own_subject() {
    let mut town = Town::settled(23);
    let id = town.ask_to_connect();
    town.decide(ALICE, id, true).unwrap();
    let hs2 = town.log.iter().rev().find(|post| matches!(post.subject, Subject::Invite(..))).unwrap().clone();
    let before = town.nodes[BOB].vault.state().all();
    let other = Subject::Invite(town.nodes[BOB].guid, InviteId::from_bytes([5; 16]));
    town.give(BOB, vec![(other, hs2.bytes.as_bytes().to_vec())]);
    assert_eq!(town.nodes[BOB].vault.state().all(), before);
    assert_eq!(town.nodes[BOB].vault.dropped(), 1);
}

/// A credential for another key is worth nothing, so it makes no connection.
#[test]
fn a_credential_that_is_not_for_this_vault_makes_no_connection() {
    let mut town = Town::settled(24);
    let (open, hs_id) = (invitation(&mut town), fresh(&mut town));
    let mut stranger = Stranger::answering(&mut town, &open, hs_id, false);
    deliver(&mut town, open.invite_id, &stranger.hs1);
    let id = hs_id.connection_id();
    town.decide(ALICE, id, true).unwrap();
    let hs2 = town.log.iter().rev().find(|post| matches!(post.subject, Subject::Invite(..))).unwrap().clone();
    assert_eq!(stranger.initiator.receive(town.now, hs2.bytes.as_bytes()).refusal, None);
    stranger.initiator.accept(town.now).unwrap();
    let [account, scoped] = [(); 2].map(|()| SecretKey::<Account>::random(&mut town.rng).unwrap());
    let wrong = SecretKey::<User>::random(&mut town.rng).unwrap();
    let identity = MemberIdentity::Connection(id);
    let minted = mint::member(&identity, wrong.public(), account.public(), &scoped, town.now).unwrap();
    let closing = Closing { jwt: Some(minted.jwt.as_str().to_owned()), ..Closing::default() };
    let party = Party { key_record: &stranger.record, signing: &stranger.signing };
    let last = stranger.initiator.finish(town.now, &mut town.rng, &party, &closing).unwrap().send.unwrap();
    deliver(&mut town, open.invite_id, &last);
    assert_eq!(town.view(ALICE, id).state, ConnectionState::Aborted);
}

/// The first message again, byte for byte, changes nothing; other bytes under its id end the handshake, and the owner is told.
#[test]
fn a_first_message_with_other_bytes_ends_the_handshake() {
    let mut town = Town::settled(26);
    let (open, hs_id) = (invitation(&mut town), fresh(&mut town));
    let [first, other] = [(); 2].map(|()| Stranger::answering(&mut town, &open, hs_id, false).hs1);
    let alarms = |town: &mut Town| {
        let entries = town.feed(ALICE).entries;
        entries.iter().filter(|entry| entry.severity == Severity::Alarm).count()
    };
    for _ in 0..2 {
        deliver(&mut town, open.invite_id, &first);
        assert_eq!(town.view(ALICE, hs_id.connection_id()).state, ConnectionState::Review);
    }
    assert_eq!(alarms(&mut town), 0);
    for _ in 0..2 {
        deliver(&mut town, open.invite_id, &other);
        assert_eq!(town.view(ALICE, hs_id.connection_id()).state, ConnectionState::Aborted);
        assert_eq!(alarms(&mut town), 1);
    }
    deliver(&mut town, open.invite_id, &first);
    assert_eq!(town.view(ALICE, hs_id.connection_id()).state, ConnectionState::Aborted, "nothing brings it back");
    assert!(town.decide(ALICE, hs_id.connection_id(), true).is_err());
}

/// Whether or not the inviter has noticed by itself: who comes after the end of an invitation meets nobody.
#[test]
fn an_invitation_that_is_over_is_over_at_the_inviter() {
    for (late_ms, is_taken) in [(0, true), (1, false)] {
        for ticks in [false, true] {
            let mut town = Town::settled(27);
            let (open, hs_id) = (invitation(&mut town), fresh(&mut town));
            let hs1 = Stranger::answering(&mut town, &open, hs_id, false).hs1;
            town.now = open.expires_at.plus_ms(late_ms - if ticks { 1000 } else { 0 });
            if ticks {
                town.tick();
            }
            deliver(&mut town, open.invite_id, &hs1);
            town.resume(ALICE, true);
            let asked = json!({"connection_id": hs_id.connection_id()});
            let seen = town.ask::<ConnectionView>(ALICE, "connection.review", asked);
            assert_eq!(seen.is_ok(), is_taken, "{late_ms} {ticks}");
        }
    }
}

/// A repeated question gets what the first one got, and asks the owner once; another body under its id is a conflict.
#[test]
fn a_question_is_named_by_its_id_and_bound_to_its_body() {
    let mut town = Town::settled(25);
    let _: Value = town.ask(ALICE, "data.set", json!({"field": "date_of_birth", "value": "1.1."})).unwrap();
    town.connect_shop();
    let id = request_id(&mut town);
    // Each event is answered with a proof for itself.
    let unproven = |town: &Town, mut answer: Value| {
        town.shop.check_proof(&answer);
        answer.as_object_mut().unwrap().remove("proof");
        answer
    };
    let first = ask_field(&mut town, "date_of_birth", id);
    let first = unproven(&town, first);
    let told = town.feed(ALICE).entries.len();
    town.now = town.now.plus_ms(1000);
    let again = ask_field(&mut town, "date_of_birth", id);
    assert_eq!(unproven(&town, again), first);
    assert_eq!(town.feed(ALICE).entries.len(), told, "the owner is asked once");
    let mut other = town.shop.data_request("date_of_birth", id);
    other["purpose"] = "something else".into();
    assert_eq!(send(&mut town, "data.request", other)["code"], "conflict");
    decide(&mut town, id, "approve").unwrap();
    let served = unproven(&town, town.shop.last().1.clone());
    assert_eq!(served["outcome"]["served"]["value"], "1.1.");
    let again = ask_field(&mut town, "date_of_birth", id);
    assert_eq!(unproven(&town, again), served, "a decided question is not asked again");
    assert_eq!(decide(&mut town, id, "deny"), Err(RefusalCode::NotFound));
}

#[test]
fn more_than_three_logins_do_not_wait() {
    let mut town = Town::settled(26);
    town.connect_shop();
    for n in 0..4 {
        let id = request_id(&mut town);
        let challenge = town.shop.signed(&town.shop.challenge(id, town.now));
        let answer = send(&mut town, "auth.challenge", challenge);
        assert_eq!(answer == Value::Null, n < 3, "{answer}");
    }
    assert_eq!(town.shop.last().1["code"], "rate_limited");
    let told = town.feed(ALICE).entries.iter().filter(|entry| entry.summary.contains("asks you to log in")).count();
    assert_eq!(told, 3, "what was refused leaves no question in the feed");
}

#[test]
fn nothing_secret_is_shown_by_debug() {
    let mut town = Town::settled(27);
    let _: Value = town.ask(ALICE, "data.set", json!({"field": "pet", "value": "Rumpelstilzchen"})).unwrap();
    let shown = format!("{:?}", town.nodes[ALICE].vault);
    let stored = format!("{:?}", b"Rumpelstilzchen".to_vec());
    assert!(!shown.contains("Rumpelstilzchen") && !shown.contains(stored.trim_matches(['[', ']'])));
}

#[test]
fn what_is_over_is_forgotten() {
    let mut town = Town::settled(28);
    let id = town.connect();
    invitation(&mut town);
    let kinds = |town: &Town| {
        let kind = |key: &String| key.split('/').next().unwrap().to_owned();
        town.nodes[ALICE].vault.state().all().keys().map(kind).collect::<BTreeSet<_>>()
    };
    assert!(kinds(&town).contains("invite") && kinds(&town).contains("seen"));
    town.now = town.now.plus_ms(95 * DAY_MS);
    (0..3).for_each(|_| town.tick());
    for gone in ["invite", "invite_of", "handshake", "app_handshake", "enrolling", "alarm", "seen"] {
        assert!(!kinds(&town).contains(gone), "{gone}");
    }
    town.resume(ALICE, true);
    assert_eq!(town.view(ALICE, id).state, ConnectionState::Active);
}
