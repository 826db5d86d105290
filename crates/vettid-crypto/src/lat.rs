//! Ledger authentication tokens: the issuer proves itself before a password is used (spec 2.8).
//!
//! A token must never leave app and issuer; what travels is a proof that is good for one request to one host.

use std::fmt;

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use vettid_wire::credential::{LatId, LedgerToken, SecretField};
use vettid_wire::id::{Fingerprint, KeyId};

use crate::kdf::{self, Lp};
use crate::secret::Secret32;
use crate::stored::{InvalidStored, SecretText, Stored};

/// The 32 secret bytes that app and issuer share.
pub struct LedgerAuthToken(Secret32);

impl LedgerAuthToken {
    /// A fresh token.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self(Secret32::random(rng))
    }

    /// A stored or received token.
    #[must_use]
    pub fn from_secret(secret: Secret32) -> Self {
        Self(secret)
    }

    /// The same token in a second place.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.duplicate())
    }

    /// The bytes, for the sealed store and for the package inside a session. Never log them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The token as it travels in a credential package, inside a session.
    #[must_use]
    pub fn to_package(&self, lat_id: LatId, version: u64) -> LedgerToken {
        LedgerToken { lat_id, token: SecretField::new(self.0.expose().to_vec()), version }
    }

    /// The token of a credential package; `None` if it has not 32 bytes.
    #[must_use]
    pub fn from_package(package: &LedgerToken) -> Option<Self> {
        Secret32::from_slice(package.token.expose()).map(Self)
    }

    /// The issuer's side: proves that it knows the token, for exactly this request.
    #[must_use]
    pub fn prove(&self, request: &LatRequest<'_>) -> LatProof {
        LatProof(kdf::hmac(self.0.expose(), &[&request.bytes()]))
    }

    /// The app's side: whether the proof is right. When not: stop, show, log, and do not retry elsewhere.
    #[must_use]
    pub fn verifies(&self, request: &LatRequest<'_>, proof: &LatProof) -> bool {
        self.prove(request).0.ct_eq(&proof.0).into()
    }
}

impl fmt::Debug for LedgerAuthToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LedgerAuthToken")
    }
}

impl Stored for LedgerAuthToken {
    type Form = SecretText;

    fn to_form(&self) -> SecretText {
        self.0.to_form()
    }

    fn from_form(form: SecretText) -> Result<Self, InvalidStored> {
        Secret32::from_form(form).map(Self)
    }
}

/// A proof, as it travels in `token`.
#[derive(Clone, Copy)]
pub struct LatProof([u8; 32]);

impl fmt::Debug for LatProof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LatProof")
    }
}

impl LatProof {
    /// A received proof.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes for the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What a proof is good for. The app fills in the host that *it* connected to.
#[derive(Debug, Clone, Copy)]
pub struct LatRequest<'a> {
    /// The issuer.
    pub issuer: &'a Fingerprint,
    /// `scheme://host` of the connection.
    pub host: &'a str,
    /// What is to be done.
    pub action: &'a str,
    /// Path of the endpoint, or the subject.
    pub endpoint: &'a str,
    /// Name of the token.
    pub lat_id: &'a LatId,
    /// Number of the token.
    pub version: u64,
    /// Random bytes of the app.
    pub client_nonce: &'a [u8; 32],
    /// Random bytes of the issuer.
    pub server_nonce: &'a [u8; 32],
    /// The transaction key that will carry the password proof.
    pub key_id: &'a KeyId,
    /// Its public half.
    pub transaction_key: &'a [u8; 32],
}

impl LatRequest<'_> {
    fn bytes(&self) -> Vec<u8> {
        Lp::labelled("vettid-lat-proof-v1")
            .lp(self.issuer.as_bytes())
            .lp_str(self.host)
            .lp_str(self.action)
            .lp_str(self.endpoint)
            .lp_str(self.lat_id.as_str())
            .u64(self.version)
            .raw(self.client_nonce)
            .raw(self.server_nonce)
            .lp_str(self.key_id.as_str())
            .raw(&kdf::h256(self.transaction_key))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_good_for_one_request_only() {
        let token = LedgerAuthToken::from_secret(Secret32::from_bytes([1; 32]));
        let (issuer, other_issuer) = (Fingerprint::from_bytes([2; 32]), Fingerprint::from_bytes([3; 32]));
        let (lat_id, other_lat) = (LatId::from_random([4; 16]), LatId::from_random([5; 16]));
        let key_id: KeyId = "tk_97c8bc6f53a8bbeb91fc6a2ef187dd41".parse().unwrap();
        let other_key: KeyId = "tk_07c8bc6f53a8bbeb91fc6a2ef187dd41".parse().unwrap();
        let request = LatRequest {
            issuer: &issuer,
            host: "https://vault.vettid.dev",
            action: "use",
            endpoint: "/use",
            lat_id: &lat_id,
            version: 1,
            client_nonce: &[6; 32],
            server_nonce: &[7; 32],
            key_id: &key_id,
            transaction_key: &[8; 32],
        };
        let proof = token.prove(&request);
        assert!(token.verifies(&request, &proof));
        let others = [
            LatRequest { issuer: &other_issuer, ..request },
            LatRequest { host: "https://vault.vettid.dev.example", ..request },
            LatRequest { action: "us", endpoint: "e/use", ..request },
            LatRequest { action: "used", ..request },
            LatRequest { endpoint: "/used", ..request },
            LatRequest { lat_id: &other_lat, ..request },
            LatRequest { version: 2, ..request },
            LatRequest { client_nonce: &[7; 32], server_nonce: &[6; 32], ..request },
            LatRequest { server_nonce: &[6; 32], ..request },
            LatRequest { key_id: &other_key, ..request },
            LatRequest { transaction_key: &[9; 32], ..request },
        ];
        for other in others {
            assert!(!token.verifies(&other, &proof), "{other:?}");
        }
        let other_token = LedgerAuthToken::from_secret(Secret32::from_bytes([2; 32]));
        assert!(!other_token.verifies(&request, &proof));
        for bit in 0..256 {
            let mut changed = *proof.as_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!token.verifies(&request, &LatProof::from_bytes(changed)));
        }
    }

    #[test]
    fn a_token_travels_in_a_package() {
        let token = LedgerAuthToken::from_secret(Secret32::from_bytes([1; 32]));
        let package = token.to_package(LatId::from_random([4; 16]), 3);
        assert_eq!(LedgerAuthToken::from_package(&package).unwrap().expose(), token.expose());
        let short = LedgerToken { token: SecretField::new(vec![1; 31]), ..package };
        assert!(LedgerAuthToken::from_package(&short).is_none());
    }

    #[test]
    fn debug_shows_the_type_name_only() {
        assert_eq!(format!("{:?}", LedgerAuthToken::from_secret(Secret32::from_bytes([1; 32]))), "LedgerAuthToken");
    }
}
