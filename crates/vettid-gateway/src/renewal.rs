//! Renewal of the NATS credentials of a connection on the service's side: the same as in a vault (docs/decisions/0131). Pure; what is to
//! be sent stands in the outbox and may leave only after the commit.

use crate::connection::{Live, Post, Route};
use crate::handshake::{GIVE_UP_AFTER_MS, HandshakeFailed, Own, is_ours};
use rand_core::CryptoRng;
use serde_json::Value;
use vettid_core::grants::mint::{self, MemberIdentity};
use vettid_core::grants::newest::Standing;
use vettid_crypto::nats::key::UserPublic;
use vettid_crypto::nats::token::UserJwt;
use vettid_crypto::nats::user::UserClaims;
use vettid_wire::base64::Base64;
use vettid_wire::connection::ConnectionCredential;
use vettid_wire::envelope::Content;
use vettid_wire::event::{EventRow as _, ServiceCredential};
use vettid_wire::handshake::Claim;
use vettid_wire::id::EventId;
use vettid_wire::json;
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

/// The member's credential is renewed when this much of its life is over, in milliseconds (half of seven days).
const RENEW_AFTER_MS: i64 = 7 * 24 * 3600 * 1000 / 2;
/// Between two times at which this side says that its own credential ran out, and between two answers to that of the member.
const ASK_AGAIN_MS: i64 = 24 * 3600 * 1000;
const ANSWER_AGAIN_MS: i64 = 3600 * 1000;

/// Issues a fresh credential if it is time. `true` if the connection has to be stored.
///
/// # Errors
/// [`HandshakeFailed`].
pub(crate) fn keep_up(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    own: Own<'_>,
    live: &mut Live,
) -> Result<bool, HandshakeFailed> {
    if !live.record.is_active() {
        return Ok(false);
    }
    let issued_at = live.record.credential_issued_at.unwrap_or(live.record.created_at);
    let ran_out = || expires_at(now, live.record.member.jwt.as_deref()).is_none();
    let Some(Issue { asks }) = due(now, issued_at, own.identity.signing_from(), ran_out) else {
        return Ok(false);
    };
    issue(now, rng, own, live, asks)?;
    Ok(true)
}

/// A fresh credential is to be issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Issue {
    /// With the word that this side needs one, too.
    asks: bool,
}

/// Whether a credential is to be issued, where the last one was issued at `issued_at`, the keys that sign are in use since `signing_from` (if
/// they were ever changed), and the own credential has run out or not.
fn due(
    now: Timestamp,
    issued_at: Timestamp,
    signing_from: Option<Timestamp>,
    ran_out: impl FnOnce() -> bool,
) -> Option<Issue> {
    let age_ms = now.since_ms(issued_at);
    // What former keys signed is replaced before the broker forgets them.
    let is_of_former_keys = signing_from.is_some_and(|from| issued_at < from);
    let is_due = is_of_former_keys || age_ms >= RENEW_AFTER_MS;
    // Each answer comes by here, and to look at the own credential is to verify a signature.
    if !is_due && age_ms < ASK_AGAIN_MS {
        return None;
    }
    let asks = ran_out();
    (is_due || asks).then_some(Issue { asks })
}

/// The member sent a fresh credential; if the member's own ran out, the member gets one at once. `false` if it does not count.
///
/// # Errors
/// [`HandshakeFailed`].
pub(crate) fn receive(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    own: Own<'_>,
    live: &mut Live,
    event: EventId,
    body: Value,
) -> Result<bool, HandshakeFailed> {
    let Ok(sent) = json::from_value::<ConnectionCredential>(body) else {
        return Ok(false);
    };
    let member = &mut live.record.member;
    let held = Standing { expires_at: expires_at(now, member.jwt.as_deref()), event: member.jwt_brought_by };
    let fresh = Standing { expires_at: expires_at(now, Some(&sent.jwt)), event: Some(event) };
    if fresh > held {
        if !is_ours(now, own, member, &sent.jwt) {
            return Ok(false);
        }
        member.jwt = Some(sent.jwt);
        member.jwt_brought_by = Some(event);
        member.claim = Some(Claim { messagespace_uri: member.space.clone(), token: sent.way_back });
        live.forget_address();
    }
    let issued_at = live.record.credential_issued_at.unwrap_or(live.record.created_at);
    if sent.asks && now.since_ms(issued_at) >= ANSWER_AGAIN_MS {
        issue(now, rng, own, live, false)?;
    }
    Ok(true)
}

