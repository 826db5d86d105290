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
use vettid_crypto::at_rest::{StorageKey, open_file, seal_file};
use vettid_crypto::secret::Secret32;
use vettid_wire::enrolment::{AccountCreated, CreateAccount, EnrolmentStarted};
use vettid_wire::event::Nothing;

const PURPOSE: &str = "vettid-up-accounts";

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
pub(super) struct People(Vec<Person>);

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
            let code_file =
                if is_enrolled(stack, name)? { None } else { Some(code(stack, &operator, account, name).await?) };
            people.push(Person { name, title, code_file });
        }
        Ok(Self(people))
    }

    /// Alice, then Bob.
    pub(super) fn all(&self) -> &[Person] {
        &self.0
    }
}

/// Whether the app of this person holds a state.
fn is_enrolled(stack: &Stack, name: &str) -> Result<bool> {
    let folder = stack.people_folder().join(name);
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
    let path = stack.people_folder().join(format!("{name}.code"));
    write_private(&path, started.qr.as_bytes())?;
    Ok(path)
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
