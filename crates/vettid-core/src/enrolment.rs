//! Enrolment of an app as services see it: one code, one app, one way through the states. Pure: each step takes the
//! record as it stands and gives the record as it shall stand. It must never let a step run twice, late or out of
//! order, and it keeps hashes of tokens only.

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use std::fmt;
use vettid_crypto::kdf::h256;
use vettid_crypto::secret::SecretBytes;
use vettid_wire::base64::{Base64Url, encode_url};
use vettid_wire::digest::Digest;
use vettid_wire::enrolment::EnrolmentState;
use vettid_wire::id::{EventId, MemberId};
use vettid_wire::key::TypedKey;
use vettid_wire::time::Timestamp;

/// A code that nobody scans dies after this time, in milliseconds.
pub const CODE_LIFE_MS: i64 = 10 * 60 * 1000;
/// The enrolment token dies after this time, in milliseconds.
pub const TOKEN_LIFE_MS: i64 = 10 * 60 * 1000;
/// So many false proofs close an enrolment.
pub const MAX_FALSE_PROOFS: u32 = 5;

/// 32 random bytes that give their bearer a right. Only its hash is stored.
pub struct BearerToken(SecretBytes);

impl BearerToken {
    /// A fresh token.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let bytes = SecretBytes::random(rng, 32);
        Self(SecretBytes::new(encode_url(bytes.expose()).into_bytes()))
    }

    /// A token as somebody presents it, or as it was kept in a sealed file.
    #[must_use]
    pub fn presented(text: &str) -> Self {
        Self(SecretBytes::copied_from(text.as_bytes()))
    }

    /// What is stored and looked up.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::from_bytes(h256(self.0.expose()))
    }

    /// The text for its bearer: 43 characters of base64url. Never log it.
    #[must_use]
    pub fn expose(&self) -> String {
        String::from_utf8_lossy(self.0.expose()).into_owned()
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken")
    }
}

/// One enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// Names it.
    pub session_id: EventId,
    /// Whose vault.
    pub guid: MemberId,
    /// The next step is refused from then on.
    pub expires_at: Timestamp,
    /// How far it is.
    pub stage: Stage,
}

/// How far an enrolment is, with what the next step needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Stage {
    /// The code is shown.
    WebInitiated {
        /// Of the code's one-time token.
        code_hash: Digest,
    },
    /// An app has scanned the code.
    Pending {
        /// Of the code's one-time token.
        code_hash: Digest,
        /// Of the challenge.
        challenge_hash: Digest,
        /// False proofs so far.
        false_proofs: u32,
    },
    /// The app is known.
    Authenticated {
        /// The app's identity key.
        app_key: TypedKey,
        /// Of the enrolment token.
        token_hash: Digest,
    },
    /// The app has a credential for the handshake.
    NatsConnected {
        /// The app's identity key.
        app_key: TypedKey,
        /// Of the enrolment token.
        token_hash: Digest,
        /// The app's public NKey.
        nkey_pub: String,
    },
    /// Done.
    Completed {
        /// The app's identity key.
        app_key: TypedKey,
    },
    /// A later code took its place, or too many proofs were false.
    Closed,
}

/// Why a step has no effect. Callers show the other side one answer for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another step is due, or this one was done before.
    #[error("another step is due")]
    WrongOrder,
    /// Too late.
    #[error("expired")]
    Expired,
    /// A later code took its place, or too many proofs were false.
    #[error("closed")]
    Closed,
    /// Token, challenge, key or signature do not fit.
    #[error("the proof is false")]
    FalseProof,
}

/// What an app brings to prove that it has read the code, after its signature was checked.
#[derive(Debug)]
pub struct Proof<'a> {
    /// The one-time token of the code.
    pub token: &'a str,
    /// The challenge of the scan.
    pub challenge: &'a Base64Url,
    /// The app's identity key; `None` if the signature over the proof is not this key's.
    pub app_key: Option<&'a TypedKey>,
}

/// The record after an attempt to authenticate, and what came of it. The record is stored in both cases.
#[derive(Debug)]
pub struct Attempt {
    /// As it shall stand.
    pub next: Enrolment,
    /// The enrolment token, or the refusal.
    pub outcome: Result<BearerToken, Refused>,
}

impl Enrolment {
    /// A new enrolment and the one-time token for its code.
    #[must_use]
    pub fn start(session_id: EventId, guid: MemberId, now: Timestamp, rng: &mut dyn CryptoRng) -> (Self, BearerToken) {
        let token = BearerToken::random(rng);
        let stage = Stage::WebInitiated { code_hash: token.hash() };
        (Self { session_id, guid, expires_at: now.plus_ms(CODE_LIFE_MS), stage }, token)
    }

