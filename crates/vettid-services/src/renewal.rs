//! The way back for an app that was away for so long that its NATS credential died: whoever holds the identity key of the
//! member's enrolled app gets a credential for the handshake subjects, never for more. Whatever is wrong with a request,
//! and whether or not there is such a member, its caller learns the same.

use crate::control_plane::ControlPlane;
use crate::http::error::ApiError;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use vettid_core::enrolment::{Enrolment, Stage};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::nats::key::UserPublic;
use vettid_crypto::signature::{self, Context};
use vettid_store::audit::{Act, Actor};
use vettid_wire::enrolment::{NatsBootstrapped, RenewBootstrap};
use vettid_wire::id::{EventId, Fingerprint};
use vettid_wire::json;
use vettid_wire::time::Timestamp;

/// A request is taken so many milliseconds before and after it says that it was signed.
const TOLERANCE_MS: i64 = 120_000;
/// Lengths of a nonce, in bytes.
pub(crate) const NONCE_BYTES: std::ops::RangeInclusive<usize> = 16..=64;
/// So many requests are remembered at a time.
const MAX_NONCES: usize = 50_000;

impl ControlPlane {
    /// Gives the app of the member's latest completed enrolment a credential for the handshake. `received` is the body as
    /// it came: the signature is over that.
    pub(crate) async fn renew_bootstrap(&self, received: Value) -> Result<NatsBootstrapped, ApiError> {
        let request: RenewBootstrap = json::from_value(received.clone()).map_err(|_| ApiError::InvalidRequest)?;
        let user: UserPublic = request.nkey_pub.parse().map_err(|_| ApiError::InvalidRequest)?;
        if !NONCE_BYTES.contains(&request.nonce.as_bytes().len()) {
            return Err(ApiError::InvalidRequest);
        }
        // The signature is checked first and the ledger is asked in any case, so that a known and an unknown member cost
        // the same.
        let key = VerifyingKey::from_typed(&request.app_key).ok();
        let genuine = key.filter(|key| signature::verify(Context::ServiceRequest, key, &received).is_ok());
        let known = self.ledger.completed_enrolment(request.guid).await?;
        let now = self.now();
        let enrolled = known.and_then(|known| session_of_app(&known, &request));
        let recovering = self.session_of_recovery(&request).await?;
        let (Some(key), Some(session_id)) = (genuine, enrolled.or(recovering)) else {
            return Err(refused("the key is not that of the enrolled app"));
        };
        if !is_timely(request.issued_at, now) {
            return Err(refused("signed too early or too late"));
        }
        if !self.nonces.take(key.fingerprint(), request.nonce.as_bytes(), request.issued_at, now)? {
            return Err(refused("repeated"));
        }
        let minted = self.mint_bootstrap(request.guid, session_id, &user).await?;
        self.ledger.note(&self.entry(Actor::App(session_id), Act::BootstrapRenewed(session_id))).await?;
        Ok(minted)
    }

    /// The enrolment of the member's latest recovery, if that is the app that asks: it may have to wait for more than a day
    /// before its vault takes it.
    async fn session_of_recovery(&self, request: &RenewBootstrap) -> Result<Option<EventId>, ApiError> {
        let latest = self.ledger.latest_recovery(request.guid).await?;
        let latest = latest.filter(|latest| latest.denied_at.is_none() && latest.app_key == request.app_key);
        // Until its vault made a way in, the device is known by its recovery: it may have to unlock the vault first.
        Ok(latest.map(|latest| latest.session_id.unwrap_or(latest.recovery_id)))
    }
}

fn refused(reason: &'static str) -> ApiError {
    tracing::info!(reason, "way back refused");
    ApiError::EnrolmentRefused
}

/// The enrolment, if it is that of the app that asks.
fn session_of_app(known: &Enrolment, request: &RenewBootstrap) -> Option<EventId> {
    match &known.stage {
        Stage::Completed { app_key } if *app_key == request.app_key => Some(known.session_id),
        _ => None,
    }
}

pub(crate) fn is_timely(issued_at: Timestamp, now: Timestamp) -> bool {
    (-TOLERANCE_MS..=TOLERANCE_MS).contains(&now.since_ms(issued_at))
}

/// Requests that were taken, until their time is over. In memory: a restart forgets them, and a repetition gives a
/// credential for the same NKey only. A full table refuses rather than forget.
#[derive(Debug, Default)]
pub(crate) struct Nonces(Mutex<HashMap<(Fingerprint, Vec<u8>), Timestamp>>);

impl Nonces {
    /// Takes a nonce; `false` if it was taken before. Refused: [`ApiError::Unavailable`] if there is no room.
    pub(crate) fn take(
        &self,
        key: Fingerprint,
        nonce: &[u8],
        issued_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, ApiError> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.len() >= MAX_NONCES {
            taken.retain(|_, issued_at| is_timely(*issued_at, now));
        }
        let name = (key, nonce.to_vec());
        if taken.contains_key(&name) {
            return Ok(false);
        }
        if taken.len() >= MAX_NONCES {
            return Err(ApiError::Unavailable);
        }
        taken.insert(name, issued_at);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000 + ms)
    }

    fn taken(nonces: &Nonces, key: u8, nonce: u32, now: Timestamp) -> Option<bool> {
        nonces.take(Fingerprint::from_bytes([key; 32]), &nonce.to_be_bytes(), at(0), now).ok()
    }

    #[test]
    fn two_minutes_before_and_after_are_in_time() {
        for (ms, timely) in [(-120_001, false), (-120_000, true), (0, true), (120_000, true), (120_001, false)] {
            assert_eq!(is_timely(at(0), at(ms)), timely, "{ms}");
        }
    }

    #[test]
    fn a_nonce_of_a_key_is_taken_once() {
        let nonces = Nonces::default();
        assert_eq!(taken(&nonces, 1, 7, at(0)), Some(true));
        assert_eq!(taken(&nonces, 1, 7, at(120_000)), Some(false));
        assert_eq!((taken(&nonces, 1, 8, at(0)), taken(&nonces, 2, 7, at(0))), (Some(true), Some(true)));
    }

    #[test]
    fn a_full_table_refuses_until_its_requests_are_too_old() {
        let nonces = Nonces::default();
        let count = u32::try_from(MAX_NONCES).unwrap();
        assert!((0..count).all(|nonce| taken(&nonces, 1, nonce, at(0)) == Some(true)));
        assert_eq!(taken(&nonces, 1, count, at(120_000)), None);
        assert_eq!(taken(&nonces, 1, 0, at(120_000)), Some(false), "nothing was forgotten");
        assert_eq!(taken(&nonces, 1, count, at(120_001)), Some(true));
    }
}
