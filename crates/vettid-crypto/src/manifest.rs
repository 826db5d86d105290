//! Signatures over handler manifests: the publisher and two different reviewers (spec 2.12).
//!
//! Genuine does not mean allowed: permissions, versions and revocations are judged elsewhere.

use std::collections::BTreeSet;

use serde_json::Value;
use subtle::ConstantTimeEq;
use vettid_wire::id::KeyId;
use vettid_wire::json::{self, JsonError};
use vettid_wire::manifest::{MAX_SIGNATURES, Manifest, ManifestSignature, ManifestSignatures, SignerRole};

use crate::identity::{Signature, SigningKey, VerifyingKey};
use crate::kdf;
use crate::signature::{self, Context, SignatureError};

/// Different people who have to review a release.
pub const REVIEWERS_NEEDED: usize = 2;

/// Whose signatures count.
#[derive(Debug, Clone, Default)]
pub struct TrustedSigners {
    /// Reviewers of the registry. One person may have several keys and still counts once.
    pub reviewers: Vec<TrustedSigner>,
    /// Publishers, by their slug.
    pub publishers: Vec<TrustedSigner>,
}

/// One key of one reviewer or publisher.
#[derive(Debug, Clone)]
pub struct TrustedSigner {
    /// The person, or the publisher's slug.
    pub name: String,
    /// The key.
    pub key: VerifyingKey,
}

/// A manifest with all signatures that it needs. There is no other way to make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedManifest(Manifest);

/// A manifest and the very bytes that it describes; instantiate these and do not read them again.
#[derive(Clone)]
pub struct VerifiedPackage {
    manifest: Manifest,
    component: Vec<u8>,
}

/// Why a package is not genuine.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// `manifest.json` is not a manifest.
    #[error("not a handler manifest")]
    Manifest(#[source] JsonError),
    /// `signature.sig` is not a list of at most 16 signatures.
    #[error("not a list of manifest signatures")]
    Signatures,
    /// A signature that claims to be of a trusted key is not.
    #[error("a signature of a trusted key does not verify")]
    Forged(#[source] SignatureError),
    /// The publisher did not sign, or publisher and key do not go together.
    #[error("the publisher's signature is missing")]
    Publisher,
    /// Fewer than two different people reviewed it.
    #[error("signatures of {REVIEWERS_NEEDED} different reviewers are needed")]
    Reviewers,
    /// The component is not the one that the manifest describes.
    #[error("the component is not the one that was signed")]
    Component,
}

/// Signs a manifest in one role.
///
/// # Errors
/// [`SignatureError::NotSignable`] for values outside the profile.
pub fn sign(manifest: &Manifest, role: SignerRole, key: &SigningKey) -> Result<ManifestSignature, SignatureError> {
    let signature = signature::sign_detached(Context::HandlerManifest, key, manifest)?;
    Ok(ManifestSignature { key_id: key.key_id(), role, signature: signature.to_base64() })
}

/// Verifies `manifest.json` against `signature.sig`.
///
/// # Errors
/// [`ManifestError`].
pub fn verify(
    manifest_json: &[u8],
    signature_sig: &[u8],
    trusted: &TrustedSigners,
) -> Result<VerifiedManifest, ManifestError> {
    let received = json::parse_large(manifest_json).map_err(ManifestError::Manifest)?;
    let list: ManifestSignatures = json::read(signature_sig).map_err(|_| ManifestError::Signatures)?;
    if list.signatures.len() > MAX_SIGNATURES {
        return Err(ManifestError::Signatures);
    }
    let publishers = signers(&received, &list, SignerRole::Publisher, &trusted.publishers)?;
    let reviewers = signers(&received, &list, SignerRole::Reviewer, &trusted.reviewers)?;
    let manifest: Manifest = json::from_value(received).map_err(ManifestError::Manifest)?;
    require_publisher(&manifest, &publishers)?;
    require_reviewers(&reviewers, manifest.publisher_key_id.as_ref())?;
    Ok(VerifiedManifest(manifest))
}

/// The trusted signers in one role whose signature verifies. Keys that nobody trusts count for nothing.
fn signers<'a>(
    received: &Value,
    list: &ManifestSignatures,
    role: SignerRole,
    trusted: &'a [TrustedSigner],
) -> Result<Vec<&'a TrustedSigner>, ManifestError> {
    let mut found = Vec::new();
    for entry in list.signatures.iter().filter(|entry| entry.role == role) {
        let Some(signer) = trusted.iter().find(|signer| signer.key.key_id() == entry.key_id) else {
            continue;
        };
        let signature = Signature::from_base64(&entry.signature).map_err(|_| ManifestError::Signatures)?;
        signature::verify_detached(Context::HandlerManifest, &signer.key, received, &signature)
            .map_err(ManifestError::Forged)?;
        found.push(signer);
    }
    Ok(found)
}

