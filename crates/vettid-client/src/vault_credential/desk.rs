//! One operation with a credential, from the proof of its issuer to the stored package (spec 2.7, steps 1 to 4). Each step
//! is stored before the next one. The same for both credentials; what differs is the line to the issuer.

use super::failure::CredentialError;
use super::issuer_line::IssuerLine;
use super::kept::Kept;
use super::password::{Entry, payload};
use crate::intent::Intent;
use crate::random::{self, SystemRandom};
use serde::Serialize;
use serde_json::Value;
use vettid_core::credential::holder::record::{SlotName, Untrusted};
use vettid_core::credential::holder::request::{CannotBegin, ProvenIssuer, Wish};
use vettid_core::credential::holder::slot::PasswordParts;
use vettid_core::credential::holder::{Holder, Received};
use vettid_crypto::secret_box::{BoxKey, BoxPlace, Boxed, For, Occasion};
use vettid_wire::base64::Base64;
use vettid_wire::credential::{CredentialStatus, UseResult, UseStatus};
use vettid_wire::envelope::Answer;
use vettid_wire::id::OperationId;
use vettid_wire::json;
use vettid_wire::refusal::Refusal;
use vettid_wire::secret::Action;

/// How often an operation that lost its ground without effect is begun.
pub(super) const ROUNDS: usize = 2;

/// How a credential stands, at its issuer and here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CredentialState {
    /// What its issuer says.
    #[serde(flatten)]
    pub issuer: CredentialStatus,
    /// Whether this app holds the credential.
    pub held_here: bool,
    /// Transaction keys in this app.
    pub keys_here: usize,
    /// Grants that this app can use.
    pub grants_here: usize,
}

/// Over one line: what is kept, and the flows.
pub(crate) struct Desk<'l, L: IssuerLine> {
    pub(crate) line: &'l mut L,
    /// `None` before the first credential.
    pub(crate) kept: Option<Kept>,
    /// A package was stored whose confirmation its operation did not wait for.
    pub(super) is_unconfirmed: bool,
}

/// What an operation gave.
pub(super) struct Performed<T> {
    pub(super) op_id: OperationId,
    pub(super) outcome: T,
    /// Opens the boxes in the outcome.
    pub(super) key: BoxKey,
}

/// What the parameters of an operation are made with.
pub(crate) struct Making {
    pub(super) op_id: OperationId,
    pub(super) key: BoxKey,
    guid: vettid_wire::id::MemberId,
    random: SystemRandom,
}

impl Making {
    /// A box that the vault opens.
    pub(super) fn boxed(&self, boxed: Boxed, value: &[u8]) -> Base64 {
        let occasion = Occasion::Operation(self.op_id);
        let place = BoxPlace { guid: self.guid, boxed, occasion, opened_by: For::Vault };
        Base64::new(place.seal(&self.key, value, &mut self.random.clone()))
    }
}

/// How a stored request ended.
pub(crate) enum Sent {
    /// Carried out or refused by the action; the next package is stored.
    Done(Option<Value>),
    /// Without effect, because of a key or a version that is gone.
    Again,
}

impl<'l, L: IssuerLine> Desk<'l, L> {
    /// Reads what is kept.
    pub(crate) fn open(line: &'l mut L) -> Result<Self, CredentialError> {
        let (guid, issuer) = (line.guid(), line.issuer());
        let kept = Kept::load(line.hold(), L::PLACES, guid, issuer)?;
        Ok(Self { line, kept, is_unconfirmed: false })
    }

    pub(crate) fn kept(&mut self) -> Result<&mut Kept, CredentialError> {
        self.kept.as_mut().ok_or(CredentialError::NoCredential)
    }

    pub(crate) fn holder(&mut self) -> Result<&mut Holder, CredentialError> {
        Ok(&mut self.kept()?.holder)
    }

    pub(crate) fn save(&mut self) -> Result<(), CredentialError> {
        let kept = self.kept.as_mut().ok_or(CredentialError::NoCredential)?;
        Ok(kept.save(self.line.hold())?)
    }

    pub(super) fn save_and_free(&mut self, freed: Option<SlotName>) -> Result<(), CredentialError> {
        let kept = self.kept.as_mut().ok_or(CredentialError::NoCredential)?;
        Ok(kept.save_and_free(self.line.hold(), freed)?)
    }

