//! Who services are: claims of domains, looks at their records, the operator's word, and what the registry signs of all that. A level rises
//! only by a record that was found just now, for a claim that both identity and account signed.

use crate::control_plane::ControlPlane;
use crate::http::error::ApiError;
use rand_core::Rng as _;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio_util::sync::CancellationToken;
use vettid_core::directory::Verification;
use vettid_crypto::directory::verify_claim;
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::nats::key::{AccountPublic, InvalidKey};
use vettid_crypto::signature::{self, Context};
use vettid_store::audit::{Act, Actor};
use vettid_store::ledger::{LedgerError, Versioned};
use vettid_store::service::Service;
use vettid_wire::base64::Base64Url;
use vettid_wire::control::MAX_SKEW_MS;
use vettid_wire::directory::{
    AskDomainChallenge, AskStandings, Certification, CertifyService, ClaimDomain, Domain, DomainChallenge,
    DomainClaimed, Finding, MAX_REASON_BYTES, MAX_STANDINGS, ServiceStanding, Standings, record_text,
};
use vettid_wire::id::ServiceId;
use vettid_wire::time::Timestamp;

/// How long a challenge is good, in milliseconds.
const CHALLENGE_MS: i64 = 10 * 60_000;
/// Most challenges that are out at a time.
const MAX_CHALLENGES: usize = 10_000;
/// Services that are looked at in one round.
const AT_ONCE: u32 = 100;

/// Challenges that nobody has answered yet. A restart forgets them.
#[derive(Debug, Default)]
pub(crate) struct Challenges(Mutex<HashMap<Base64Url, (ServiceId, Domain, Timestamp)>>);

impl Challenges {
    fn put(&self, challenge: Base64Url, of: (ServiceId, Domain, Timestamp), now: Timestamp) -> bool {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, (_, _, expires_at)| now < *expires_at);
        if open.len() >= MAX_CHALLENGES {
            return false;
        }
        open.insert(challenge, of);
        true
    }

    /// Uses a challenge up; whether it was good for this.
    fn take(&self, challenge: &Base64Url, service_id: &ServiceId, domain: &Domain, now: Timestamp) -> bool {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(challenge);
        found.is_some_and(|(of, about, expires_at)| of == *service_id && about == *domain && now < expires_at)
    }
}

impl ControlPlane {
    /// A challenge for a claim. Whether the service exists is not told.
    pub(crate) fn domain_challenge(&self, asked: AskDomainChallenge) -> Result<DomainChallenge, ApiError> {
        let (now, mut bytes) = (self.now(), [0; 32]);
        self.rng().fill_bytes(&mut bytes);
        let (challenge, expires_at) = (Base64Url::new(bytes), now.plus_ms(CHALLENGE_MS));
        let of = (asked.service_id, asked.domain, expires_at);
        if !self.challenges.put(challenge.clone(), of, now) {
            return Err(ApiError::Unavailable);
        }
        Ok(DomainChallenge { challenge, expires_at })
    }

    /// Takes a claim that both identity and account signed, and looks at the record at once.
    pub(crate) async fn claim_domain(&self, asked: ClaimDomain) -> Result<DomainClaimed, ApiError> {
        let claim = &asked.claim;
        let service = self.ledger.service(&claim.service_id).await?.ok_or(ApiError::Unauthorized)?;
        let account = service.registration.account_nkey.parse::<AccountPublic>();
        let account = account.map_err(|error: InvalidKey| ApiError::internal(&error))?;
        let identity: VerifyingKey = verify_claim(&account, &asked).map_err(|_| ApiError::Unauthorized)?;
        let now = self.now();
        let fresh = claim.at.since_ms(now).abs() <= MAX_SKEW_MS;
        if claim.guid != service.registration.guid || !fresh {
            return Err(ApiError::InvalidRequest);
        }
        if !self.challenges.take(&claim.challenge, &claim.service_id, &claim.domain, now) {
            return Err(ApiError::Unauthorized);
        }
        let mut known = self.known(&service).await?;
        known.record.claim(claim.domain.clone(), identity.fingerprint(), now);
        let actor = Actor::Service(claim.service_id.clone());
        let entry = self.entry(actor, Act::DomainClaimed(claim.service_id.clone()));
        // If the look below does not come to an end, another one does soon.
        let due_at = now.plus_ms(self.periods.check_ms.min(60_000));
        self.ledger.put_verification(&known, Some(due_at), &entry).await?;
        let found = self.look(&claim.service_id).await?;
        Ok(DomainClaimed { found, standing: self.standing(&service).await? })
    }

    /// Looks at the record of a service's domain. Two looks at once do no harm: the later one looks again.
    async fn look(&self, id: &ServiceId) -> Result<Finding, ApiError> {
        loop {
            match self.look_once(id).await {
                Err(LedgerError::Stale) => {}
                done => return Ok(done?),
            }
        }
    }

