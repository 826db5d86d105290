//! The statement of what a service ever got: written from an audit export and what the vault signed, and verified by anybody
//! with nothing but the file. No line can be changed, left out, put in or moved without being found.

use crate::contract::contract_hash;
use serde::Serialize;
use std::collections::BTreeMap;
use vettid_crypto::audit::merkle::{Levels, leaf_hash, root_by_path};
use vettid_crypto::audit::{detail_belongs, entry_hash};
use vettid_crypto::identity::VerifyingKey;
use vettid_crypto::kdf::h256;
use vettid_crypto::key_record::{self, VerifiedKeyRecord};
use vettid_crypto::signature::{Context, check};
use vettid_wire::audit::{ExportLine, ExportedEntry, Outcome};
use vettid_wire::contract::{Contract, Tier};
use vettid_wire::digest::Digest;
use vettid_wire::event::{AuthorisationResponse, DataResponse, DataSnapshot, DataStoredResponse, EventRow};
use vettid_wire::id::Fingerprint;
use vettid_wire::json::{self, JsonError};
use vettid_wire::key_record::{KeyRecord, KeyRole};
use vettid_wire::statement::{KeptContract, ProvedEntry, ServedField, StatementHead, StatementLine};
use vettid_wire::time::Timestamp;

/// The form of statement that is written and read.
pub const VERSION: u8 = 1;

/// Why a statement does not hold.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// A line is not one of a statement, or stands in the wrong place.
    #[error("line {0} is not the line of a statement that stands there")]
    Form(usize),
    /// Another vault than the expected one.
    #[error("the statement is of another vault")]
    OtherVault,
    /// Not the vault's key record.
    #[error("line {0}: not a key record of this vault")]
    KeyRecord(usize),
    /// The head is not signed by the vault.
    #[error("line {0}: the vault did not sign this")]
    Head(usize),
    /// A contract that was not accepted, or whose signatures do not fit.
    #[error("line {0}: the signatures under this contract do not fit")]
    Contract(usize),
    /// An entry that is not in the vault's audit chain, or not of this connection.
    #[error("line {0}: this is not what the vault's audit chain says")]
    Entry(usize),
    /// Lines are missing, doubled or of another statement.
    #[error("the statement is not whole")]
    NotWhole,
}

/// Why a statement cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum NotWritten {
    /// The audit export is not of the chain that the vault signed, or lacks an entry with its detail.
    #[error("the audit export does not hold what the vault signed")]
    OtherChain,
    /// A line cannot be written.
    #[error("a line of the statement cannot be written")]
    Form(#[from] JsonError),
}

/// What the counter-signature under an acceptance proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Countersigned {
    /// There is none.
    No,
    /// Somebody made it with a key of which nothing says that it is the service's.
    ByUnknownKey,
    /// The service made it: the identity that the acceptance names certifies the key.
    ByService,
}

/// An acceptance that the member signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedContract {
    /// With everything that it was checked by.
    pub kept: KeptContract,
    /// Whether the service signed it as well.
    pub countersigned: Countersigned,
}

/// What a statement that holds says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementReport {
    /// The head.
    pub head: StatementHead,
    /// Every acceptance, the first one first; all name one service.
    pub contracts: Vec<CheckedContract>,
    /// Everything that was handed out, and when, oldest first.
    pub served: Vec<(Timestamp, ServedField)>,
    /// Whether the vault was compared with a known fingerprint.
    pub vault_compared: bool,
}

impl StatementReport {
    /// The identity of the service, as the member's acceptances name it.
    #[must_use]
    pub fn service_fp(&self) -> Option<Fingerprint> {
        self.contracts.first().map(|first| first.kept.acceptance.service_fp)
    }
}

/// SHA-256 of the canonical form, as the head names lists.
///
/// # Errors
/// [`JsonError`].
pub fn list_hash(list: &impl Serialize) -> Result<Digest, JsonError> {
    Ok(Digest::from_bytes(h256(&json::canonical(list)?)))
}

