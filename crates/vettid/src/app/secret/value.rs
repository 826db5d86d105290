//! The value of a secret from the outside: a hidden prompt, a file, standard input, or made here.

use crate::app::{input, password};
use crate::failure::Failure;
use clap::{Args, ValueEnum};
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use vettid_client::random::SystemRandom;
use vettid_client::vault_credential::{SecretValue, UnfitValue, signing_key_from_hex};
use vettid_crypto::secret::SecretBytes;
use vettid_wire::secret::{self, MAX_SECRET_BYTES, SecretKind};
use zeroize::Zeroizing;

/// What a secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// A BIP-39 phrase of 12 or 24 words
    SeedPhrase,
    /// A private key of `age`: decrypts
    PrivateKey,
    /// A private key that signs
    SigningKey,
    /// A password
    Password,
    /// A number, such as a social security number
    Number,
    /// A text
    Note,
    /// Any bytes, at most 8 KiB
    File,
}

impl From<Kind> for SecretKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::SeedPhrase => Self::SeedPhrase,
            Kind::PrivateKey => Self::PrivateKey,
            Kind::SigningKey => Self::SigningKey,
            Kind::Password => Self::Password,
            Kind::Number => Self::Number,
            Kind::Note => Self::Note,
            Kind::File => Self::File,
        }
    }
}

/// Curve of a signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Curve {
    /// Signs messages
    Ed25519,
    /// Signs messages and digests
    Secp256k1,
    /// Signs messages and digests
    P256,
}

impl From<Curve> for secret::Curve {
    fn from(curve: Curve) -> Self {
        match curve {
            Curve::Ed25519 => Self::Ed25519,
            Curve::Secp256k1 => Self::Secp256k1,
            Curve::P256 => Self::P256,
        }
    }
}

/// Where the value comes from.
#[derive(Debug, Args)]
pub(super) struct ValueInput {
    /// Read the value from this file
    #[arg(long, value_name = "FILE")]
    value_file: Option<PathBuf>,
    /// Make the value here: of a signing key or a password
    #[arg(long, conflicts_with = "value_file")]
    generate: bool,
}

impl ValueInput {
    /// The value, checked.
    pub(super) fn read(&self, kind: SecretKind, curve: Option<secret::Curve>) -> Result<SecretValue, Failure> {
        if self.generate {
            return generate(kind, curve);
        }
        from_outside(kind, curve, self.bytes(kind)?)
    }

    fn bytes(&self, kind: SecretKind) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let is_typed = self.value_file.is_none() && io::stdin().is_terminal();
        let is_one_line = !matches!(kind, SecretKind::Note | SecretKind::File);
        if is_typed && is_one_line {
            let typed = password::hidden("Value of the secret").map_err(Failure::usage)?;
            return Ok(Zeroizing::new(typed.as_bytes().to_vec()));
        }
        // A signing key is twice as long in digits; one line end more.
        input::bytes(self.value_file.as_deref(), MAX_SECRET_BYTES + 2, "Type the value of the secret")
    }
}

fn generate(kind: SecretKind, curve: Option<secret::Curve>) -> Result<SecretValue, Failure> {
    let random = SystemRandom::new().map_err(Failure::usage)?;
    match (kind, curve) {
        (SecretKind::SigningKey, Some(curve)) => Ok(SecretValue::new_signing_key(curve, random)),
        (SecretKind::Password, None) => Ok(SecretValue::new_password(random)),
        _ => Err(Failure::usage("only signing keys and passwords are made here").next("leave out --generate")),
    }
}

/// A value as it is written down, in the form that is kept. Of a text, the last line end is left out.
pub(super) fn from_outside(
    kind: SecretKind,
    curve: Option<secret::Curve>,
    bytes: Zeroizing<Vec<u8>>,
) -> Result<SecretValue, Failure> {
    let fits = |value: Result<SecretValue, UnfitValue>| value.map_err(Failure::usage);
    match kind {
        SecretKind::File => fits(SecretValue::new(kind, curve, SecretBytes::copied_from(&bytes))),
        SecretKind::SigningKey => fits(SecretValue::new(kind, curve, digits(&bytes)?)),
        _ => fits(SecretValue::new(kind, curve, SecretBytes::copied_from(without_line_end(&bytes)))),
    }
}

fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// 32 bytes from 64 hexadecimal digits.
pub(super) fn digits(bytes: &[u8]) -> Result<SecretBytes, Failure> {
    let text = str::from_utf8(bytes).ok();
    text.and_then(signing_key_from_hex).ok_or_else(|| Failure::usage("not 64 hexadecimal digits"))
}