    /// Looks, and stores what that means for the claim as it was before.
    async fn look_once(&self, id: &ServiceId) -> Result<Finding, LedgerError> {
        let Some(mut known) = self.ledger.verification(id).await? else {
            return Ok(Finding::Unknown);
        };
        let Some(claimed) = &mut known.record.claimed else {
            return Ok(Finding::Unknown);
        };
        let name = claimed.domain.record_name();
        let found = self.resolver.find(&name, &record_text(id, &claimed.fingerprint)).await;
        let change = claimed.observe(self.now(), found, self.periods);
        let due_at = claimed.due_at(self.periods);
        let act = Act::DomainChecked { service_id: id.clone(), found, change };
        self.ledger.put_verification(&known, Some(due_at), &self.entry(Actor::Services, act)).await?;
        Ok(found)
    }

    async fn known(&self, service: &Service) -> Result<Versioned<Verification>, LedgerError> {
        let id = &service.registration.service_id;
        let none = || Versioned { record: Verification::none(id.clone(), service.registration.guid), revision: 0 };
        Ok(self.ledger.verification(id).await?.unwrap_or_else(none))
    }

    /// What the registry says of a service now, signed.
    pub(crate) async fn standing(&self, service: &Service) -> Result<ServiceStanding, ApiError> {
        let identity = &self.keys.registry_identity;
        let standing = self.known(service).await?.record.standing(self.now(), self.periods, identity.key_id());
        let signature = signature::sign(Context::ServiceStanding, identity, &standing);
        Ok(ServiceStanding { signature: signature.map_err(|error| ApiError::internal(&error))?, ..standing })
    }

    /// What the registry says of several services; of those that it does not know nothing.
    pub(crate) async fn standings(&self, asked: AskStandings) -> Result<Standings, ApiError> {
        if asked.services.len() > MAX_STANDINGS {
            return Err(ApiError::InvalidRequest);
        }
        let registry = self.registry.profile(&self.keys, &*self.ledger, self.now()).await;
        let registry = registry.map_err(|error| ApiError::internal(&error))?;
        let mut standings = Vec::new();
        for id in asked.services {
            if let Some(service) = self.ledger.service(&id).await? {
                standings.push(self.standing(&service).await?);
            }
        }
        Ok(Standings { registry, standings })
    }

    /// The operator's word for a service, or its end; commands are taken in the order of their times, each once.
    pub(crate) async fn certify(&self, command: CertifyService) -> Result<ServiceStanding, ApiError> {
        let operator = self.keys.command_signing.verifying_key();
        signature::verify(Context::CertifyService, &operator, &command).map_err(|_| ApiError::Unauthorized)?;
        let now = self.now();
        let sound = is_reason(&command.reason) && command.at.since_ms(now).abs() <= MAX_SKEW_MS;
        if !sound || command.until.is_some_and(|until| until <= now) {
            return Err(ApiError::InvalidRequest);
        }
        let service = self.ledger.service(&command.service_id).await?.ok_or(ApiError::NotFound)?;
        let mut known = self.known(&service).await?;
        // The word is about whoever controls a domain: without one there is nobody whom it could be about.
        let nobody = command.until.is_some() && known.record.claimed.is_none();
        if nobody || known.record.commanded_at.is_some_and(|last| command.at <= last) {
            return Err(ApiError::Conflict);
        }
        known.record.commanded_at = Some(command.at);
        known.record.certification =
            command.until.map(|until| Certification { reason: command.reason.clone(), since: now, until });
        let due_at = known.record.claimed.as_ref().map(|claimed| claimed.due_at(self.periods));
        let act = Act::ServiceCertified { service_id: command.service_id.clone(), until: command.until };
        self.ledger.put_verification(&known, due_at, &self.entry(Actor::Operator, act)).await?;
        self.standing(&service).await
    }

    /// Looks at every record that is due. What failed is due again with the next round.
    async fn look_at_due(&self) {
        let due = match self.ledger.due_verifications(self.now(), AT_ONCE).await {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(%error, "the ledger does not say which domains are to be looked at");
                return;
            }
        };
        for id in due {
            // A claim that came in between was looked at just now.
            if let Err(error) = self.look(&id).await {
                tracing::warn!(service = id.as_str(), ?error, "a domain could not be looked at");
            }
        }
    }

    /// Looks at records for as long as services run.
    pub(crate) async fn keep_verified(&self, stop: &CancellationToken) {
        // Often enough that a look is hardly late, however short the period is.
        let pause = u64::try_from((self.periods.check_ms / 20).clamp(50, 60_000)).unwrap_or(60_000);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(std::time::Duration::from_millis(pause)) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.look_at_due() => {}
            }
        }
    }
}

fn is_reason(text: &str) -> bool {
    (1..=MAX_REASON_BYTES).contains(&text.len()) && !text.trim().is_empty() && !text.chars().any(char::is_control)
}
