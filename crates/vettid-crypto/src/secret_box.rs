//! Boxes for the value of one critical secret, between app and vault: under the inner key of the password, or under the key
//! of a grant. Inside the session's envelope, so that what a vault keeps of an operation tells nothing without the password.

use rand_core::CryptoRng;
use vettid_wire::id::{EventId, MemberId, OperationId, SecretId};

use crate::committed::{Padding, Schedule, Undecryptable};
use crate::kdf::Lp;
use crate::password::InnerKey;
use crate::secret::{Secret32, SecretBytes};

const LABEL: &str = "vettid-secret-box-v1";

/// Who opens a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// The app seals, the vault opens.
    Vault,
    /// The vault seals, the app opens.
    App,
}

impl For {
    fn word(self) -> &'static str {
        match self {
            Self::Vault => "vault",
            Self::App => "app",
        }
    }
}

/// What a box belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// An operation with the credential.
    Operation(OperationId),
    /// A use under a grant: the event that asked for it.
    Event(EventId),
}

impl Occasion {
    fn text(self) -> String {
        match self {
            Self::Operation(id) => format!("operation {id}"),
            Self::Event(id) => format!("event {id}"),
        }
    }
}

/// What is in a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boxed {
    /// The value of a secret.
    Value(SecretId),
    /// The key of a grant over a secret.
    GrantKey(SecretId),
    /// The inner key of a new password.
    InnerKey,
}

impl Boxed {
    fn text(self) -> String {
        match self {
            Self::Value(id) => format!("value {id}"),
            Self::GrantKey(id) => format!("grant key {id}"),
            Self::InnerKey => "inner key".to_owned(),
        }
    }
}

/// What a box is bound to: it opens at no other place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoxPlace {
    /// The member.
    pub guid: MemberId,
    /// What is in it.
    pub boxed: Boxed,
    /// What it belongs to.
    pub occasion: Occasion,
    /// Who opens it.
    pub opened_by: For,
}

impl BoxPlace {
    fn header(&self) -> Vec<u8> {
        Lp::labelled(LABEL)
            .lp_str(&self.guid.to_string())
            .lp_str(&self.boxed.text())
            .lp_str(&self.occasion.text())
            .lp_str(self.opened_by.word())
            .finish()
    }

    /// `commit[32] ‖ nonce[24] ‖ padded value ‖ tag[16]`.
    #[must_use]
    pub fn seal(&self, key: &BoxKey, value: &[u8], rng: &mut dyn CryptoRng) -> Vec<u8> {
        let header = self.header();
        Schedule { label: LABEL, header: &header, shared: &key.0, psk: &[] }.seal(rng, Padding::Bucket, value)
    }

    /// The value.
    ///
    /// # Errors
    /// [`Undecryptable`], whatever is wrong.
    pub fn open(&self, key: &BoxKey, sealed: &[u8]) -> Result<SecretBytes, Undecryptable> {
        let header = self.header();
        Schedule { label: LABEL, header: &header, shared: &key.0, psk: &[] }.open(Padding::Bucket, sealed)
    }
}

/// The key of boxes.
pub struct BoxKey(Secret32);

impl BoxKey {
    /// Under the password.
    #[must_use]
    pub fn of_password(inner: &InnerKey) -> Self {
        Self(Secret32::copied_from(inner.expose()))
    }

    /// Of a new grant.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        Self(Secret32::random(rng))
    }

    /// Of a grant, as it came out of its box.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        Secret32::from_slice(bytes).map(Self)
    }

    /// The bytes, to be boxed for the app.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

impl std::fmt::Debug for BoxKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("BoxKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;

    fn place() -> BoxPlace {
        BoxPlace {
            guid: MemberId::from_bytes([1; 16]),
            boxed: Boxed::Value(SecretId::from_bytes([2; 16])),
            occasion: Occasion::Operation(OperationId::from_bytes([3; 16])),
            opened_by: For::Vault,
        }
    }

    fn key(byte: u8) -> BoxKey {
        BoxKey::of_password(&InnerKey::from_secret(Secret32::from_bytes([byte; 32])))
    }

    #[test]
    fn a_box_has_one_form() {
        let sealed = place().seal(&key(7), b"value", &mut Scripted::counting());
        insta::assert_snapshot!(hex::encode(&sealed));
        assert_eq!(place().open(&key(7), &sealed).unwrap().expose(), b"value");
    }

    #[test]
    fn a_box_opens_at_its_own_place_only() {
        let sealed = place().seal(&key(7), b"value", &mut Scripted::counting());
        let others = [
            BoxPlace { guid: MemberId::from_bytes([9; 16]), ..place() },
            BoxPlace { boxed: Boxed::Value(SecretId::from_bytes([9; 16])), ..place() },
            BoxPlace { boxed: Boxed::GrantKey(SecretId::from_bytes([2; 16])), ..place() },
            BoxPlace { boxed: Boxed::InnerKey, ..place() },
            BoxPlace { occasion: Occasion::Operation(OperationId::from_bytes([9; 16])), ..place() },
            BoxPlace { occasion: Occasion::Event(EventId::from_bytes([3; 16])), ..place() },
            BoxPlace { opened_by: For::App, ..place() },
        ];
        for other in others {
            assert_eq!(other.open(&key(7), &sealed).err(), Some(Undecryptable), "{other:?}");
        }
        assert_eq!(place().open(&key(8), &sealed).err(), Some(Undecryptable));
    }

    #[test]
    fn each_changed_bit_is_refused() {
        let sealed = place().seal(&key(7), b"value", &mut Scripted::counting());
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(place().open(&key(7), &changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn short_values_have_one_size() {
        let size = |value: &[u8]| place().seal(&key(7), value, &mut Scripted::counting()).len();
        assert_eq!(size(b""), size(&[0; 200]));
    }
}