/// Joins what the vault signed with the entries of a verified audit export.
///
/// # Errors
/// [`NotWritten`].
pub fn write(
    head: StatementHead,
    record: &KeyRecord,
    contracts: &[KeptContract],
    numbers: &[u64],
    export: &str,
) -> Result<String, NotWritten> {
    let mut leaves = Vec::new();
    let mut entries = BTreeMap::new();
    for line in export.lines() {
        let ExportLine::Entry(exported) = json::read(line.as_bytes())? else { continue };
        if exported.entry.seq < head.audit_size {
            leaves.push(leaf_hash(entry_hash(&exported.entry)?.as_bytes()));
        }
        if numbers.binary_search(&exported.entry.seq).is_ok() {
            entries.insert(exported.entry.seq, exported);
        }
    }
    let tree = Levels::over(leaves);
    if tree.root() != *head.audit_root.as_bytes() {
        return Err(NotWritten::OtherChain);
    }
    let mut text = String::new();
    push(&mut text, &StatementLine::Statement(Box::new(head)))?;
    push(&mut text, &StatementLine::KeyRecord(serde_json::to_value(record).map_err(JsonError::Shape)?))?;
    for contract in contracts {
        push(&mut text, &StatementLine::Contract(Box::new(contract.clone())))?;
    }
    for number in numbers {
        let entry = entries.remove(number).filter(|entry| entry.detail.is_some()).ok_or(NotWritten::OtherChain)?;
        let index = usize::try_from(*number).map_err(|_| NotWritten::OtherChain)?;
        let path = tree.path(index).into_iter().map(Digest::from_bytes).collect();
        push(&mut text, &StatementLine::Served(Box::new(ProvedEntry { entry, path })))?;
    }
    Ok(text)
}

fn push(text: &mut String, line: &StatementLine) -> Result<(), JsonError> {
    text.push_str(&String::from_utf8_lossy(&json::canonical(line)?));
    text.push('\n');
    Ok(())
}

/// Whether a text begins as a statement does, so that it is worth verifying as one.
#[must_use]
pub fn looks_like_one(text: &str) -> bool {
    text.starts_with("{\"statement\":")
}

/// Verifies a whole statement, with nothing but its text and maybe the fingerprint of the vault.
///
/// # Errors
/// [`StatementError`], at the first line that is wrong.
pub fn verify(text: &str, vault: Option<Fingerprint>) -> Result<StatementReport, StatementError> {
    let whole = text.strip_suffix('\n').ok_or(StatementError::NotWhole)?;
    let mut lines = whole.split('\n').enumerate().map(|(at, line)| read(at + 1, line));
    let (Some(StatementLine::Statement(head)), Some(StatementLine::KeyRecord(record))) =
        (lines.next().transpose()?, lines.next().transpose()?)
    else {
        return Err(StatementError::Form(1));
    };
    let record = vault_of(record, &head).ok_or(StatementError::KeyRecord(2))?;
    if vault.is_some_and(|vault| vault != head.vault_fp) {
        return Err(StatementError::OtherVault);
    }
    if head.version != VERSION || check(Context::Statement, record.signing(), (*head).clone()).is_err() {
        return Err(StatementError::Head(1));
    }
    let mut report =
        StatementReport { head: *head, contracts: vec![], served: vec![], vault_compared: vault.is_some() };
    let mut numbers = Vec::new();
    for (at, line) in lines.enumerate() {
        let number = at + 3;
        match line? {
            StatementLine::Contract(kept) if numbers.is_empty() => {
                let checked = checked(&report, record.signing(), *kept).ok_or(StatementError::Contract(number))?;
                report.contracts.push(checked);
            }
            StatementLine::Served(proved) => {
                let served = served(&report, &proved).ok_or(StatementError::Entry(number))?;
                numbers.push(proved.entry.entry.seq);
                report.served.push((proved.entry.entry.ts, served));
            }
            _ => return Err(StatementError::Form(number)),
        }
    }
    let is = |list: Result<Digest, JsonError>, hash: Digest| list.is_ok_and(|list| list == hash);
    let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
    let kept: Vec<_> = report.contracts.iter().map(|checked| &checked.kept).collect();
    let is_whole = count(report.contracts.len()) == report.head.contracts
        && count(numbers.len()) == report.head.entries
        && is(list_hash(&kept), report.head.contracts_hash)
        && is(list_hash(&numbers), report.head.entries_hash);
    if is_whole { Ok(report) } else { Err(StatementError::NotWhole) }
}

fn read(number: usize, line: &str) -> Result<StatementLine, StatementError> {
    json::read(line.as_bytes()).map_err(|_| StatementError::Form(number))
}

/// The vault's own record: self-signed by the identity that the head names. That it expired since does not matter.
fn vault_of(record: serde_json::Value, head: &StatementHead) -> Option<VerifiedKeyRecord> {
    let record = key_record::reload(json::from_value(record).ok()?).ok()?;
    let claimed = record.record();
    let is_ours = claimed.role == KeyRole::Vault && claimed.guid == head.guid && record.fingerprint() == head.vault_fp;
    is_ours.then_some(record)
}

