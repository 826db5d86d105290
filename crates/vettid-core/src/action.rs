//! Operations of a member on the services' HTTP API, and which token carries which (spec 2.16). Pure: what is genuine was
//! checked by `vettid_crypto::action_token`; here is decided what it is good for. Must never take a token for anything
//! but the one body at the one endpoint that it names.

use vettid_crypto::action_token::{confirmation, token_hash};
use vettid_crypto::identity::VerifyingKey;
use vettid_wire::action::{ActionClaims, ProofClaims};
use vettid_wire::digest::Digest;
use vettid_wire::id::{EventId, MemberId, OperationId};
use vettid_wire::time::Timestamp;

/// Life of a token, in seconds.
pub const TOKEN_LIFE_SECONDS: i64 = 300;
/// A proof is taken so many seconds before and after it says that it was signed.
pub const PROOF_TOLERANCE_SECONDS: i64 = 60;
/// The one method of these endpoints.
pub const METHOD: &str = "POST";
/// Lengths of the `jti` of a proof, in bytes.
const JTI_BYTES: std::ops::RangeInclusive<usize> = 16..=64;

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal at $endpoint:literal,)*) => {
        /// What an enrolled app may do at services. The list is closed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(#[$doc])* $variant,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in a token.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The path that takes its tokens.
            #[must_use]
            pub fn endpoint(self) -> &'static str {
                match self {
                    $(Self::$variant => $endpoint,)*
                }
            }
        }
    };
}

actions! {
    /// Stores the recovery container.
    StoreBackup = "credential.backup.store" at "/v1/credentials/backup",
    /// How the recovery container stands.
    BackupStatus = "credential.backup.status" at "/v1/credentials/backup/status",
    /// How the Vault Services Credential stands.
    CredentialStatus = "credential.status" at "/v1/credentials/status",
    /// Fresh transaction keys.
    ReplenishKeys = "credential.utk.replenish" at "/v1/credentials/keys",
    /// The first Vault Services Credential.
    CreateCredential = "credential.create" at "/v1/credentials/create",
    /// Has services prove themselves before a password is typed.
    Challenge = "credential.challenge" at "/v1/credentials/challenge",
    /// An operation with the Vault Services Credential.
    UseCredential = "credential.use" at "/v1/credentials/use",
    /// Says that the next version of the credential is stored.
    ConfirmCredential = "credential.confirm" at "/v1/credentials/confirm",
}

impl Action {
    /// The action of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.name() == name)
    }
}

/// What a token is issued for.
#[derive(Debug)]
pub struct Grant<'a> {
    /// `scheme://host` of services, as members reach them.
    pub origin: &'a str,
    /// The member.
    pub guid: MemberId,
    /// The app's identity key.
    pub holder: &'a VerifyingKey,
    /// What may be done.
    pub action: Action,
    /// The operation.
    pub op_id: OperationId,
    /// SHA-256 of the body.
    pub req_hash: Digest,
    /// A new name.
    pub jti: EventId,
}

impl Grant<'_> {
    /// The claims of the token.
    #[must_use]
    pub fn claims(&self, now: Timestamp) -> ActionClaims {
        let iat = now.unix_seconds();
        ActionClaims {
            iss: self.origin.to_owned(),
            aud: self.origin.to_owned(),
            sub: self.guid,
            jti: self.jti,
            iat,
            nbf: iat,
            exp: iat.saturating_add(TOKEN_LIFE_SECONDS),
            action: self.action.name().to_owned(),
            endpoint: self.action.endpoint().to_owned(),
            op_id: self.op_id,
            req_hash: self.req_hash,
            cnf: confirmation(self.holder),
        }
    }
}

/// A request as it arrived.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// `scheme://host` of services, as members reach them.
    pub origin: &'a str,
    /// The action of the endpoint.
    pub action: Action,
    /// SHA-256 of the body.
    pub body_hash: Digest,
    /// The text of the token.
    pub token: &'a str,
}

/// Why a token does not carry a request. Callers show the other side one answer for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another issuer, another audience.
    #[error("for another place")]
    Place,
    /// Past its time, before its time, or a life longer than allowed.
    #[error("out of time")]
    Time,
    /// Another action or endpoint.
    #[error("for another action")]
    Action,
    /// Another body.
    #[error("for another request")]
    Request,
    /// The proof was made by another key, for another token, or for another request.
    #[error("not proven by its holder")]
    Proof,
}

/// Whether a genuine token, with a genuine proof by `holder`, carries this request. That the nonce of the proof is ours, and
/// that neither was used before, is looked up elsewhere.
///
/// # Errors
/// [`Refused`].
pub fn check(
    call: &Call<'_>,
    claims: &ActionClaims,
    (proof, holder): (&ProofClaims, &VerifyingKey),
    now: Timestamp,
) -> Result<(), Refused> {
    let now = now.unix_seconds();
    if claims.iss != call.origin || claims.aud != call.origin {
        return Err(Refused::Place);
    }
    let life = claims.exp.saturating_sub(claims.iat);
    if now < claims.nbf || now >= claims.exp || !(0..=TOKEN_LIFE_SECONDS).contains(&life) {
        return Err(Refused::Time);
    }
    if claims.action != call.action.name() || claims.endpoint != call.action.endpoint() {
        return Err(Refused::Action);
    }
    if claims.req_hash != call.body_hash {
        return Err(Refused::Request);
    }
    check_proof(call, claims, (proof, holder), now)
}

fn check_proof(
    call: &Call<'_>,
    claims: &ActionClaims,
    (proof, holder): (&ProofClaims, &VerifyingKey),
    now: i64,
) -> Result<(), Refused> {
    if !(-PROOF_TOLERANCE_SECONDS..=PROOF_TOLERANCE_SECONDS).contains(&now.saturating_sub(proof.iat)) {
        return Err(Refused::Time);
    }
    let url = format!("{}{}", call.origin, call.action.endpoint());
    let of_request = proof.htm == METHOD && proof.htu == url && JTI_BYTES.contains(&proof.jti.as_bytes().len());
    let of_token = proof.ath == token_hash(call.token) && claims.cnf == confirmation(holder);
    if of_request && of_token { Ok(()) } else { Err(Refused::Proof) }
}

#[cfg(test)]
mod tests;