    /// Where it stands; `None` once it is closed.
    #[must_use]
    pub fn state(&self) -> Option<EnrolmentState> {
        match self.stage {
            Stage::WebInitiated { .. } => Some(EnrolmentState::WebInitiated),
            Stage::Pending { .. } => Some(EnrolmentState::Pending),
            Stage::Authenticated { .. } => Some(EnrolmentState::Authenticated),
            Stage::NatsConnected { .. } => Some(EnrolmentState::NatsConnected),
            Stage::Completed { .. } => Some(EnrolmentState::Completed),
            Stage::Closed => None,
        }
    }

    /// Where it stands at `now`; `None` once it is closed, or open no more because a step came too late.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> Option<EnrolmentState> {
        self.state().filter(|state| *state == EnrolmentState::Completed || now < self.expires_at)
    }

    /// Hash of the enrolment token, while one is valid.
    #[must_use]
    pub fn token_hash(&self) -> Option<Digest> {
        match self.stage {
            Stage::Authenticated { token_hash, .. } | Stage::NatsConnected { token_hash, .. } => Some(token_hash),
            _ => None,
        }
    }

    /// An app has read the code. Gives the record and 32 bytes of challenge for one use.
    ///
    /// # Errors
    /// [`Refused`] out of order, late, or the second time.
    pub fn scan(&self, now: Timestamp, rng: &mut dyn CryptoRng) -> Result<(Self, Base64Url), Refused> {
        self.in_time(now)?;
        let Stage::WebInitiated { code_hash } = self.stage else {
            return Err(Refused::WrongOrder);
        };
        let mut challenge = [0; 32];
        rng.fill_bytes(&mut challenge);
        let challenge_hash = Digest::from_bytes(h256(&challenge));
        let stage = Stage::Pending { code_hash, challenge_hash, false_proofs: 0 };
        Ok((self.at(stage), Base64Url::new(challenge)))
    }

    /// The app proves that it has read the code. A false proof is counted; [`MAX_FALSE_PROOFS`] close the enrolment.
    #[must_use]
    pub fn authenticate(&self, proof: &Proof<'_>, now: Timestamp, rng: &mut dyn CryptoRng) -> Attempt {
        let refused = |refused| Attempt { next: self.clone(), outcome: Err(refused) };
        if let Err(late) = self.in_time(now) {
            return refused(late);
        }
        let Stage::Pending { code_hash, challenge_hash, false_proofs } = self.stage else {
            return refused(Refused::WrongOrder);
        };
        let code_fits = BearerToken::presented(proof.token).hash() == code_hash;
        let challenge_fits = h256(proof.challenge.as_bytes()) == *challenge_hash.as_bytes();
        let Some(app_key) = proof.app_key.filter(|_| code_fits && challenge_fits) else {
            return Attempt {
                next: self.after_false_proof(code_hash, challenge_hash, false_proofs),
                outcome: Err(Refused::FalseProof),
            };
        };
        let token = BearerToken::random(rng);
        let stage = Stage::Authenticated { app_key: app_key.clone(), token_hash: token.hash() };
        let next = Self { expires_at: now.plus_ms(TOKEN_LIFE_MS), ..self.at(stage) };
        Attempt { next, outcome: Ok(token) }
    }

    /// The app gets its credential for the handshake, once, for this NKey.
    ///
    /// # Errors
    /// [`Refused`] out of order, late, or the second time.
    pub fn connect(&self, nkey_pub: &str, now: Timestamp) -> Result<Self, Refused> {
        self.in_time(now)?;
        let Stage::Authenticated { app_key, token_hash } = &self.stage else {
            return Err(Refused::WrongOrder);
        };
        Ok(self.at(Stage::NatsConnected {
            app_key: app_key.clone(),
            token_hash: *token_hash,
            nkey_pub: nkey_pub.to_owned(),
        }))
    }

    /// App and vault share keys.
    ///
    /// # Errors
    /// [`Refused`] out of order, late, or the second time.
    pub fn complete(&self, now: Timestamp) -> Result<Self, Refused> {
        self.in_time(now)?;
        let Stage::NatsConnected { app_key, .. } = &self.stage else {
            return Err(Refused::WrongOrder);
        };
        Ok(self.at(Stage::Completed { app_key: app_key.clone() }))
    }

    fn in_time(&self, now: Timestamp) -> Result<(), Refused> {
        match self.stage {
            Stage::Closed => Err(Refused::Closed),
            Stage::Completed { .. } => Err(Refused::WrongOrder),
            _ if now >= self.expires_at => Err(Refused::Expired),
            _ => Ok(()),
        }
    }

    fn after_false_proof(&self, code_hash: Digest, challenge_hash: Digest, false_proofs: u32) -> Self {
        let false_proofs = false_proofs.saturating_add(1);
        let closed = false_proofs >= MAX_FALSE_PROOFS;
        self.at(if closed { Stage::Closed } else { Stage::Pending { code_hash, challenge_hash, false_proofs } })
    }

    fn at(&self, stage: Stage) -> Self {
        Self { session_id: self.session_id, guid: self.guid, expires_at: self.expires_at, stage }
    }
}

#[cfg(test)]
mod tests;