fn expires_at(now: Timestamp, jwt: Option<&str>) -> Option<Timestamp> {
    let jwt = UserJwt::unchecked(jwt?.to_owned());
    UserClaims::received(&jwt, now).ok().map(|claims| claims.expires_at)
}

fn issue(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    own: Own<'_>,
    live: &mut Live,
    asks: bool,
) -> Result<(), HandshakeFailed> {
    live.record.credential_issued_at = Some(now);
    let id = live.record.connection_id;
    let user = live.record.member.nkey.as_ref().and_then(|text| text.parse::<UserPublic>().ok());
    let (Some(user), Some(channel)) = (user, live.channel.as_mut()) else {
        return Ok(());
    };
    let account = own.identity.account()?;
    let (signing, claims) = (own.identity.connection_signing()?, own.identity.claim_signing()?);
    let minted = mint::member(&MemberIdentity::Connection(id), &user, account.public(), &signing, now)?;
    let way_back = mint::way_back(id, &user, account.public(), &claims, now)?;
    let body =
        ConnectionCredential { jwt: minted.jwt.as_str().to_owned(), way_back: way_back.jwt.as_str().to_owned(), asks };
    let mut random = [0; 10];
    rng.fill_bytes(&mut random);
    let (event_id, event_type) = (EventId::v7(now, random), ServiceCredential::ROW.event_type());
    let (guid, service_id) = (live.record.member.guid, own.presentation.service_id.clone());
    let by_way_back = asks && live.record.member.claim.is_some();
    let (route, subject) = if by_way_back {
        (Route::Claim, Subject::handshake(guid, live.record.hs_id()))
    } else {
        (Route::Service, Subject::FromService(guid, service_id, event_type.clone()))
    };
    let to_incarnation = channel.peer_incarnation();
    let content = Content { body, to_incarnation, in_reply_to: None, expires_at: None };
    let bytes = channel.seal(now, rng, &subject, event_id, &event_type, &content)?;
    let give_up_at = now.plus_ms(GIVE_UP_AFTER_MS);
    live.record.outbox.push(Post { message: event_id, route, subject, bytes: Base64::new(bytes), give_up_at });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUED: i64 = 1_767_225_600_000;
    const FRESH: Issue = Issue { asks: false };
    const ASKING: Issue = Issue { asks: true };

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ISSUED + ms)
    }

    fn after(ms: i64, ran_out: bool) -> Option<Issue> {
        due(at(ms), at(0), None, || ran_out)
    }

    #[test]
    fn the_members_credential_is_renewed_at_half_of_its_life() {
        assert_eq!(after(RENEW_AFTER_MS - 1, false), None);
        assert_eq!(after(RENEW_AFTER_MS, false), Some(FRESH));
        assert_eq!(after(RENEW_AFTER_MS, true), Some(ASKING), "and this side asks in the same message");
    }

    #[test]
    fn a_credential_that_ran_out_is_asked_for_once_a_day() {
        assert_eq!(due(at(ASK_AGAIN_MS - 1), at(0), None, || panic!("not looked at yet")), None);
        assert_eq!(after(ASK_AGAIN_MS, true), Some(ASKING), "long before the next renewal");
        assert_eq!(after(ASK_AGAIN_MS, false), None);
        const { assert!(ASK_AGAIN_MS == 24 * 3600 * 1000 && ASK_AGAIN_MS < RENEW_AFTER_MS) };
    }

    #[test]
    fn what_former_keys_signed_is_replaced_at_once() {
        assert_eq!(due(at(1), at(0), Some(at(1)), || false), Some(FRESH));
        assert_eq!(due(at(1), at(0), Some(at(1)), || true), Some(ASKING));
        assert_eq!(due(at(1), at(0), Some(at(0)), || false), None, "the keys of today signed it");
    }
}
