//! The responder's beginning: an invitation with a prekey and a secret for one use.

use rand_core::CryptoRng;
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{Suite, x25519};
use vettid_wire::handshake::{
    EnrolmentPointer, InvalidInvitation, Invitation, InvitationKind, InvitationSecret, Role, SpaceUri,
};
use vettid_wire::id::InviteId;
use vettid_wire::time::Timestamp;

use super::{HandshakeFailure, MAX_LINK_LIFE_MS, Party, Responder};

/// What an invitation says beyond the keys.
#[derive(Debug, Clone)]
pub struct InvitationTerms {
    /// The inviter's MessageSpace; for enrolment the member's OwnerSpace.
    pub space: SpaceUri,
    /// When it dies: at most ten minutes on a screen, 24 hours as a link.
    pub expires_at: Timestamp,
    /// A name for the eye.
    pub inviter_hint: String,
    /// Present exactly for enrolment.
    pub enrolment: Option<EnrolmentPointer>,
}

/// A new invitation: the state to be stored and the object to be shown.
#[derive(Debug)]
pub struct Invited {
    /// Waits for the first message.
    pub responder: Responder,
    /// Carries a token once the shell has put one in.
    pub invitation: Invitation,
}

/// Makes an invitation of this kind. Its `token` is empty: the shell mints it for `invite_id`.
///
/// # Errors
/// [`HandshakeFailure::Invitation`] for a life of no or more than 24 hours, or enrolment data that does not fit.
pub fn invite(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    party: &Party<'_>,
    kind: InvitationKind,
    terms: InvitationTerms,
) -> Result<Invited, HandshakeFailure> {
    let life_ms = terms.expires_at.since_ms(now);
    let fits = (1..=MAX_LINK_LIFE_MS).contains(&life_ms)
        && terms.enrolment.is_some() == (kind == InvitationKind::Enroll)
        && terms.space.guid() == party.key_record.record().guid;
    if !fits {
        return Err(InvalidInvitation::Malformed.into());
    }
    let (prekey, secret) = (x25519::SecretKey::random(rng), Secret32::random(rng));
    let mut invite_id = [0; 16];
    rng.fill_bytes(&mut invite_id);
    let invitation = Invitation {
        kind,
        space: terms.space,
        token: String::new(),
        expires_at: terms.expires_at,
        inviter_hint: terms.inviter_hint,
        inviter_fp: party.key_record.fingerprint(),
        invite_key: *prekey.public_key().as_bytes(),
        invite_id: InviteId::from_bytes(invite_id),
        secret: InvitationSecret::from_bytes(*secret.expose()),
        suites: vec![Suite::X25519.id()],
        enrolment: terms.enrolment,
    };
    let responder = Responder::invited(role_of(kind), party, terms.expires_at, prekey, secret);
    Ok(Invited { responder, invitation })
}

/// The role of the handshake that answers an invitation.
pub(super) fn role_of(kind: InvitationKind) -> Role {
    match kind {
        InvitationKind::Enroll => Role::Enroll,
        InvitationKind::Connect => Role::Connect,
        InvitationKind::Service => Role::Service,
    }
}
