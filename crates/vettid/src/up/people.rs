//! Alice and Bob: their accounts at the operator, and the codes with which their apps are enrolled.

use super::stack::Stack;
use crate::https::Operator;
use anyhow::{Context as _, Result};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vettid_crypto::at_rest::{StorageKey, open_file, seal_file};
use vettid_crypto::secret::Secret32;
use vettid_wire::enrolment::{AccountCreated, CreateAccount, EnrolmentStarted, EnrolmentState};
use vettid_wire::event::Nothing;

const PURPOSE: &str = "vettid-up-accounts";
/// How often is looked whether a code was used.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// One of the two people.
#[derive(Debug)]
pub(super) struct Person {
    /// In lower case: account and profile.
    pub(super) name: &'static str,
    /// As people write it.
    pub(super) title: &'static str,
    /// The code for the app, if no app is enrolled yet.
    pub(super) code_file: Option<PathBuf>,
}

/// Both of them.
#[derive(Debug)]
pub(super) struct People {
    people: Vec<Person>,
    accounts: Accounts,
    operator: Operator,
    folder: PathBuf,
}

/// How far the enrolment of an app is, as services tell its member.
#[derive(Debug, Deserialize)]
struct Progress {
    enrolment: Option<EnrolmentState>,
}

/// The portal's tokens by account name; kept sealed.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Accounts(BTreeMap<String, AccountCreated>);

impl People {
    /// Makes accounts and vaults at the first start, and fresh codes for apps that are not enrolled.
    pub(super) async fn open(stack: &Stack) -> Result<Self> {
        let operator = Operator::new(stack.url(), &fs::read_to_string(stack.ca_file())?)?;
        let key = key_file(&stack.folder().join("up.key"))?;
        let store = stack.folder().join("accounts.sealed");
        let mut accounts = Accounts::read(&store, &key)?;
        let mut people = Vec::new();
        for (name, title) in [("alice", "Alice"), ("bob", "Bob")] {
            if !accounts.0.contains_key(name) {
                let made = operator.post("/v1/accounts", None, &CreateAccount { name: name.into() }).await?;
                accounts.0.insert(name.into(), made);
                accounts.write(&store, &key)?;
            }
            let account = accounts.0.get(name).context("no account")?;
            let code_file = if is_enrolled(&stack.people_folder(), name)? {
                None
            } else {
                Some(code(stack, &operator, account, name).await?)
            };
            people.push(Person { name, title, code_file });
        }
        Ok(Self { people, accounts, operator, folder: stack.people_folder() })
    }

    /// Alice, then Bob.
    pub(super) fn all(&self) -> &[Person] {
        &self.people
    }

    /// Removes each code as soon as its app is enrolled; never ends by itself.
    pub(super) async fn remove_used_codes(&self) -> Result<()> {
        let mut round = tokio::time::interval(LOOK_EVERY);
        loop {
            round.tick().await;
            for person in &self.people {
                let path = code_file(&self.folder, person.name);
                if path.exists() && is_enrolled(&self.folder, person.name)? && self.is_used(person).await {
                    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
                }
            }
        }
    }

    /// Whether nothing can be done with the code any more: its enrolment is complete or over.
    async fn is_used(&self, person: &Person) -> bool {
        let Some(account) = self.accounts.0.get(person.name) else { return false };
        let progress = self.operator.get("/v1/vault/state", &account.portal_token).await;
        // Services that cannot say it now are asked again in the next round.
        matches!(progress, Ok(Progress { enrolment: None | Some(EnrolmentState::Completed) }))
    }
}

/// Whether the app of this person holds a state.
fn is_enrolled(people_folder: &Path, name: &str) -> Result<bool> {
    let folder = people_folder.join(name);
    match fs::read_dir(&folder) {
        Ok(entries) => Ok(entries.flatten().any(|entry| entry.file_name() == "state")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", folder.display())),
    }
}

/// A fresh code; the vault is deployed first if there is none yet. The code is a secret for ten minutes.
async fn code(stack: &Stack, operator: &Operator, account: &AccountCreated, name: &str) -> Result<PathBuf> {
    let token = Some(account.portal_token.as_str());
    let started: EnrolmentStarted = operator.post("/v1/vault/enroll/start", token, &Nothing {}).await?;
    let path = code_file(&stack.people_folder(), name);
    write_private(&path, started.qr.as_bytes())?;
    Ok(path)
}

fn code_file(people_folder: &Path, name: &str) -> PathBuf {
    people_folder.join(format!("{name}.code"))
}

impl Accounts {
    fn read(path: &Path, key: &StorageKey) -> Result<Self> {
        match fs::read(path) {
            Ok(sealed) => {
                let opened =
                    open_file(key, PURPOSE, &sealed).with_context(|| format!("{} does not open", path.display()))?;
                Ok(serde_json::from_slice(opened.expose())?)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    fn write(&self, path: &Path, key: &StorageKey) -> Result<()> {
        let sealed = seal_file(key, PURPOSE, &serde_json::to_vec(self)?, &mut UnwrapErr(SysRng));
        write_private(path, &sealed)
    }
}

fn key_file(path: &Path) -> Result<StorageKey> {
    match fs::read(path) {
        Ok(bytes) => {
            let secret =
                Secret32::from_slice(&bytes).with_context(|| format!("{} is not a key file", path.display()))?;
            Ok(StorageKey::from_secret(secret))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = StorageKey::random(&mut UnwrapErr(SysRng));
            write_private(path, key.expose())?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Writes a file for its owner alone; the old one stays until the new one is safe.
fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let next = path.with_extension("next");
    if next.exists() {
        fs::remove_file(&next)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&next, path).with_context(|| format!("cannot write {}", path.display()))
}
