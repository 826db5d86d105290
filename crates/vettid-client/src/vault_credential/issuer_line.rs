//! The line to the issuer of a credential, as the holder's flows need it: the vault over its session, or services over HTTP.
//! The flows are the same for both. Must never repeat a request in other bytes than those that are stored.

use super::failure::CredentialError;
use super::kept::Places;
use crate::intent::{Intent, Settled};
use crate::random::SystemRandom;
use crate::store::Hold;
use serde_json::Value;
use std::future::Future;
use vettid_wire::credential::{
    ChallengeRequest, Confirm, ConfirmReply, CredentialStatus, JournalHead, LatAnswer, ReplenishKeys, ReplenishedKeys,
    UseResult,
};
use vettid_wire::id::{Fingerprint, MemberId};
use vettid_wire::time::Timestamp;

/// What an issuer says, or why it says nothing.
pub(crate) type Asked<T> = Result<T, CredentialError>;

/// The line to one issuer, with the state of the app held.
pub(crate) trait IssuerLine: Send {
    /// The held state.
    type Hold: Hold;
    /// Where the credential of this issuer is kept.
    const PLACES: &'static Places;
    /// Whether the issuer opens the inner layer, and so gets its key with each proof of the password. Services never do.
    const OPENS_INNER_LAYER: bool;

    /// The endpoint in the issuer's proof (spec 2.8).
    fn endpoint() -> &'static str;
    fn hold(&mut self) -> &mut Self::Hold;
    fn guid(&self) -> MemberId;
    /// The issuer, where it is known before it was asked for the first time.
    fn issuer(&self) -> Option<Fingerprint>;
    /// The issuer as its proofs name it: `scheme://host` as this app reached it.
    fn host(&self) -> String;
    fn now(&self) -> Timestamp;
    fn random(&self) -> SystemRandom;
    /// Tells the member what became of an earlier operation.
    fn tell(&self, settled: Settled);
    /// What carries a request until its outcome is known.
    fn question(&self, is_creation: bool, body: &Value) -> Asked<Intent>;

    /// Whether the issuer does nothing but look at the password, until it was proved.
    fn is_limited(&self) -> bool {
        false
    }

    /// After an operation with the password: ends the limit, where there was one.
    fn lift_limit(&mut self) -> impl Future<Output = Asked<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// The end of the issuer's journal as this app knows it; only a vault has one.
    fn journal_head(&self) -> Option<JournalHead> {
        None
    }

    fn status(&mut self) -> impl Future<Output = Asked<CredentialStatus>> + Send;
    fn replenish(&mut self, held: &ReplenishKeys)
    -> impl Future<Output = Asked<(Fingerprint, ReplenishedKeys)>> + Send;
    fn challenge(&mut self, request: &ChallengeRequest) -> impl Future<Output = Asked<LatAnswer>> + Send;
    /// Sends a stored request.
    fn put(&mut self, is_creation: bool, question: &Intent) -> impl Future<Output = Asked<UseResult>> + Send;
    fn confirm(&mut self, confirm: &Confirm) -> impl Future<Output = Asked<ConfirmReply>> + Send;
}
