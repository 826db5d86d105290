//! How well the registry knows a service: what each look at the record of its domain means, and for how long. Looks that fail never raise a
//! level; only a record that was found does.

use serde::{Deserialize, Serialize};
use vettid_wire::base64::Base64;
use vettid_wire::directory::{Certification, Domain, Finding, Level, ServiceStanding, VerifiedDomain};
use vettid_wire::id::{Fingerprint, KeyId, MemberId, ServiceId};
use vettid_wire::time::Timestamp;

const DAY_MS: i64 = 24 * 3600 * 1000;

/// How long things may last, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periods {
    /// From one look at a record to the next.
    pub check_ms: i64,
    /// How long a service stays verified after its record was first missing.
    pub grace_ms: i64,
    /// How long a service stays verified while nothing can be found out.
    pub blind_ms: i64,
    /// How long what the registry says may be shown.
    pub standing_ms: i64,
}

impl Default for Periods {
    fn default() -> Self {
        Self { check_ms: DAY_MS, grace_ms: 3 * DAY_MS, blind_ms: 7 * DAY_MS, standing_ms: DAY_MS }
    }
}

/// The domain that a service claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claimed {
    /// The domain.
    pub domain: Domain,
    /// The identity key that claims it.
    pub fingerprint: Fingerprint,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// Since when it is verified without a gap.
    pub since: Option<Timestamp>,
    /// When its record was last found.
    pub checked_at: Option<Timestamp>,
    /// When its record was first missing, since it was last found.
    pub lost_since: Option<Timestamp>,
    /// When it was last looked at, whatever came of it.
    pub looked_at: Option<Timestamp>,
}

/// What a look at a record changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Nothing that anybody sees.
    None,
    /// The domain is verified now.
    Verified,
    /// The record is missing; the service stays verified for a while.
    Missing,
    /// The record is there again.
    Back,
    /// The domain is verified no more.
    Ended,
}

impl Claimed {
    /// A claim that nobody looked at yet.
    #[must_use]
    pub fn new(domain: Domain, fingerprint: Fingerprint, now: Timestamp) -> Self {
        let (since, checked_at, lost_since, looked_at) = (None, None, None, None);
        Self { domain, fingerprint, claimed_at: now, since, checked_at, lost_since, looked_at }
    }

    /// Takes what a look at the record found.
    pub fn observe(&mut self, now: Timestamp, found: Finding, periods: Periods) -> Change {
        self.looked_at = Some(now);
        let was_verified = self.since.is_some();
        // What ended before this look ended, even if the record is back: there was a gap.
        if was_verified && !self.is_verified(now, periods) && found != Finding::Confirmed {
            self.since = None;
            return Change::Ended;
        }
        match found {
            Finding::Confirmed => self.confirm(now, periods),
            Finding::Absent if was_verified && self.lost_since.is_none() => {
                self.lost_since = Some(now);
                Change::Missing
            }
            Finding::Absent | Finding::Unknown => Change::None,
        }
    }

    fn confirm(&mut self, now: Timestamp, periods: Periods) -> Change {
        let went_on = self.is_verified(now, periods);
        let was_missing = self.lost_since.take().is_some();
        self.checked_at = Some(now);
        if went_on {
            return if was_missing { Change::Back } else { Change::None };
        }
        self.since = Some(now);
        Change::Verified
    }

    /// Whether the domain counts as verified at a time, also if nobody looked any more.
    #[must_use]
    pub fn is_verified(&self, now: Timestamp, periods: Periods) -> bool {
        self.since.is_some() && self.ends_at(periods).is_some_and(|end| now < end)
    }

    /// When it ends unless the record is found before.
    fn ends_at(&self, periods: Periods) -> Option<Timestamp> {
        let blind = self.checked_at?.plus_ms(periods.blind_ms);
        Some(self.lost_since.map_or(blind, |lost| blind.min(lost.plus_ms(periods.grace_ms))))
    }

    /// When the record is to be looked at again.
    #[must_use]
    pub fn due_at(&self, periods: Periods) -> Timestamp {
        self.looked_at.map_or(self.claimed_at, |looked| looked.plus_ms(periods.check_ms))
    }
}

/// Everything that the registry knows of who a service is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    /// The service.
    pub service_id: ServiceId,
    /// Its space.
    pub guid: MemberId,
    /// Its domain.
    pub claimed: Option<Claimed>,
    /// The operator's word.
    pub certification: Option<Certification>,
    /// When the operator's last command was said.
    pub commanded_at: Option<Timestamp>,
}

impl Verification {
    /// Of a service of which nothing is known.
    #[must_use]
    pub fn none(service_id: ServiceId, guid: MemberId) -> Self {
        Self { service_id, guid, claimed: None, certification: None, commanded_at: None }
    }

    /// A service claims a domain. The same claim again changes nothing; another domain or key begins anew, and the operator's word, which was
    /// about the one before, ends.
    pub fn claim(&mut self, domain: Domain, fingerprint: Fingerprint, now: Timestamp) {
        let same = |claimed: &Claimed| claimed.domain == domain && claimed.fingerprint == fingerprint;
        if !self.claimed.as_ref().is_some_and(same) {
            self.claimed = Some(Claimed::new(domain, fingerprint, now));
            self.certification = None;
        }
    }

    /// What is said of the service from now on, unsigned.
    #[must_use]
    pub fn standing(&self, now: Timestamp, periods: Periods, key_id: KeyId) -> ServiceStanding {
        let claimed = self.claimed.as_ref().filter(|claimed| claimed.is_verified(now, periods));
        let domain = claimed.and_then(|claimed| {
            let (since, checked_at) = claimed.since.zip(claimed.checked_at)?;
            Some(VerifiedDomain { domain: claimed.domain.clone(), since, checked_at })
        });
        // The operator knows whoever controls the domain; nobody else.
        let certification = self.certification.clone().filter(|known| domain.is_some() && now < known.until);
        let level = match (&domain, &certification) {
            (None, _) => Level::Unverified,
            (Some(_), None) => Level::Verified,
            (Some(_), Some(_)) => Level::Certified,
        };
        let ends = claimed.and_then(|claimed| claimed.ends_at(periods));
        let ends = ends.into_iter().chain(certification.as_ref().map(|known| known.until));
        ServiceStanding {
            service_id: self.service_id.clone(),
            guid: self.guid,
            service_fp: claimed.map(|claimed| claimed.fingerprint),
            level,
            domain,
            certification,
            issued_at: now,
            valid_until: ends.fold(now.plus_ms(periods.standing_ms), Timestamp::min),
            key_id,
            signature: Base64::default(),
        }
    }
}

#[cfg(test)]
mod tests;
