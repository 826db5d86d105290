//! New versions of the contract on connections that exist: offered, signed; the member's acceptance, countersigned. Pure; what is
//! to be sent stands in the outbox and may leave only after the commit.

use crate::connection::{Live, Post, Route};
use crate::handshake::{GIVE_UP_AFTER_MS, HandshakeFailed, Own, countersign};
use crate::question::MAX_SKEW_MS;
use rand_core::CryptoRng;
use serde::Serialize;
use serde_json::Value;
use vettid_core::contract::versions::{AcceptanceRefused, AcceptanceTaken, is_offer_due, take_acceptance};
use vettid_crypto::signature::{Context, check, sign_object};
use vettid_wire::base64::Base64;
use vettid_wire::contract::Acceptance;
use vettid_wire::envelope::Content;
use vettid_wire::event::{ContractCountersigned, ContractOffered, EventRow as _, Row};
use vettid_wire::id::EventId;
use vettid_wire::json;
use vettid_wire::offer::ContractOffer;
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

/// Whether a post carries an offer.
#[must_use]
pub(crate) fn is_offer(post: &Post) -> bool {
    matches!(&post.subject, Subject::FromService(_, _, event_type) if *event_type == ContractOffered::ROW.event_type())
}

/// Offers the newest version if the member neither accepted it nor was offered it. `true` if the connection has to be stored.
///
/// # Errors
/// [`HandshakeFailed`].
pub(crate) fn keep_up(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    own: Own<'_>,
    live: &mut Live,
) -> Result<bool, HandshakeFailed> {
    let newest = own.contracts.newest();
    let accepted = live.record.contract.contract_version;
    if !live.record.is_active() || !is_offer_due(newest.number(), accepted, live.record.offered_version) {
        return Ok(false);
    }
    let key = own.identity.signing_key();
    let unsigned = ContractOffer {
        connection_id: live.record.connection_id,
        contract: newest.contract.clone(),
        offered_at: now,
        key_id: key.key_id(),
        signature: Base64::default(),
    };
    let offer: ContractOffer = json::from_value(sign_object(Context::ContractOffer, key, &unsigned)?)?;
    // An offer that has not left is overtaken by this one.
    live.record.outbox.retain(|post| !is_offer(post));
    post(now, rng, own, live, &ContractOffered::ROW, offer)?;
    live.record.offered_version = Some(newest.number());
    Ok(true)
}

/// What an acceptance led to.
#[derive(Debug)]
pub(crate) enum Received {
    /// New terms are in force; the counter-signature stands in the outbox.
    InForce,
    /// Known.
    Nothing,
    /// It does not count.
    Refused(AcceptanceRefused),
    /// It is not the member's, or of another time.
    Forged,
}

/// Takes an acceptance of the member's.
///
/// # Errors
/// [`HandshakeFailed`].
pub(crate) fn receive(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    own: Own<'_>,
    live: &mut Live,
    body: Value,
) -> Result<Received, HandshakeFailed> {
    let (Ok(acceptance), Ok(key)) = (json::from_value::<Acceptance>(body), live.record.member.signing()) else {
        return Ok(Received::Forged);
    };
    let genuine = check(Context::ContractAccept, &key, acceptance.clone()).is_ok();
    let Some(in_force) = live.record.accepted.as_ref().filter(|_| genuine && live.record.is_active()) else {
        return Ok(Received::Forged);
    };
    if acceptance.accepted_at > now.plus_ms(MAX_SKEW_MS) {
        return Ok(Received::Forged);
    }
    let version = own.contracts.get(acceptance.contract_version);
    let published = version.as_ref().map(|version| (&version.contract, &version.contract_hash));
    let mut accepted = match take_acceptance(in_force, |_| published, &acceptance) {
        Ok(AcceptanceTaken::InForce(accepted)) => *accepted,
        Ok(AcceptanceTaken::Known) => return Ok(Received::Nothing),
        Err(refused) => return Ok(Received::Refused(refused)),
    };
    let counter_signature = countersign(now, own, live.record.connection_id, &acceptance)?;
    post(now, rng, own, live, &ContractCountersigned::ROW, &counter_signature)?;
    accepted.counter_signature = Some(counter_signature);
    let record = &mut live.record;
    record.contract = accepted.contract.clone();
    record.contract_hash = accepted.contract_hash.clone();
    record.offered_version = record.offered_version.filter(|offered| *offered > accepted.contract.contract_version);
    record.accepted = Some(accepted);
    Ok(Received::InForce)
}

fn post(
    now: Timestamp,
    rng: &mut dyn CryptoRng,
    own: Own<'_>,
    live: &mut Live,
    row: &Row,
    body: impl Serialize,
) -> Result<(), HandshakeFailed> {
    let Some(channel) = live.channel.as_mut() else {
        return Ok(());
    };
    let mut random = [0; 10];
    rng.fill_bytes(&mut random);
    let (event_id, event_type) = (EventId::v7(now, random), row.event_type());
    let subject =
        Subject::FromService(live.record.member.guid, own.presentation.service_id.clone(), event_type.clone());
    let to_incarnation = channel.peer_incarnation();
    let content = Content { body, to_incarnation, in_reply_to: None, expires_at: None };
    let bytes = channel.seal(now, rng, &subject, event_id, &event_type, &content)?;
    let give_up_at = now.plus_ms(GIVE_UP_AFTER_MS);
    live.record.outbox.push(Post {
        message: event_id,
        route: Route::Service,
        subject,
        bytes: Base64::new(bytes),
        give_up_at,
    });
    Ok(())
}