/// A third-party manifest names publisher and key, and that key of that publisher signed; a first-party one has neither.
fn require_publisher(manifest: &Manifest, signed: &[&TrustedSigner]) -> Result<(), ManifestError> {
    let fits = match (&manifest.publisher, &manifest.publisher_key_id) {
        (None, None) => true,
        (Some(publisher), Some(key_id)) => {
            signed.iter().any(|signer| signer.name == publisher.publisher_id && signer.key.key_id() == *key_id)
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(ManifestError::Publisher) }
}

/// Counts people, not keys; who publishes does not review.
fn require_reviewers(signed: &[&TrustedSigner], publisher: Option<&KeyId>) -> Result<(), ManifestError> {
    let others = signed.iter().filter(|signer| Some(&signer.key.key_id()) != publisher);
    let people: BTreeSet<_> = others.map(|signer| signer.name.as_str()).collect();
    if people.len() >= REVIEWERS_NEEDED { Ok(()) } else { Err(ManifestError::Reviewers) }
}

impl VerifiedManifest {
    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.0
    }

    /// Takes over the component, read once into memory, if it is the one that was signed.
    ///
    /// # Errors
    /// [`ManifestError::Component`].
    pub fn with_component(self, component: Vec<u8>) -> Result<VerifiedPackage, ManifestError> {
        let same_size = usize::try_from(self.0.size).is_ok_and(|size| size == component.len());
        let same_hash = kdf::h256(&component).ct_eq(self.0.wasm_hash.as_bytes());
        if same_size && bool::from(same_hash) {
            Ok(VerifiedPackage { manifest: self.0, component })
        } else {
            Err(ManifestError::Component)
        }
    }
}

impl VerifiedPackage {
    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The component.
    #[must_use]
    pub fn component(&self) -> &[u8] {
        &self.component
    }
}

