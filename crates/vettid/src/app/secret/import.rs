//! `vettid app secret import`: takes over what another program wrote out. The file is read once into memory that is wiped,
//! never copied, and nothing of a value is shown.

use super::value::from_outside;
use crate::app::credential::failure;
use crate::app::password::PasswordInput;
use crate::app::{Client, input};
use crate::failure::Failure;
use crate::output::{Output, Page, Show, count};
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use vettid_client::vault_credential::{Added, NewSecret};
use vettid_wire::secret::{MAX_LABEL_CHARS, SecretKind, is_label};
use zeroize::Zeroizing;

/// Largest file of another program, in bytes.
const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug, Args)]
pub(in crate::app) struct Arguments {
    /// Bitwarden's export as JSON, without encryption
    #[arg(long, value_name = "FILE", required_unless_present = "csv", conflicts_with = "csv")]
    bitwarden: Option<PathBuf>,
    /// A table with the columns label, kind, value, category
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Say what would be taken over, and take over nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    password: PasswordInput,
}

/// What a file holds.
#[derive(Default)]
struct Found {
    secrets: Vec<NewSecret>,
    skipped: Vec<Skipped>,
}

/// What was left out, and why; never its value.
#[derive(Debug, Serialize)]
struct Skipped {
    label: String,
    reason: String,
}

#[derive(Serialize)]
struct Summary {
    imported: u64,
    dry_run: bool,
    skipped: Vec<Skipped>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

pub(super) async fn run(arguments: Arguments, app: &Client, output: Output) -> Result<(), Failure> {
    let mut source = arguments.password.present()?;
    let (mut found, file) = arguments.read()?;
    let present = app.secrets().await.map_err(failure)?;
    let present: BTreeSet<_> = present.into_iter().map(|secret| (secret.label, secret.kind)).collect();
    found.leave_out(&present);
    let Found { secrets, mut skipped } = found;
    let total = secrets.len();
    let mut imported = 0;
    if !arguments.dry_run && total > 0 {
        let mut done = 0;
        let mut tell = |added| {
            done += 1;
            let line = match added {
                Added::Stored(secret) => {
                    imported += 1;
                    format!("{done}/{total}  {}", secret.label)
                }
                Added::Refused { label, code } => {
                    let line = format!("{done}/{total}  {label}: {code}");
                    skipped.push(Skipped { label, reason: format!("the vault did not take it: {code}") });
                    line
                }
            };
            // Whether anybody reads the progress does not matter to what is stored.
            let _unread = output.remark(&line);
        };
        app.add_secrets(secrets, &mut source, &mut tell).await.map_err(failure)?;
    } else {
        imported = total as u64;
    }
    Ok(output.result(&Summary { imported, dry_run: arguments.dry_run, skipped, file: Some(file) })?)
}

impl Arguments {
    fn read(&self) -> Result<(Found, PathBuf), Failure> {
        match (&self.bitwarden, &self.csv) {
            (Some(path), _) => Ok((bitwarden(&read(path)?)?, path.clone())),
            (None, Some(path)) => Ok((table(&read(path)?)?, path.clone())),
            (None, None) => Err(Failure::usage("no file was named")),
        }
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    input::bytes(Some(path), MAX_FILE_BYTES, "")
}

impl Found {
    fn take(&mut self, label: &str, category: Option<&str>, (kind, value): (SecretKind, &str)) {
        let label = fitting(label);
        let value = Zeroizing::new(value.as_bytes().to_vec());
        let category = category.map(fitting).filter(|category| is_label(category));
        if !is_label(&label) {
            return self.skip("(without a name)", "it has no name");
        }
        match from_outside(kind, None, value) {
            Ok(value) => self.secrets.push(NewSecret { label, category, grant_minutes: None, value }),
            Err(failure) => self.skip(&label, failure.error()),
        }
    }

    fn skip(&mut self, label: &str, reason: &str) {
        self.skipped.push(Skipped { label: fitting(label), reason: reason.to_owned() });
    }

