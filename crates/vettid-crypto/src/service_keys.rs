//! New signing keys of a service's account, under the signature of the account itself: whoever has one of the signing keys alone cannot
//! put others in their place.

use vettid_wire::base64::Base64;
use vettid_wire::service_keys::RotateServiceKeys;

use crate::nats::key::{AccountKey, AccountPublic};
use crate::signature::{Context, SignatureError, signed_bytes};

/// The request with the account's signature.
///
/// # Errors
/// Those of [`signed_bytes`].
pub fn sign(account: &AccountKey, request: RotateServiceKeys) -> Result<RotateServiceKeys, SignatureError> {
    let signature = account.sign(&signed_bytes(Context::ServiceKeys, &request)?);
    Ok(RotateServiceKeys { signature: Base64::new(signature), ..request })
}

/// Checks that this account wants these keys.
///
/// # Errors
/// [`SignatureError::Invalid`] and those of [`signed_bytes`].
pub fn verify(account: &AccountPublic, request: &RotateServiceKeys) -> Result<(), SignatureError> {
    let bytes = signed_bytes(Context::ServiceKeys, request)?;
    let is_right = account.verifies(&bytes, request.signature.as_bytes());
    if is_right { Ok(()) } else { Err(SignatureError::Invalid) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret32;
    use vettid_wire::id::MemberId;
    use vettid_wire::service_keys::ServiceSigningNkeys;
    use vettid_wire::time::Timestamp;

    fn key(byte: u8) -> AccountKey {
        AccountKey::from_secret(Secret32::from_bytes([byte; 32])).unwrap()
    }

    fn request() -> RotateServiceKeys {
        let text = |byte| key(byte).public().to_string();
        RotateServiceKeys {
            service_id: "demo-shop".parse().unwrap(),
            guid: MemberId::from_bytes([1; 16]),
            since: Timestamp::from_unix_ms(1_800_000_000_000),
            keys: ServiceSigningNkeys { vault: text(2), connection: text(3), claim: text(4) },
            keeps_former: true,
            signature: Base64::default(),
        }
    }

    #[test]
    fn only_the_account_itself_signs_and_nothing_can_be_changed() {
        let account = key(1);
        let signed = sign(&account, request()).unwrap();
        assert!(verify(account.public(), &signed).is_ok());
        let right = signed.clone();
        for (what, wrong) in [
            ("no signature", request()),
            ("another account", sign(&key(2), request()).unwrap()),
            ("another service", RotateServiceKeys { service_id: "bank".parse().unwrap(), ..right.clone() }),
            ("another space", RotateServiceKeys { guid: MemberId::from_bytes([2; 16]), ..right.clone() }),
            ("another time", RotateServiceKeys { since: right.since.plus_ms(1), ..right.clone() }),
            ("another overlap", RotateServiceKeys { keeps_former: false, ..right.clone() }),
            ("another key", {
                let keys = ServiceSigningNkeys { claim: key(9).public().to_string(), ..right.keys.clone() };
                RotateServiceKeys { keys, ..right.clone() }
            }),
        ] {
            assert!(verify(account.public(), &wrong).is_err(), "{what}");
        }
    }
}
