//! What a peer is must fit the invitation, its key record and its profile.

use serde_json::{Map, Value};
use vettid_core::handshake::{Closing, HandshakeFailure, Initiator, Phase, Refusal, Target};
use vettid_crypto::handshake::{Psk, Setup, Start};
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{Suite, x25519};
use vettid_wire::base64::Base64;
use vettid_wire::handshake::{InvitationKind, Role, SpaceUri};
use vettid_wire::id::{HandshakeId, MemberId};
use vettid_wire::key::{KeyAlgorithm, TypedKey};
use vettid_wire::key_record::KeyRole;

use crate::parties::{Begun, Shape, Side, begin, closing, opening, refusal, shape, start_of_day};

/// Bob's side as something that Alice must not take.
fn hs1_of(begun: &mut Begun, shape: Shape, foreign_profile: bool) -> Vec<u8> {
    let side = Side::new(&mut begun.rng, shape);
    let target = Target::invitation(&begun.invitation).unwrap();
    let mut content = opening(&side);
    if foreign_profile {
        content.profile = Some(begun.bob.profile.clone());
    }
    let (_, reaction) = Initiator::start(begun.now, &mut begun.rng, &side.party(), target, &content).unwrap();
    reaction.send.unwrap()
}

#[test]
fn a_peer_of_the_wrong_kind_is_refused() {
    let vault = |guid| shape(KeyRole::Vault, guid, "Eve");
    let expired = Shape { expires_at: start_of_day().plus_ms(-1), ..vault(2) };
    let cases = [
        (InvitationKind::Connect, shape(KeyRole::App, 2, "Eve"), false),
        (InvitationKind::Connect, expired, false),
        (InvitationKind::Connect, vault(2), true),
        (InvitationKind::Enroll, shape(KeyRole::App, 9, "Eve"), false),
        (InvitationKind::Enroll, vault(1), false),
        (InvitationKind::Service, shape(KeyRole::Service, 2, "Eve"), false),
    ];
    for (kind, shape, foreign_profile) in cases {
        let mut begun = begin(kind, 12);
        let hs1 = hs1_of(&mut begun, shape, foreign_profile);
        assert_eq!(refusal(&begun.responder.receive(begun.now, &hs1)), Refusal::Misbehaved);
        assert_eq!(begun.responder.phase(), Phase::Invited);
    }
}

/// The invitation leads to one member's space, and the keys behind it say that they are another member's.
#[test]
fn a_responder_of_another_member_is_refused() {
    let mut begun = begin(InvitationKind::Connect, 17);
    let mut invitation = begun.invitation.duplicate();
    invitation.space = SpaceUri::new("tls://broker:4222", MemberId::from_bytes([9; 16])).unwrap();
    let target = Target::invitation(&invitation).unwrap();
    let (mut initiator, reaction) =
        Initiator::start(begun.now, &mut begun.rng, &begun.bob.party(), target, &opening(&begun.bob)).unwrap();
    begun.hs1 = reaction.send.unwrap();
    let hs2 = begun.hs2();
    assert_eq!(refusal(&initiator.receive(begun.now, &hs2)), Refusal::Misbehaved);
}

/// The same content in another spelling: read and written back it would not be what was received.
#[test]
fn a_payload_has_one_form() {
    for (spelling, taken) in
        [(None, true), (Some(Value::Null), false), (Some("U".into()), true), (Some(1.into()), false)]
    {
        let mut begun = begin(InvitationKind::Connect, 18);
        let mut payload = Map::from_iter([
            ("identity_key".to_owned(), begun.bob.identity.verifying_key().typed().to_string().into()),
            ("key_record".to_owned(), serde_json::to_value(begun.bob.record.record()).unwrap()),
            ("epoch_kem".to_owned(), begun.bob.kem.public_key().typed().to_string().into()),
        ]);
        payload.extend(spelling.map(|value| ("nkey_pub".to_owned(), value)));
        let hs_id = HandshakeId::from_bytes([8; 16]);
        let setup = Setup::new(Suite::X25519, Role::Connect, hs_id, begun.invitation.inviter_fp).unwrap();
        let prekey = x25519::PublicKey::from_bytes(begun.invitation.invite_key);
        let psk = Psk::Invitation(Secret32::from_bytes(*begun.invitation.secret.expose()));
        let start = Start::new(&mut begun.rng, setup, &prekey, &psk).unwrap();
        let (message, _) = start.seal(&mut begun.rng, &begun.bob.signing, payload).unwrap();
        let reaction = begun.responder.receive(begun.now, &message.to_bytes().unwrap());
        assert_eq!(reaction.refusal, (!taken).then_some(Refusal::Misbehaved));
    }
}

#[test]
fn a_responder_with_other_keys_than_invited_cannot_answer() {
    let mut begun = begin(InvitationKind::Connect, 13);
    begun.responder.receive(begun.now, &begun.hs1);
    begun.responder.accept(begun.now).unwrap();
    let other = Side::new(&mut begun.rng, shape(KeyRole::Vault, 1, "Alice"));
    let content = crate::parties::answer(&other);
    let refused = begun.responder.answer(begun.now, &mut begun.rng, &other.party(), &content);
    assert!(matches!(refused, Err(HandshakeFailure::OtherIdentity)));
    assert_eq!(begun.responder.phase(), Phase::Accepted);
}

#[test]
fn a_responder_whose_profile_is_not_its_own_ends_the_handshake() {
    let mut begun = begin(InvitationKind::Connect, 14);
    begun.responder.receive(begun.now, &begun.hs1);
    begun.responder.accept(begun.now).unwrap();
    let content = crate::parties::answer(&begun.bob);
    let hs2 = begun.responder.answer(begun.now, &mut begun.rng, &begun.alice.party(), &content).unwrap();
    let reaction = begun.initiator.receive(begun.now, &hs2.send.unwrap());
    assert_eq!((refusal(&reaction), reaction.alarm), (Refusal::Misbehaved, true));
    assert_eq!(begun.initiator.phase(), Phase::Aborted);
}

#[test]
fn a_device_that_the_record_names_has_to_sign() {
    let device_key = Some(TypedKey::new(KeyAlgorithm::P256, [[4].as_slice(), &[1; 64]].concat()).unwrap());
    let mut begun = begin(InvitationKind::Enroll, 15);
    begun.bob = Side::new(&mut begun.rng, Shape { device_key, ..shape(KeyRole::App, 1, "App") });
    let target = Target::invitation(&begun.invitation).unwrap();
    let (initiator, reaction) =
        Initiator::start(begun.now, &mut begun.rng, &begun.bob.party(), target, &opening(&begun.bob)).unwrap();
    (begun.initiator, begun.hs1) = (initiator, reaction.send.unwrap());
    let hs2 = begun.hs2();
    begun.initiator.receive(begun.now, &hs2);
    begun.initiator.accept(begun.now).unwrap();
    let missing = begun.initiator.finish(begun.now, &mut begun.rng, &begun.bob.party(), &closing());
    assert!(matches!(missing, Err(HandshakeFailure::DeviceSignature)));
    assert!(begun.initiator.th3().is_some());
    let content = Closing { device_sig: Some(Base64::new([1; 64])), ..closing() };
    let hs3 = begun.initiator.finish(begun.now, &mut begun.rng, &begun.bob.party(), &content).unwrap();
    let reaction = begun.responder.receive(begun.now, &hs3.send.unwrap());
    assert_eq!((refusal(&reaction), reaction.alarm), (Refusal::Misbehaved, true));
    assert_eq!(begun.responder.phase(), Phase::Aborted);
}
