//! Services as an issuer: each step is an act under a token with proof (spec 2.16). Their proofs name the address that this app
//! itself connected to, so a relay under another name shows before a password is typed.

use crate::app::{App, Ports};
use crate::clock::Clock;
use crate::intent::{Intent, Settled};
use crate::member_api::{Acting, MemberApi};
use crate::random::{self, SystemRandom};
use crate::recovery::Known;
use crate::services::ServicesAddress;
use crate::store::Store;
use crate::vault_credential::CredentialError;
use crate::vault_credential::desk::Desk;
use crate::vault_credential::issuer_line::{Asked, IssuerLine};
use crate::vault_credential::kept::{Places, SERVICES};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use vettid_core::action::Action;
use vettid_core::channel::body_hash;
use vettid_crypto::identity::SigningKey;
use vettid_wire::credential::{
    ChallengeRequest, Confirm, ConfirmReply, CredentialStatus, LatAnswer, ReplenishKeys, ReplenishedKeys, UseResult,
};
use vettid_wire::event::{CredentialCreate, CredentialUse, EventRow, Nothing};
use vettid_wire::id::{EventId, Fingerprint, MemberId, OperationId};
use vettid_wire::json;
use vettid_wire::services_credential::ServicesKeys;
use vettid_wire::time::Timestamp;

/// The line to services, with the state of the app held.
pub(crate) struct ServicesLine<'l, P: Ports> {
    app: &'l App<P>,
    hold: &'l mut <P::Store as Store>::Hold,
    guid: MemberId,
    key: &'l SigningKey,
    at: ServicesAddress<'l>,
}

impl<'l, P: Ports> ServicesLine<'l, P>
where
    P::Services: MemberApi,
{
    pub(super) fn new(app: &'l App<P>, hold: &'l mut <P::Store as Store>::Hold, known: &'l Known) -> Self {
        let (guid, key, url, trust) = known.parts();
        let at = ServicesAddress { url, trust: app.trust.as_deref().unwrap_or(trust) };
        Self { app, hold, guid, key, at }
    }

    /// The flows over this line. What waits for the other credential is decided first.
    pub(super) fn desk(&mut self) -> Result<Desk<'_, Self>, CredentialError> {
        super::decide(self.hold, self.guid)?;
        Desk::open(self)
    }

    fn acting(&self) -> Acting<'l> {
        Acting { at: self.at, guid: self.guid, key: self.key, rng: self.app.ports.random() }
    }

    async fn act<R: DeserializeOwned>(&mut self, action: Action, body: &(impl Serialize + Sync)) -> Asked<R> {
        let (app, mut acting) = (self.app, self.acting());
        Ok(acting.act(app.ports.services(), app.ports.clock(), action, body).await?)
    }

    async fn act_again<R: DeserializeOwned>(
        &mut self,
        action: Action,
        op_id: OperationId,
        body: &(impl Serialize + Sync),
    ) -> Asked<R> {
        let (app, mut acting) = (self.app, self.acting());
        Ok(acting.act_again(app.ports.services(), app.ports.clock(), (action, op_id), body).await?)
    }
}

impl<P: Ports> IssuerLine for ServicesLine<'_, P>
where
    P::Services: MemberApi,
{
    type Hold = <P::Store as Store>::Hold;
    const PLACES: &'static Places = &SERVICES;
    const OPENS_INNER_LAYER: bool = false;

    fn endpoint() -> &'static str {
        Action::UseCredential.endpoint()
    }

    fn hold(&mut self) -> &mut Self::Hold {
        self.hold
    }

    fn guid(&self) -> MemberId {
        self.guid
    }

    /// Services name themselves with the first transaction keys; from then on it is what is kept.
    fn issuer(&self) -> Option<Fingerprint> {
        None
    }

    fn host(&self) -> String {
        self.at.url.trim_end_matches('/').to_owned()
    }

    fn now(&self) -> Timestamp {
        self.app.ports.clock().now()
    }

    fn random(&self) -> SystemRandom {
        self.app.ports.random()
    }

    fn tell(&self, settled: Settled) {
        self.app.tell_settled(settled);
    }

    /// A stored request is good at any time: each try gets a token of its own.
    fn question(&self, is_creation: bool, body: &Value) -> Asked<Intent> {
        let row = if is_creation { CredentialCreate::ROW } else { CredentialUse::ROW };
        let started_at = self.now();
        Ok(Intent {
            event_id: EventId::v7(started_at, random::bytes(&mut self.random())),
            event_type: row.event_type(),
            body: body.clone(),
            body_hash: body_hash(body)?,
            started_at,
            expires_at: None,
        })
    }

    async fn status(&mut self) -> Asked<CredentialStatus> {
        self.act(Action::CredentialStatus, &Nothing {}).await
    }

    async fn replenish(&mut self, held: &ReplenishKeys) -> Asked<(Fingerprint, ReplenishedKeys)> {
        let ServicesKeys { issuer, new_transaction_keys, live_key_ids } = self.act(Action::ReplenishKeys, held).await?;
        Ok((issuer, ReplenishedKeys { new_transaction_keys, live_key_ids }))
    }

    async fn challenge(&mut self, request: &ChallengeRequest) -> Asked<LatAnswer> {
        self.act(Action::Challenge, request).await
    }

    async fn put(&mut self, is_creation: bool, question: &Intent) -> Asked<UseResult> {
        /// The part of a request that names its operation.
        #[derive(serde::Deserialize)]
        struct Named {
            op_id: OperationId,
        }
        let Named { op_id } = json::from_value(question.body.clone())?;
        let action = if is_creation { Action::CreateCredential } else { Action::UseCredential };
        self.act_again(action, op_id, &question.body).await
    }

    async fn confirm(&mut self, confirm: &Confirm) -> Asked<ConfirmReply> {
        self.act_again(Action::ConfirmCredential, confirm.op_id, confirm).await
    }
}