impl std::fmt::Debug for VerifiedPackage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "VerifiedPackage({} {})", self.manifest.handler_id, self.manifest.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret32;
    use serde_json::json;
    use vettid_wire::manifest::WasmHash;

    const COMPONENT: &[u8] = b"\0asm component";
    const PUBLISHER: u8 = 1;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&Secret32::from_bytes([seed; 32]))
    }

    fn signer(name: &str, seed: u8) -> TrustedSigner {
        TrustedSigner { name: name.to_owned(), key: key(seed).verifying_key() }
    }

    fn trusted() -> TrustedSigners {
        TrustedSigners {
            reviewers: vec![signer("ada", 2), signer("bo", 3), signer("ada", 4), signer("acme", PUBLISHER)],
            publishers: vec![signer("acme", PUBLISHER), signer("evil", 5)],
        }
    }

    fn manifest(publisher: Option<u8>) -> Manifest {
        json::from_value(json!({
            "handler_id": "acme.wallet",
            "name": "Wallet",
            "description": "Keeps coins.",
            "version": "1.0.0",
            "category": "finance",
            "wasm_hash": WasmHash::from_bytes(kdf::h256(COMPONENT)),
            "size": COMPONENT.len(),
            "publisher": publisher.map(|_| json!({"name": "Acme", "publisher_id": "acme", "messagespace_guid": "g"})),
            "publisher_key_id": publisher.map(|seed| key(seed).key_id()),
            "min_catalog_version": 1,
            "access": {"type": "free"},
            "compatibility": {"min_app_version": "1.0.0", "min_vault_version": "1.0.0"},
            "permissions": {
                "network_egress": [], "secrets": [], "data_fields": [], "host_calls": [],
                "max_memory_mb": 32, "max_runtime_seconds": 10
            },
            "event_schema": {},
            "response_schema": {},
        }))
        .unwrap()
    }

    /// The two files of a package, signed by these seeds.
    fn files(manifest: &Manifest, signed_by: &[(SignerRole, u8)]) -> (Vec<u8>, Vec<u8>) {
        let signatures = signed_by.iter().map(|&(role, seed)| sign(manifest, role, &key(seed)).unwrap()).collect();
        let list = ManifestSignatures { signatures };
        (serde_json::to_vec_pretty(manifest).unwrap(), serde_json::to_vec(&list).unwrap())
    }

    fn verdict(publisher: Option<u8>, signed_by: &[(SignerRole, u8)]) -> Result<VerifiedManifest, ManifestError> {
        let (manifest_json, signature_sig) = files(&manifest(publisher), signed_by);
        verify(&manifest_json, &signature_sig, &trusted())
    }

    use SignerRole::{Publisher, Reviewer};

    #[test]
    fn a_third_party_release_needs_publisher_and_two_people() {
        let full = [(Publisher, PUBLISHER), (Reviewer, 2), (Reviewer, 3)];
        assert_eq!(verdict(Some(PUBLISHER), &full).unwrap().manifest(), &manifest(Some(PUBLISHER)));
        for left_out in 0..full.len() {
            let mut fewer = full.to_vec();
            fewer.remove(left_out);
            assert!(verdict(Some(PUBLISHER), &fewer).is_err(), "{fewer:?}");
        }
    }

    #[test]
    fn a_first_party_release_needs_two_people() {
        assert!(verdict(None, &[(Reviewer, 2), (Reviewer, 3)]).is_ok());
        assert!(matches!(verdict(None, &[(Reviewer, 2)]), Err(ManifestError::Reviewers)));
        assert!(matches!(verdict(None, &[]), Err(ManifestError::Reviewers)));
    }

    #[test]
    fn one_person_counts_once() {
        for twice in [[(Reviewer, 2), (Reviewer, 2)], [(Reviewer, 2), (Reviewer, 4)]] {
            assert!(matches!(verdict(None, &twice), Err(ManifestError::Reviewers)), "{twice:?}");
        }
    }

    #[test]
    fn roles_do_not_replace_each_other() {
        let publisher_reviews = [(Publisher, PUBLISHER), (Reviewer, PUBLISHER), (Reviewer, 2)];
        assert!(matches!(verdict(Some(PUBLISHER), &publisher_reviews), Err(ManifestError::Reviewers)));
        let reviewer_publishes = [(Publisher, 2), (Reviewer, 2), (Reviewer, 3)];
        assert!(matches!(verdict(Some(PUBLISHER), &reviewer_publishes), Err(ManifestError::Publisher)));
        let as_publishers = [(Publisher, 2), (Publisher, 3)];
        assert!(matches!(verdict(None, &as_publishers), Err(ManifestError::Reviewers)));
        let strangers = [(Reviewer, 8), (Reviewer, 9), (Reviewer, 2)];
        assert!(matches!(verdict(None, &strangers), Err(ManifestError::Reviewers)));
    }

    #[test]
    fn publisher_and_key_go_together() {
        let by_other = [(Publisher, 5), (Reviewer, 2), (Reviewer, 3)];
        assert!(matches!(verdict(Some(PUBLISHER), &by_other), Err(ManifestError::Publisher)));
        assert!(matches!(verdict(Some(5), &by_other), Err(ManifestError::Publisher)));
        let reviewers = [(Reviewer, 2), (Reviewer, 3)];
        let nameless = Manifest { publisher: None, ..manifest(Some(PUBLISHER)) };
        let keyless = Manifest { publisher_key_id: None, ..manifest(Some(PUBLISHER)) };
        for half in [nameless, keyless] {
            let (manifest_json, signature_sig) = files(&half, &reviewers);
            assert!(matches!(verify(&manifest_json, &signature_sig, &trusted()), Err(ManifestError::Publisher)));
        }
    }

    #[test]
    fn a_changed_or_widened_manifest_is_refused() {
        let (manifest_json, signature_sig) = files(&manifest(None), &[(Reviewer, 2), (Reviewer, 3)]);
        let received: Value = serde_json::from_slice(&manifest_json).unwrap();
        let changes: [(&str, Value); 4] = [
            ("/permissions/network_egress", json!(["evil.example"])),
            ("/version", json!("1.0.1")),
            ("/wasm_hash", json!(WasmHash::from_bytes([0; 32]))),
            ("/event_schema", json!({"type": "object"})),
        ];
        for (pointer, value) in changes {
            let mut changed = received.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            let verdict = verify(&serde_json::to_vec(&changed).unwrap(), &signature_sig, &trusted());
            assert!(matches!(verdict, Err(ManifestError::Forged(_))), "{pointer}");
        }
        // These two names are left out of what is signed, so nothing may hide under them.
        for hidden in ["signature", "signatures"] {
            let mut changed = received.clone();
            changed[hidden] = json!("anything");
            let verdict = verify(&serde_json::to_vec(&changed).unwrap(), &signature_sig, &trusted());
            assert!(matches!(verdict, Err(ManifestError::Manifest(_))), "{hidden}");
        }
    }

    #[test]
    fn the_list_of_signatures_is_capped_and_exact() {
        let (manifest_json, _) = files(&manifest(None), &[]);
        let one = sign(&manifest(None), Reviewer, &key(2)).unwrap();
        let many = ManifestSignatures { signatures: vec![one; MAX_SIGNATURES + 1] };
        let many = serde_json::to_vec(&many).unwrap();
        for wrong in [many.as_slice(), b"{}", b"[]", br#"{"signatures":[],"x":1}"#, b""] {
            assert!(matches!(verify(&manifest_json, wrong, &trusted()), Err(ManifestError::Signatures)));
        }
    }

    #[test]
    fn only_the_signed_component_goes_with_a_manifest() {
        let verified = || verdict(None, &[(Reviewer, 2), (Reviewer, 3)]).unwrap();
        assert_eq!(verified().with_component(COMPONENT.to_vec()).unwrap().component(), COMPONENT);
        for wrong in [b"".as_slice(), b"\0asm componenu", b"\0asm component "] {
            assert!(matches!(verified().with_component(wrong.to_vec()), Err(ManifestError::Component)));
        }
        let resized = Manifest { size: 1, ..manifest(None) };
        let (manifest_json, signature_sig) = files(&resized, &[(Reviewer, 2), (Reviewer, 3)]);
        let verified = verify(&manifest_json, &signature_sig, &trusted()).unwrap();
        assert!(verified.with_component(COMPONENT.to_vec()).is_err());
    }
}
