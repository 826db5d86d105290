//! What the value of a secret has to be, by its kind, and what can be done with it.

use vettid_crypto::backup::{self, BackupKey};
use vettid_crypto::member_key::MemberKey;
use vettid_crypto::recovery::is_seed_phrase;
use vettid_crypto::secret::SecretBytes;
use vettid_wire::base64::Base64;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::secret::{Curve, Input, MAX_INPUT_BYTES, MAX_SECRET_BYTES, Operation, SecretKind};

/// Whether these bytes may be the value of such a secret.
pub(super) fn fits(kind: SecretKind, curve: Option<Curve>, value: &[u8]) -> bool {
    let text = || std::str::from_utf8(value).ok();
    let sized = (1..=MAX_SECRET_BYTES).contains(&value.len());
    let curved = curve.is_some() == (kind == SecretKind::SigningKey);
    sized
        && curved
        && match kind {
            SecretKind::SeedPhrase => text().is_some_and(is_seed_phrase),
            SecretKind::PrivateKey => text().is_some_and(|text| BackupKey::from_age_identity(text).is_ok()),
            SecretKind::SigningKey => curve.is_some_and(|curve| MemberKey::from_slice(curve, value).is_ok()),
            SecretKind::Number => text().is_some_and(is_number),
            SecretKind::Password | SecretKind::Note => text().is_some(),
            SecretKind::File => true,
        }
}

fn is_number(text: &str) -> bool {
    text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b' ' | b'-' | b'.' | b'/'))
}

/// The public half of a signing key.
pub(super) fn public_key(curve: Option<Curve>, value: &[u8]) -> Option<Base64> {
    let key = MemberKey::from_slice(curve?, value).ok()?;
    Some(Base64::new(key.public_key()))
}

/// What a use of a secret gave, before it is boxed.
pub(super) enum Given {
    /// A signature.
    Signature([u8; 64]),
    /// Bytes that nobody but the app may see.
    Secret(SecretBytes),
}

/// Uses a secret once.
pub(super) fn apply(
    (kind, curve, value): (SecretKind, Option<Curve>, &[u8]),
    operation: Operation,
    input: Option<&Input>,
) -> Result<Given, RefusalCode> {
    match (operation, kind, input) {
        (Operation::Reveal, _, None) => Ok(Given::Secret(SecretBytes::copied_from(value))),
        (Operation::Sign, SecretKind::SigningKey, Some(input)) => sign(curve, value, input).map(Given::Signature),
        (Operation::Decrypt, SecretKind::PrivateKey, Some(Input::Age(file))) => decrypt(value, file).map(Given::Secret),
        _ => Err(RefusalCode::InvalidRequest),
    }
}

fn sign(curve: Option<Curve>, value: &[u8], input: &Input) -> Result<[u8; 64], RefusalCode> {
    let invalid = RefusalCode::InvalidRequest;
    let key = MemberKey::from_slice(curve.ok_or(invalid)?, value).map_err(|_| RefusalCode::Unavailable)?;
    let signed = match input {
        Input::Message(message) if message.as_bytes().len() <= MAX_INPUT_BYTES => key.sign_message(message.as_bytes()),
        Input::Digest(digest) => key.sign_digest(digest.as_bytes().try_into().map_err(|_| invalid)?),
        Input::Message(_) | Input::Age(_) => return Err(invalid),
    };
    signed.map_err(|_| invalid)
}

fn decrypt(value: &[u8], file: &Base64) -> Result<SecretBytes, RefusalCode> {
    let unavailable = RefusalCode::Unavailable;
    let text = std::str::from_utf8(value).map_err(|_| unavailable)?;
    let key = BackupKey::from_age_identity(text).map_err(|_| unavailable)?;
    if file.as_bytes().len() > MAX_INPUT_BYTES {
        return Err(RefusalCode::InvalidRequest);
    }
    backup::open(&key, file.as_bytes(), MAX_INPUT_BYTES).map_err(|_| RefusalCode::InvalidRequest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_knows_its_values() {
        let phrase = b"abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
        assert!(fits(SecretKind::SeedPhrase, None, phrase));
        assert!(!fits(SecretKind::SeedPhrase, None, b"abandon abandon"));
        assert!(fits(SecretKind::SigningKey, Some(Curve::P256), &[1; 32]));
        assert!(!fits(SecretKind::SigningKey, None, &[1; 32]));
        assert!(!fits(SecretKind::SigningKey, Some(Curve::P256), &[0; 32]));
        assert!(fits(SecretKind::Number, None, b"078-05-1120") && !fits(SecretKind::Number, None, b"12a"));
        assert!(fits(SecretKind::Note, None, "ä".as_bytes()) && !fits(SecretKind::Note, None, &[0xff]));
        assert!(!fits(SecretKind::Note, Some(Curve::P256), b"x"));
        assert!(fits(SecretKind::File, None, &[0xff]) && !fits(SecretKind::File, None, b""));
        assert!(!fits(SecretKind::File, None, &[0; MAX_SECRET_BYTES + 1]));
    }

    #[test]
    fn an_operation_fits_the_kind_or_is_refused() {
        let key = (SecretKind::SigningKey, Some(Curve::Ed25519), [7_u8; 32].as_slice());
        let message = Input::Message(Base64::new(b"hello"));
        assert!(matches!(apply(key, Operation::Sign, Some(&message)), Ok(Given::Signature(_))));
        assert!(matches!(apply(key, Operation::Reveal, None), Ok(Given::Secret(_))));
        for (operation, input) in [
            (Operation::Sign, None),
            (Operation::Reveal, Some(&message)),
            (Operation::Decrypt, Some(&message)),
            (Operation::Sign, Some(&Input::Digest(Base64::new([0; 32])))),
        ] {
            assert!(matches!(apply(key, operation, input), Err(RefusalCode::InvalidRequest)), "{operation:?}");
        }
        let note = (SecretKind::Note, None, b"text".as_slice());
        assert!(apply(note, Operation::Sign, Some(&message)).is_err());
    }
}