    /// Leaves out what the vault has already, and what the file has twice.
    fn leave_out(&mut self, present: &BTreeSet<(String, SecretKind)>) {
        let mut known = present.clone();
        for secret in std::mem::take(&mut self.secrets) {
            if known.insert((secret.label.clone(), secret.value.kind())) {
                self.secrets.push(secret);
            } else {
                self.skip(&secret.label, "there is one of this name and kind already");
            }
        }
    }
}

/// A name as a label: on one line and not too long.
fn fitting(name: &str) -> String {
    let one_line: String = name.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    one_line.chars().take(MAX_LABEL_CHARS).collect()
}

#[derive(Deserialize)]
struct Export {
    #[serde(default)]
    encrypted: bool,
    #[serde(default)]
    folders: Vec<Folder>,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Folder {
    id: Option<String>,
    name: String,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type")]
    kind: u32,
    #[serde(default)]
    name: String,
    #[serde(rename = "folderId")]
    folder_id: Option<String>,
    notes: Option<Zeroizing<String>>,
    login: Option<Login>,
    fields: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Deserialize)]
struct Login {
    username: Option<Zeroizing<String>>,
    password: Option<Zeroizing<String>>,
    totp: Option<Zeroizing<String>>,
}

const LOGIN: u32 = 1;
const SECURE_NOTE: u32 = 2;

/// Bitwarden's export: logins become passwords, secure notes become notes.
fn bitwarden(bytes: &[u8]) -> Result<Found, Failure> {
    // The reason would quote the text.
    let export: Export = serde_json::from_slice(bytes).map_err(|_| {
        Failure::usage("this is no export of Bitwarden as JSON").next("export again: File format .json, no encryption")
    })?;
    if export.encrypted {
        return Err(Failure::usage("this export is encrypted").next("export again: File format .json, no encryption"));
    }
    let mut found = Found::default();
    for item in &export.items {
        let folder = export.folders.iter().find(|folder| folder.id.is_some() && folder.id == item.folder_id);
        item.read(folder.map(|folder| folder.name.as_str()), &mut found);
    }
    Ok(found)
}

impl Item {
    fn read(&self, category: Option<&str>, found: &mut Found) {
        match (self.kind, &self.login, &self.notes) {
            (LOGIN, Some(login), _) => self.read_login(login, category, found),
            (SECURE_NOTE, _, Some(notes)) => found.take(&self.name, category, (SecretKind::Note, notes)),
            (SECURE_NOTE, _, None) => found.skip(&self.name, "the note is empty"),
            (3, ..) => found.skip(&self.name, "cards are not taken over"),
            (4, ..) => found.skip(&self.name, "identities are not taken over"),
            _ => found.skip(&self.name, "entries of this kind are not taken over"),
        }
        if self.fields.as_ref().is_some_and(|fields| !fields.is_empty()) {
            found.skip(&self.name, "its custom fields are not taken over");
        }
    }

    fn read_login(&self, login: &Login, category: Option<&str>, found: &mut Found) {
        let given = |text: &Option<Zeroizing<String>>| text.as_ref().is_some_and(|text| !text.is_empty());
        let Some(password) = login.password.as_ref().filter(|password| !password.is_empty()) else {
            return found.skip(&self.name, "the login has no password");
        };
        let label = match login.username.as_ref().filter(|name| !name.is_empty()) {
            Some(username) => format!("{} ({})", self.name, username.as_str()),
            None => self.name.clone(),
        };
        found.take(&label, category, (SecretKind::Password, password));
        if given(&login.totp) {
            found.skip(&label, "its one-time password key is not taken over");
        }
        if given(&self.notes) {
            found.skip(&label, "its notes are not taken over");
        }
    }
}

#[derive(Deserialize)]
struct Row {
    label: String,
    kind: String,
    value: Zeroizing<String>,
    #[serde(default)]
    category: Option<String>,
}

/// A table of secrets.
fn table(bytes: &[u8]) -> Result<Found, Failure> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(bytes);
    let head = reader.headers().map_err(|_| Failure::usage("this is no table"))?;
    if !["label", "kind", "value"].iter().all(|column| head.iter().any(|name| name == *column)) {
        return Err(Failure::usage("the table lacks a column").next("its first line: label,kind,value,category"));
    }
    let mut found = Found::default();
    for (number, row) in (2_u64..).zip(reader.deserialize::<Row>()) {
        let Ok(row) = row else {
            found.skip(&format!("(row {number})"), "it has other columns than the first line");
            continue;
        };
        match kind_of(&row.kind) {
            Some(kind) => found.take(&row.label, row.category.as_deref(), (kind, &row.value)),
            None => found.skip(&row.label, "its kind is unknown, or cannot stand in a table"),
        }
    }
    Ok(found)
}

fn kind_of(text: &str) -> Option<SecretKind> {
    match text.trim().replace(['-', ' '], "_").to_lowercase().as_str() {
        "seed_phrase" => Some(SecretKind::SeedPhrase),
        "private_key" => Some(SecretKind::PrivateKey),
        "password" => Some(SecretKind::Password),
        "number" => Some(SecretKind::Number),
        "note" => Some(SecretKind::Note),
        _ => None,
    }
}

impl Show for Summary {
    fn show(&self, page: &mut Page) {
        let what = count(self.imported, "secret");
        page.line(if self.dry_run { format!("Would take over {what}.") } else { format!("Took over {what}.") });
        if !self.skipped.is_empty() {
            page.gap();
            page.line("Left out:");
            let rows: Vec<_> =
                self.skipped.iter().map(|skipped| [skipped.label.clone(), skipped.reason.clone()]).collect();
            page.table(["LABEL", "WHY"], &rows);
        }
        if let Some(file) = self.file.as_ref().filter(|_| !self.dry_run) {
            page.gap();
            page.line(format!("Everything in {} stands there in clear. Delete it now:", file.display()));
            page.line(format!("  shred -u {}", file.display()));
        }
    }
}

#[cfg(test)]
mod tests;
