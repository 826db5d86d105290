//! Secrets as people and scripts see them. A value is shown only by the command that was asked for it.

use super::{unexpected, write_new};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, minute};
use serde::Serialize;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use vettid_client::vault_credential::{Gained, GrantKept};
use vettid_crypto::secret::SecretBytes;
use vettid_wire::base64::Base64;
use vettid_wire::id::SecretId;
use vettid_wire::secret::{Operation, SecretKind, SecretSummary};
use zeroize::Zeroizing;

/// The secrets.
#[derive(Serialize)]
pub(super) struct List {
    pub(super) secrets: Vec<SecretSummary>,
}

impl Show for List {
    fn show(&self, page: &mut Page) {
        if self.secrets.is_empty() {
            page.line("No secrets yet.");
            page.next("To add one", "vettid app secret add LABEL --kind seed-phrase");
            return;
        }
        let row = |secret: &SecretSummary| {
            [
                secret.label.clone(),
                kind(secret),
                secret.category.clone().unwrap_or_default(),
                minute(secret.rotated_at.unwrap_or(secret.created_at)),
                secret.uses.to_string(),
                secret.secret_id.to_string(),
            ]
        };
        let rows: Vec<_> = self.secrets.iter().map(row).collect();
        page.table(["LABEL", "KIND", "CATEGORY", "CHANGED", "USES", "ID"], &rows);
    }
}

/// Kind, and curve of a signing key.
fn kind(secret: &SecretSummary) -> String {
    let name = match secret.kind {
        SecretKind::SeedPhrase => "seed phrase",
        SecretKind::PrivateKey => "private key",
        SecretKind::SigningKey => "signing key",
        SecretKind::Password => "password",
        SecretKind::Number => "number",
        SecretKind::Note => "note",
        SecretKind::File => "file",
    };
    secret.curve.map_or_else(|| name.to_owned(), |curve| format!("{name}, {}", format!("{curve:?}").to_lowercase()))
}

/// A secret that was stored.
#[derive(Serialize)]
pub(super) struct Stored {
    #[serde(flatten)]
    pub(super) summary: SecretSummary,
}

impl Show for Stored {
    fn show(&self, page: &mut Page) {
        let secret = &self.summary;
        page.line(format!("Stored {} ({}).", secret.label, kind(secret)));
        page.field("id", secret.secret_id.to_string());
        if let Some(public_key) = &secret.public_key {
            page.field("public key", public_key.to_string());
        }
    }
}

/// A secret that is gone.
#[derive(Serialize)]
pub(super) struct Removed {
    pub(super) removed: SecretId,
    pub(super) label: String,
}

impl Show for Removed {
    fn show(&self, page: &mut Page) {
        page.line(format!("Removed {}.", self.label));
    }
}

/// A signature.
#[derive(Serialize)]
pub(super) struct Signed {
    secret_id: SecretId,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<Base64>,
    signature: Base64,
}

impl Signed {
    pub(super) fn new(secret: &SecretSummary, signature: Vec<u8>) -> Self {
        let public_key = secret.public_key.clone();
        Self { secret_id: secret.secret_id, public_key, signature: Base64::new(signature) }
    }
}

impl Show for Signed {
    fn show(&self, page: &mut Page) {
        page.line(self.signature.to_string());
    }
}

/// An open grant.
#[derive(Serialize)]
pub(super) struct GrantView {
    pub(super) label: String,
    pub(super) uses: u32,
    #[serde(flatten)]
    pub(super) grant: GrantKept,
}

impl Show for GrantView {
    fn show(&self, page: &mut Page) {
        let until = minute(self.grant.expires_at);
        page.line(format!(
            "{} is open: {} without the password, until {until} at the latest.",
            self.label,
            times(self.uses)
        ));
    }
}

fn times(uses: u32) -> String {
    if uses == 1 { "once".to_owned() } else { format!("{uses} times") }
}

/// A grant that was ended.
#[derive(Serialize)]
pub(super) struct Ended {
    pub(super) secret_id: SecretId,
    pub(super) operation: Operation,
}

impl Show for Ended {
    fn show(&self, page: &mut Page) {
        page.line("The grant is ended.");
    }
}

/// A value as JSON: a text, or base64 where it is none.
#[derive(Serialize)]
struct Value<'v> {
    secret_id: SecretId,
    label: &'v str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'v str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<Base64>,
}

impl Show for Value<'_> {
    fn show(&self, page: &mut Page) {
        match self.value {
            Some(text) => text.lines().for_each(|line| page.line(line)),
            None => page.line("The value is not a text. Write it into a file with --out FILE."),
        }
    }
}

/// Shows the value of a secret. A signing key is shown in the digits that `secret add` takes.
pub(super) fn value(secret: &SecretSummary, gained: Gained, out: Option<&Path>, output: Output) -> Result<(), Failure> {
    let Gained::Value(value) = gained else { return Err(unexpected()) };
    let value = if secret.kind == SecretKind::SigningKey { hexadecimal(&value) } else { value };
    emit(secret, &value, out, output)
}

/// Shows what was decrypted.
pub(super) fn decrypted(
    secret: &SecretSummary,
    gained: Gained,
    out: Option<&Path>,
    output: Output,
) -> Result<(), Failure> {
    let Gained::Value(value) = gained else { return Err(unexpected()) };
    emit(secret, &value, out, output)
}

fn emit(secret: &SecretSummary, value: &SecretBytes, out: Option<&Path>, output: Output) -> Result<(), Failure> {
    if let Some(path) = out {
        write_new(path, value.expose())?;
        return Ok(output.result(&Written { file: path.to_owned() })?);
    }
    // A terminal gets text without what would steer it, a pipe the bytes as they are.
    if output.is_text() && !io::stdout().is_terminal() {
        return Ok(output.raw_bytes(value.expose())?);
    }
    let text = str::from_utf8(value.expose()).ok();
    let value_base64 = text.is_none().then(|| Base64::new(value.expose().to_vec()));
    Ok(output.result(&Value { secret_id: secret.secret_id, label: &secret.label, value: text, value_base64 })?)
}

fn hexadecimal(value: &SecretBytes) -> SecretBytes {
    let mut text = Zeroizing::new(String::with_capacity(value.expose().len() * 2));
    for byte in value.expose() {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
    SecretBytes::copied_from(text.as_bytes())
}

#[derive(Serialize)]
struct Written {
    file: PathBuf,
}

impl Show for Written {
    fn show(&self, page: &mut Page) {
        page.line(format!("Wrote {}. Delete it as soon as you do not need it.", self.file.display()));
    }
}
