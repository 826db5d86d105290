//! The key that a waiting browser shows, of either kind, and what is known of an authenticator from one login to the next. Must
//! never take a key of one kind for one of the other.

use vettid_crypto::identity::DeviceKey;
use vettid_crypto::webauthn;
use vettid_wire::auth::AuthChallenge;
use vettid_wire::base64::Base64;
use vettid_wire::key::TypedKey;
use vettid_wire::login::{BrowserKeyKind, KnownBrowser, browser_text};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::webauthn::{Assertion, Authenticator};

/// What a browser shows: its key, and what the key said to one login.
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    /// The key.
    pub key: &'a TypedKey,
    /// `r ‖ s`; DER for a WebAuthn key.
    pub signature: &'a [u8],
    /// What the signature of a WebAuthn key is over.
    pub assertion: Option<&'a Assertion>,
}

/// The browser does not hold the key that it shows, or it is for another login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the browser's key does not hold")]
pub struct InvalidProof;

/// Verifies what a browser shows for the text of one login at one site; gives what the authenticator said, if there is one.
///
/// # Errors
/// [`InvalidProof`].
pub fn verify(proof: Proof<'_>, origin: &str, text: &str) -> Result<Option<Authenticator>, InvalidProof> {
    match (BrowserKeyKind::of(proof.key), proof.assertion) {
        (Some(BrowserKeyKind::Webcrypto), None) => {
            let verified =
                DeviceKey::from_typed(proof.key).and_then(|key| key.verify(text.as_bytes(), proof.signature));
            verified.map(|()| None).map_err(|_| InvalidProof)
        }
        (Some(BrowserKeyKind::Webauthn), Some(assertion)) => {
            let verified = webauthn::verify(proof.key, (origin, text), assertion, proof.signature);
            verified.map(Some).map_err(|_| InvalidProof)
        }
        _ => Err(InvalidProof),
    }
}

/// Whoever shows a key has to hold it, whether it is known or not.
pub(super) fn check(challenge: &AuthChallenge) -> Result<Option<Authenticator>, RefusalCode> {
    let AuthChallenge { browser_key, browser_sig, browser_assertion, .. } = challenge;
    let Some((key, signature)) = browser_key.as_ref().zip(browser_sig.as_ref().map(Base64::as_bytes)) else {
        return if browser_assertion.is_none() { Ok(None) } else { Err(RefusalCode::InvalidRequest) };
    };
    let text = browser_text(challenge.request_id, &challenge.origin, &challenge.nonce, &challenge.session_hash);
    let proof = Proof { key, signature, assertion: browser_assertion.as_ref() };
    verify(proof, &challenge.origin, &text).map_err(|InvalidProof| RefusalCode::InvalidRequest)
}

/// Whether what is shown goes on from what is known: the same credential of the same nature, counted further.
pub(super) fn goes_on(known: &KnownBrowser, shown: Option<&Authenticator>) -> bool {
    match (&known.authenticator, shown) {
        (None, None) => true,
        (Some(before), Some(shown)) => is_same(before, shown) && counts_on(before, shown),
        _ => false,
    }
}

/// Whether a known key counts no further than it did.
pub(super) fn went_back(known: &KnownBrowser, shown: &Authenticator) -> bool {
    known.authenticator.as_ref().is_some_and(|before| !counts_on(before, shown))
}

fn is_same(before: &Authenticator, shown: &Authenticator) -> bool {
    before.credential_id == shown.credential_id && before.can_be_copied == shown.can_be_copied
}

/// An authenticator that never counted need not begin to.
fn counts_on(before: &Authenticator, shown: &Authenticator) -> bool {
    shown.sign_count > before.sign_count || (shown.sign_count, before.sign_count) == (0, 0)
}

/// What is known after another login. Logins that overlapped may end in any order.
pub(super) fn counted_on(before: Option<Authenticator>, shown: Option<&Authenticator>) -> Option<Authenticator> {
    match (before, shown) {
        (Some(before), Some(shown)) => {
            Some(Authenticator { sign_count: shown.sign_count.max(before.sign_count), ..shown.clone() })
        }
        (before, shown) => shown.cloned().or(before),
    }
}
