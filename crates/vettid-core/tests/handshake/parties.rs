//! Two parties with key records and profiles, and the invitations between them.

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use vettid_core::handshake::{
    Answer, Closing, Initiator, InvitationTerms, Invited, Opening, Party, Reaction, Refusal, Responder, Target, invite,
};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::key_record::{self, Draft, VerifiedKeyRecord, kem_key};
use vettid_crypto::signature::{self, Context};
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_wire::base64::Base64;
use vettid_wire::handshake::{Claim, EnrolmentPointer, Invitation, InvitationKind, SpaceUri};
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::key::TypedKey;
use vettid_wire::key_record::KeyRole;
use vettid_wire::profile::{PublicProfile, SignedProfile};
use vettid_wire::time::Timestamp;

pub(crate) const MINUTE_MS: i64 = 60_000;
pub(crate) const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// The day on which the tests take place.
pub(crate) fn start_of_day() -> Timestamp {
    "2026-11-21T00:00:00.000Z".parse().unwrap()
}

/// One side with all its keys.
pub(crate) struct Side {
    pub(crate) identity: SigningKey,
    pub(crate) signing: SigningKey,
    pub(crate) kem: KemSecretKey,
    pub(crate) record: VerifiedKeyRecord,
    pub(crate) profile: SignedProfile,
}

/// What differs between the sides of a test.
pub(crate) struct Shape {
    pub(crate) role: KeyRole,
    pub(crate) guid: MemberId,
    pub(crate) name: &'static str,
    pub(crate) device_key: Option<TypedKey>,
    pub(crate) expires_at: Timestamp,
}

impl Side {
    pub(crate) fn new(rng: &mut StdRng, shape: Shape) -> Self {
        let (identity, signing) = (SigningKey::random(rng), SigningKey::random(rng));
        let kem = KemSecretKey::generate(Suite::X25519, rng).unwrap();
        let issued_at = start_of_day().plus_ms(-DAY_MS);
        let draft = Draft {
            role: shape.role,
            guid: shape.guid,
            signing_key: signing.verifying_key(),
            device_key: shape.device_key,
            kem_keys: vec![kem_key(&kem.public_key(), issued_at, shape.expires_at)],
            suites: vec![Suite::X25519],
            issued_at,
            expires_at: shape.expires_at,
        };
        let record = key_record::build(draft, &identity, None).unwrap();
        let mut profile = SignedProfile {
            profile_version: "1.0".to_owned(),
            guid: shape.guid,
            public_key: identity.verifying_key().typed(),
            key_record: record.record().clone(),
            restore_key: None,
            public: PublicProfile { first_name: shape.name.to_owned(), ..PublicProfile::default() },
            service: None,
            event_types: vec![],
            items: std::collections::BTreeMap::new(),
            supported: vec![],
            sequence: 1,
            updated_at: start_of_day(),
            valid_until: start_of_day().plus_ms(30 * DAY_MS),
            key_id: signing.key_id(),
            signature: Base64::default(),
        };
        profile.signature = signature::sign(Context::Profile, &signing, &profile).unwrap();
        Self { identity, signing, kem, record, profile }
    }

    pub(crate) fn party(&self) -> Party<'_> {
        Party { key_record: &self.record, signing: &self.signing }
    }

    pub(crate) fn space(&self) -> SpaceUri {
        SpaceUri::new("tls://broker:4222", self.record.record().guid).unwrap()
    }
}

/// A plain shape of a role.
pub(crate) fn shape(role: KeyRole, guid: u8, name: &'static str) -> Shape {
    let expires_at = start_of_day().plus_ms(365 * DAY_MS);
    Shape { role, guid: MemberId::from_bytes([guid; 16]), name, device_key: None, expires_at }
}

/// The two sides of a kind of invitation: initiator (Bob or his app), responder (Alice, her vault, or a shop).
pub(crate) fn sides(kind: InvitationKind, rng: &mut StdRng) -> (Side, Side) {
    let (initiator, responder) = match kind {
        InvitationKind::Enroll => (shape(KeyRole::App, 1, "App"), shape(KeyRole::Vault, 1, "Alice")),
        InvitationKind::Connect => (shape(KeyRole::Vault, 2, "Bob"), shape(KeyRole::Vault, 1, "Alice")),
        InvitationKind::Service => (shape(KeyRole::Vault, 2, "Bob"), shape(KeyRole::Service, 3, "Shop")),
    };
    (Side::new(rng, initiator), Side::new(rng, responder))
}