    /// What the issuer says of the credential; it must not have gone back (spec 2.9, §3 R18).
    pub(crate) async fn status(&mut self) -> Result<CredentialStatus, CredentialError> {
        let status = self.line.status().await?;
        if let Some(kept) = &self.kept {
            let record = &kept.holder.state().record;
            let known = record.slots.newest().is_some();
            let fell = status.attempts_total < record.attempts_total || status.credential_epoch < record.epoch;
            if known && (!status.exists || fell) {
                return Err(Untrusted::RolledBack.into());
            }
        }
        Ok(status)
    }

    /// How the credential stands.
    pub(crate) async fn state(&mut self) -> Result<CredentialState, CredentialError> {
        let issuer = self.status().await?;
        let (now, kept) = (self.line.now(), self.kept.as_ref());
        Ok(CredentialState {
            issuer,
            held_here: kept.is_some_and(|kept| kept.holder.newest().is_some()),
            keys_here: kept.map_or(0, |kept| kept.holder.unused_keys(now).count()),
            grants_here: kept.map_or(0, |kept| kept.live_grants(now).count()),
        })
    }

    /// Carries out one action with the password, up to the stored package: the next operation confirms it, or [`Self::finish`]
    /// (docs/decisions/0103). `make` gives its parameters; it is called anew in each round.
    pub(super) async fn perform<A: Action>(
        &mut self,
        entry: &mut Entry<'_>,
        make: impl Fn(&Making) -> A::Params,
    ) -> Result<Performed<A::Outcome>, CredentialError> {
        let (op_id, key, result) = self.perform_any(A::NAME, entry, |making| (make(making), None)).await?;
        let unreadable = || CredentialError::Unreadable { action: A::NAME };
        let answer = result.map(json::from_value::<Answer<A::Outcome>>).ok_or_else(unreadable)?;
        match answer.map_err(|_| unreadable())? {
            Answer::Success(outcome) => Ok(Performed { op_id, outcome, key }),
            Answer::Refused(Refusal { code }) => Err(CredentialError::Refused { action: A::NAME, code }),
        }
    }

    /// As [`Self::perform`], with the result as it came; `make` also gives what the next password needs, where it changes.
    pub(crate) async fn perform_any<T: Serialize>(
        &mut self,
        action: &'static str,
        entry: &mut Entry<'_>,
        make: impl Fn(&Making) -> (T, Option<PasswordParts>),
    ) -> Result<(OperationId, BoxKey, Option<Value>), CredentialError> {
        self.recover_before(action).await?;
        for _ in 0..ROUNDS {
            let issuer = self.prove(action, entry.is_typed()).await?;
            let (op_id, key) = self.stage(issuer, entry, &make).await?;
            self.keep_question()?;
            if let Sent::Done(result) = self.send().await? {
                self.is_unconfirmed = true;
                self.line.lift_limit().await?;
                return Ok((op_id, key, result));
            }
            self.recover().await?;
        }
        Err(CredentialError::Overtaken)
    }

    /// Asks for the password and makes the request; [`Self::keep_question`] stores it.
    pub(crate) async fn stage<T: Serialize>(
        &mut self,
        issuer: ProvenIssuer,
        entry: &mut Entry<'_>,
        make: impl Fn(&Making) -> (T, Option<PasswordParts>),
    ) -> Result<(OperationId, BoxKey), CredentialError> {
        let guid = self.line.guid();
        let parts = self.holder()?.newest().ok_or(CredentialError::NoCredential)?.password.duplicate();
        let keys = entry.keys(&parts).await?;
        let mut random = self.line.random();
        let op_id = OperationId::v7(self.line.now(), random::bytes(&mut random));
        let making = Making { op_id, key: BoxKey::of_password(&keys.inner), guid, random };
        let (params, next_password) = make(&making);
        let params = json::parse(&json::canonical(&params)?)?;
        let (payload, journal_head) = (payload(keys, L::OPENS_INNER_LAYER), self.line.journal_head());
        let wish = Wish { op_id, params, payload, next_password, journal_head };
        self.holder()?.prepare(&mut random, issuer, wish)?;
        Ok((op_id, making.key))
    }

