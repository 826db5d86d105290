//! The vault as an issuer: its line is the session. It has no address of its own, so its proofs name it by its member.

use super::failure::CredentialError;
use super::issuer_line::{Asked, IssuerLine};
use super::kept::{Places, VAULT};
use crate::app::Ports;
use crate::command::CommandError;
use crate::intent::{Intent, Settled};
use crate::line::Line;
use crate::random::SystemRandom;
use crate::store::Store;
use serde_json::Value;
use vettid_wire::credential::{
    ChallengeRequest, Confirm, ConfirmReply, CredentialStatus, JournalHead, LatAnswer, ReplenishKeys, ReplenishedKeys,
    UseResult,
};
use vettid_wire::event::{
    self, CredentialChallenge, CredentialConfirm, CredentialCreate, CredentialReplenish, CredentialUse, EventRow,
    Nothing,
};
use vettid_wire::id::{Fingerprint, MemberId};
use vettid_wire::time::Timestamp;

impl<P: Ports> Line<'_, P> {
    /// Asks the vault something that is kept elsewhere, or does no harm when it is asked twice.
    pub(super) async fn ask_vault<R: EventRow>(&mut self, request: &R::Request) -> Asked<R::Reply> {
        let question = Line::question(self, &R::ROW, request)?;
        Ok(self.ask_unlogged::<R>(&question).await?)
    }
}

impl<P: Ports> IssuerLine for Line<'_, P> {
    type Hold = <P::Store as Store>::Hold;
    const PLACES: &'static Places = &VAULT;
    const OPENS_INNER_LAYER: bool = true;

    fn endpoint() -> &'static str {
        CredentialUse::ROW.name
    }

    fn hold(&mut self) -> &mut Self::Hold {
        &mut self.hold
    }

    fn guid(&self) -> MemberId {
        self.member.guid
    }

    fn issuer(&self) -> Option<Fingerprint> {
        Some(self.member.vault.fingerprint)
    }

    fn host(&self) -> String {
        format!("vettid://{}", self.member.guid)
    }

    fn now(&self) -> Timestamp {
        Line::now(self)
    }

    fn random(&self) -> SystemRandom {
        self.app.ports.random()
    }

    fn tell(&self, settled: Settled) {
        self.app.tell_settled(settled);
    }

    fn question(&self, is_creation: bool, body: &Value) -> Asked<Intent> {
        let row = if is_creation { CredentialCreate::ROW } else { CredentialUse::ROW };
        Ok(Line::question(self, &row, body)?)
    }

    fn is_limited(&self) -> bool {
        Line::is_limited(self)
    }

    async fn lift_limit(&mut self) -> Asked<()> {
        Ok(Line::lift_limit(self).await?)
    }

    fn journal_head(&self) -> Option<JournalHead> {
        self.member.vault.journal_head()
    }

    async fn status(&mut self) -> Asked<CredentialStatus> {
        let status = self.ask_vault::<event::CredentialStatus>(&Nothing {}).await?;
        if let Some(head) = &status.journal_head
            && self.member.vault.meet_journal(head).map_err(CommandError::from)?
        {
            self.save()?;
        }
        Ok(status)
    }

    async fn replenish(&mut self, held: &ReplenishKeys) -> Asked<(Fingerprint, ReplenishedKeys)> {
        let issuer = self.member.vault.fingerprint;
        Ok((issuer, self.ask_vault::<CredentialReplenish>(held).await?))
    }

    async fn challenge(&mut self, request: &ChallengeRequest) -> Asked<LatAnswer> {
        self.ask_vault::<CredentialChallenge>(request).await
    }

    async fn put(&mut self, is_creation: bool, question: &Intent) -> Asked<UseResult> {
        let answer = if is_creation {
            self.ask_unlogged::<CredentialCreate>(question).await
        } else {
            self.ask_unlogged::<CredentialUse>(question).await
        };
        answer.map_err(|error| match error {
            CommandError::NoAnswer { event_type, .. } => CommandError::NoAnswer { event_type, has_effect: true }.into(),
            error => CredentialError::from(error),
        })
    }

    async fn confirm(&mut self, confirm: &Confirm) -> Asked<ConfirmReply> {
        self.ask_vault::<CredentialConfirm>(confirm).await
    }
}
