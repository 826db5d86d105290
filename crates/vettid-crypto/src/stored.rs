//! Serde forms of secrets, for values that are themselves sealed before they reach a disk or a server.
//!
//! Secrets do not implement `Serialize`; a field says `#[serde(with = "vettid_crypto::stored")]` instead, so each
//! place where a secret enters a stored form can be found by this name. The bytes that a serialiser then makes hold
//! secrets in clear: seal them at once and wipe them. Must never be used for anything that is sent or logged.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::secret::{Secret32, SecretBytes};

/// A stored form does not hold the kind of secret that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored secret does not have the expected form")]
pub struct InvalidStored;

/// A value with secrets inside that may be written into a sealed store.
pub trait Stored: Sized {
    /// What is written.
    type Form: Serialize + DeserializeOwned;

    /// The form that is written; holds secrets in clear.
    fn to_form(&self) -> Self::Form;

    /// The value back from its form.
    ///
    /// # Errors
    /// [`InvalidStored`] if the form does not hold such a value.
    fn from_form(form: Self::Form) -> Result<Self, InvalidStored>;
}

/// For `#[serde(with = "vettid_crypto::stored")]`.
///
/// # Errors
/// Those of the serialiser.
pub fn serialize<T: Stored, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.to_form().serialize(serializer)
}

/// For `#[serde(with = "vettid_crypto::stored")]`.
///
/// # Errors
/// Those of the reader, and when the form holds no such value.
pub fn deserialize<'de, T: Stored, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::from_form(T::Form::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Writes a struct into a sealed store field by field: the plain ones as they are, the others by [`Stored`].
macro_rules! stored_form {
    ($(#[$doc:meta])* $type:ident as $form:ident {
        plain { $($plain:ident: $plain_type:ty),* $(,)? }
        secret { $($secret:ident: $secret_type:ty),* $(,)? }
    }) => {
        $(#[$doc])*
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $form {
            $($plain: $plain_type,)*
            $($secret: <$secret_type as $crate::stored::Stored>::Form,)*
        }

        impl $crate::stored::Stored for $type {
            type Form = $form;

            fn to_form(&self) -> $form {
                $form {
                    $($plain: self.$plain.clone(),)*
                    $($secret: $crate::stored::Stored::to_form(&self.$secret),)*
                }
            }

            fn from_form(form: $form) -> Result<Self, $crate::stored::InvalidStored> {
                Ok(Self {
                    $($plain: form.$plain,)*
                    $($secret: $crate::stored::Stored::from_form(form.$secret)?,)*
                })
            }
        }
    };
}
pub(crate) use stored_form;

/// Secret bytes as base64 text that is wiped when dropped.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(vettid_wire::base64::encode(bytes)))
    }

    pub(crate) fn bytes(&self) -> Result<SecretBytes, InvalidStored> {
        vettid_wire::base64::decode(&self.0).map(SecretBytes::new).map_err(|_| InvalidStored)
    }

    pub(crate) fn secret32(&self) -> Result<Secret32, InvalidStored> {
        Secret32::from_slice(self.bytes()?.expose()).ok_or(InvalidStored)
    }
}

impl Stored for Secret32 {
    type Form = SecretText;

    fn to_form(&self) -> SecretText {
        SecretText::new(self.expose())
    }

    fn from_form(form: SecretText) -> Result<Self, InvalidStored> {
        form.secret32()
    }
}

impl Stored for SecretBytes {
    type Form = SecretText;

    fn to_form(&self) -> SecretText {
        SecretText::new(self.expose())
    }

    fn from_form(form: SecretText) -> Result<Self, InvalidStored> {
        form.bytes()
    }
}

impl<T: Stored> Stored for Option<T> {
    type Form = Option<T::Form>;

    fn to_form(&self) -> Self::Form {
        self.as_ref().map(T::to_form)
    }

    fn from_form(form: Self::Form) -> Result<Self, InvalidStored> {
        form.map(T::from_form).transpose()
    }
}

impl<T: Stored> Stored for Vec<T> {
    type Form = Vec<T::Form>;

    fn to_form(&self) -> Self::Form {
        self.iter().map(T::to_form).collect()
    }

    fn from_form(form: Self::Form) -> Result<Self, InvalidStored> {
        form.into_iter().map(T::from_form).collect()
    }
}

impl<T: Stored> Stored for Box<T> {
    type Form = T::Form;

    fn to_form(&self) -> Self::Form {
        T::to_form(self)
    }

    fn from_form(form: Self::Form) -> Result<Self, InvalidStored> {
        T::from_form(form).map(Box::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Kept {
        #[serde(with = "crate::stored")]
        key: Secret32,
        #[serde(with = "crate::stored")]
        older: Vec<Secret32>,
        #[serde(with = "crate::stored")]
        none: Option<SecretBytes>,
    }

    #[test]
    fn secrets_come_back_from_their_stored_form() {
        let kept = Kept { key: Secret32::from_bytes([1; 32]), older: vec![Secret32::from_bytes([2; 32])], none: None };
        let text = serde_json::to_string(&kept).unwrap();
        let back: Kept = serde_json::from_str(&text).unwrap();
        assert_eq!((back.key, back.older, back.none), (kept.key, kept.older, kept.none));
        assert!(serde_json::from_str::<Kept>(&text.replace("AQEB", "AQ")).is_err());
    }
}