/// The member signed this contract for this connection with the one service, and whoever the line says under that.
fn checked(report: &StatementReport, key: &VerifyingKey, kept: KeptContract) -> Option<CheckedContract> {
    let (head, acceptance) = (&report.head, &kept.acceptance);
    let of_connection = acceptance.connection_id == head.connection_id
        && acceptance.service_id == head.service_id
        && report.service_fp().is_none_or(|service| service == acceptance.service_fp)
        && acceptance.member_fp == head.vault_fp
        && acceptance.contract_version == kept.contract.contract_version
        && contract_hash(&kept.contract).is_ok_and(|hash| hash == acceptance.contract_hash);
    let accepted = check(Context::ContractAccept, key, acceptance.clone()).is_ok();
    let countersigned = countersigned(&kept).filter(|_| of_connection && accepted)?;
    Some(CheckedContract { kept, countersigned })
}

/// What the counter-signature proves; `None` if it does not fit, or its key is certified by another identity than the service's.
fn countersigned(kept: &KeptContract) -> Option<Countersigned> {
    let service = kept.acceptance.service_fp;
    let (key, proves) = match (&kept.counter_signature, &kept.service_record, &kept.service_key) {
        (None, None, None) => return Some(Countersigned::No),
        (Some(_), Some(record), None) => {
            // That it expired since does not matter.
            let record = key_record::reload(record.clone()).ok()?;
            let is_of_service = record.record().role == KeyRole::Service && record.fingerprint() == service;
            (*record.signing(), is_of_service.then_some(Countersigned::ByService)?)
        }
        (Some(_), None, Some(key)) => {
            let key = VerifyingKey::from_typed(key).ok()?;
            // An identity that signs itself needs no record.
            let is_identity = key.fingerprint() == service;
            (key, if is_identity { Countersigned::ByService } else { Countersigned::ByUnknownKey })
        }
        _ => return None,
    };
    let (counter, hash) = (kept.counter_signature.as_ref()?, crate::channel::body_hash(&kept.acceptance).ok()?);
    let fits = counter.acceptance_hash == hash
        && counter.connection_id == kept.acceptance.connection_id
        && check(Context::ContractCounter, &key, counter.clone()).is_ok();
    fits.then_some(proves)
}

/// The entry stands in the chain that the head names, and says that a declared field left on this connection.
fn served(report: &StatementReport, proved: &ProvedEntry) -> Option<ServedField> {
    let ExportedEntry { entry, detail } = &proved.entry;
    let detail = detail.as_ref().filter(|detail| detail_belongs(entry, detail))?;
    let head = &report.head;
    let path: Vec<_> = proved.path.iter().map(|hash| *hash.as_bytes()).collect();
    let leaf = leaf_hash(entry_hash(entry).ok()?.as_bytes());
    let root = root_by_path(leaf, entry.seq, head.audit_size, &path)?;
    let is_ours = root == *head.audit_root.as_bytes()
        && entry.actor == format!("service:{}", head.service_id)
        && entry.outcome == Outcome::Success;
    let served: ServedField = json::from_value(detail.value.get("served")?.clone()).ok().filter(|_| is_ours)?;
    let rows: &[&str] = match (&served.category, &served.claim) {
        (None, None) => &[DataResponse::ROW.name, DataSnapshot::ROW.name, AuthorisationResponse::ROW.name],
        (None, Some(claim)) if claim.field() == served.field => &[AuthorisationResponse::ROW.name],
        (Some(_), None) => &[DataStoredResponse::ROW.name],
        _ => &[],
    };
    if !rows.contains(&entry.event_type.as_str()) {
        return None;
    }
    let mut contracts = report.contracts.iter().map(|checked| &checked.kept);
    let contract = contracts.find(|kept| kept.acceptance.contract_hash == served.contract_hash)?;
    let fits = served.connection_id == head.connection_id
        && declared_tier(&contract.contract, &served)? == served.tier
        && contract.contract.contract_version == served.contract_version;
    fits.then_some(served)
}

/// How the contract hands it out: a field by its tier, what the service stored itself whenever it asks.
fn declared_tier(contract: &Contract, served: &ServedField) -> Option<Tier> {
    match &served.category {
        None => contract.field(&served.field).map(|field| field.tier),
        Some(category) => contract.storage.as_ref()?.category(category).map(|_| Tier::OnDemand),
    }
}