    /// Stores the request that was prepared, with the event that will carry it.
    pub(crate) fn keep_question(&mut self) -> Result<(), CredentialError> {
        let question = self.new_question();
        let kept = self.kept()?;
        match question {
            Ok(question) => kept.sending = Some(question),
            // Nothing was stored or sent, so nothing is lost; for example a request that is too large.
            Err(error) => {
                kept.holder.give_up();
                return Err(error);
            }
        }
        self.save()
    }

    fn new_question(&mut self) -> Result<Intent, CredentialError> {
        let is_creation = self.is_creation()?;
        let body: Value = read(self.holder()?.request())?;
        self.line.question(is_creation, &body)
    }

    fn is_creation(&mut self) -> Result<bool, CredentialError> {
        let intent = self.holder()?.state().record.intent.as_ref();
        Ok(intent.is_some_and(|intent| intent.version.is_none()))
    }

    /// Sends the stored request and takes its answer.
    pub(crate) async fn send(&mut self) -> Result<Sent, CredentialError> {
        let result = self.exchange().await?;
        let retry_after_ms = result.retry_after_ms;
        let received = self.holder()?.receive(result)?;
        match received {
            Received::Write { write, action_result } => {
                let kept = self.kept.as_mut().ok_or(CredentialError::NoCredential)?;
                kept.write(self.line.hold(), *write)?;
                Ok(Sent::Done(action_result))
            }
            Received::Have { action_result } => {
                self.save()?;
                Ok(Sent::Done(action_result))
            }
            Received::FallBack(freed) => {
                self.save_and_free(freed)?;
                Ok(Sent::Again)
            }
            Received::Replaced(freed) => {
                self.save_and_free(freed)?;
                Ok(Sent::Done(None))
            }
            Received::Ended(status) => {
                self.save()?;
                ended(status, retry_after_ms)
            }
            Received::Open { status: UseStatus::InDoubt, .. } => {
                self.save()?;
                Err(CredentialError::InDoubt)
            }
            // The issuer did not look at it and stored nothing of it, so nothing is left open (docs/decisions/0116).
            Received::Open { status, retry_after_ms } => {
                self.holder()?.give_up();
                self.save()?;
                ended(status, retry_after_ms)
            }
        }
    }

    /// Puts the stored request under its event until its outcome is known.
    async fn exchange(&mut self) -> Result<UseResult, CredentialError> {
        let is_creation = self.is_creation()?;
        for _ in 0..ROUNDS {
            if self.kept()?.sending.is_none() {
                self.kept()?.sending = Some(self.new_question()?);
                self.save()?;
            }
            let question = self.kept()?.sending.clone().ok_or(CredentialError::NoCredential)?;
            let asked_too_late = !question.is_alive(self.line.now());
            match self.line.put(is_creation, &question).await {
                // The issuer never saw this question, and its time is over: the same request goes under a new one.
                Err(error) if asked_too_late && error.is_expired() => self.kept()?.sending = None,
                Err(error) => {
                    if error.is_final(is_creation) {
                        self.holder()?.give_up();
                        self.save()?;
                    }
                    return Err(error);
                }
                answer => return answer,
            }
        }
        Err(CredentialError::Overtaken)
    }
}

fn ended(status: UseStatus, retry_after_ms: Option<u64>) -> Result<Sent, CredentialError> {
    match status {
        UseStatus::WrongPassword => Err(CredentialError::WrongPassword { retry_after_ms }),
        UseStatus::Wait => Err(CredentialError::Wait { retry_after_ms }),
        UseStatus::Locked => Err(CredentialError::Locked),
        UseStatus::StaleCredential => Err(CredentialError::Stale),
        UseStatus::InDoubt => Err(CredentialError::InDoubt),
        UseStatus::UnknownTransactionKey | UseStatus::StalePending => Ok(Sent::Again),
        UseStatus::Done => Err(Untrusted::NotGenuine.into()),
    }
}

pub(super) fn read<T: serde::de::DeserializeOwned>(body: Option<&[u8]>) -> Result<T, CredentialError> {
    let body = body.ok_or(CannotBegin::Unreadable)?;
    Ok(json::read_large(body)?)
}