pub(crate) fn terms(kind: InvitationKind, inviter: &Side, expires_at: Timestamp) -> InvitationTerms {
    let session_id = EventId::from_bytes([7; 16]);
    let enrolment = EnrolmentPointer { services_url: "https://services".to_owned(), session_id };
    InvitationTerms {
        space: inviter.space(),
        expires_at,
        inviter_hint: "A.".to_owned(),
        enrolment: (kind == InvitationKind::Enroll).then_some(enrolment),
    }
}

pub(crate) fn opening(side: &Side) -> Opening {
    Opening {
        profile: Some(side.profile.clone()),
        nkey_pub: Some("UINITIATOR".to_owned()),
        pairwise_key: Some(side.identity.verifying_key().typed()),
        claim: Some(Claim { messagespace_uri: side.space(), token: "claim".to_owned() }),
        ..Opening::default()
    }
}

pub(crate) fn answer(side: &Side) -> Answer {
    Answer {
        profile: Some(side.profile.clone()),
        jwt: Some("jwt for UINITIATOR".to_owned()),
        nkey_pub: Some("URESPONDER".to_owned()),
        incarnation: Some(3),
        ..Answer::default()
    }
}

pub(crate) fn closing() -> Closing {
    Closing { jwt: Some("jwt for URESPONDER".to_owned()), ..Closing::default() }
}

/// Two sides with an invitation that the initiator has answered.
pub(crate) struct Begun {
    pub(crate) rng: StdRng,
    pub(crate) now: Timestamp,
    pub(crate) alice: Side,
    pub(crate) bob: Side,
    pub(crate) invitation: Invitation,
    pub(crate) responder: Responder,
    pub(crate) initiator: Initiator,
    pub(crate) hs1: Vec<u8>,
}

/// Alice invites, Bob sends the first message.
pub(crate) fn begin(kind: InvitationKind, seed: u64) -> Begun {
    let mut rng = StdRng::seed_from_u64(seed);
    let now = start_of_day();
    let (bob, alice) = sides(kind, &mut rng);
    let terms = terms(kind, &alice, now.plus_ms(10 * MINUTE_MS));
    let Invited { responder, invitation } = invite(now, &mut rng, &alice.party(), kind, terms).unwrap();
    let invitation = Invitation::read(&invitation.to_text().unwrap()).unwrap();
    let target = Target::invitation(&invitation).unwrap();
    let (initiator, reaction) = Initiator::start(now, &mut rng, &bob.party(), target, &opening(&bob)).unwrap();
    let hs1 = reaction.send.unwrap();
    Begun { rng, now, alice, bob, invitation, responder, initiator, hs1 }
}

impl Begun {
    /// Alice takes the first message, accepts, and makes the second one.
    pub(crate) fn hs2(&mut self) -> Vec<u8> {
        let reaction = self.responder.receive(self.now, &self.hs1);
        assert_eq!(reaction, Reaction { changed: true, ..Reaction::default() });
        self.answer()
    }

    pub(crate) fn answer(&mut self) -> Vec<u8> {
        self.responder.accept(self.now).unwrap();
        let content = answer(&self.alice);
        let reaction = self.responder.answer(self.now, &mut self.rng, &self.alice.party(), &content).unwrap();
        reaction.send.unwrap()
    }

    /// Bob takes the second message, accepts, and makes the third one.
    pub(crate) fn hs3(&mut self, hs2: &[u8]) -> Vec<u8> {
        let reaction = self.initiator.receive(self.now, hs2);
        assert_eq!(reaction, Reaction { changed: true, ..Reaction::default() });
        self.initiator.accept(self.now).unwrap();
        let reaction = self.initiator.finish(self.now, &mut self.rng, &self.bob.party(), &closing()).unwrap();
        reaction.send.unwrap()
    }
}

/// Why a message was refused; nothing is sent then.
pub(crate) fn refusal(reaction: &Reaction) -> Refusal {
    assert_eq!(reaction.send, None);
    reaction.refusal.unwrap()
}

/// As it comes back from the sealed store.
pub(crate) fn reload<T: Serialize + DeserializeOwned>(state: &T) -> T {
    serde_json::from_slice(&serde_json::to_vec(state).unwrap()).unwrap()
}
