//! Writes and verifies an exported audit chain, offline (JSON Lines, spec 2.17).
//!
//! Proves that nothing was deleted, swapped, edited or cut off *within* the export. That the export is of the right
//! vault, and not an older one, is only proved against what the caller brings along: [`Trust`].

use serde::Serialize;
use std::collections::BTreeMap;
use vettid_wire::audit::{ExportHead, ExportLine, ExportedEntry};
use vettid_wire::id::Fingerprint;
use vettid_wire::json::{self, JsonError};
use vettid_wire::key_record::KeyRole;
use vettid_wire::time::Timestamp;

use super::checkpoint::{Checkpoint, RolledBack};
use super::{BrokenChain, Chain, detail_belongs};
use crate::key_record::{self, VerifiedKeyRecord};

/// The form of export that is written and read.
pub const VERSION: u8 = 1;

/// What the reader of an export knows from elsewhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trust {
    /// Fingerprint of the vault, from the app or from paper.
    pub vault: Option<Fingerprint>,
    /// Newest checkpoint that the app keeps.
    pub newest: Option<Checkpoint>,
}

/// What a verified export holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportReport {
    /// Whose chain it is.
    pub head: ExportHead,
    /// The state at its end.
    pub checkpoint: Checkpoint,
    /// Entries whose detail is there and belongs to them.
    pub details: u64,
    /// Time of the first entry.
    pub first_at: Option<Timestamp>,
    /// Time of the last entry.
    pub last_at: Option<Timestamp>,
    /// Whether the vault was compared with a known fingerprint.
    pub vault_compared: bool,
    /// Whether the chain was compared with a known checkpoint.
    pub checkpoint_compared: bool,
}

/// Why an export does not verify.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A line is not of the expected form.
    #[error("line {line} is not a line of an audit export")]
    Form {
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        #[source]
        source: JsonError,
    },
    /// The export does not begin with the head of a known version, or has two.
    #[error("line {line}: the export has no single head of version {VERSION}")]
    Head {
        /// Number of the line, from 1.
        line: u64,
    },
    /// Another vault than the expected one.
    #[error("the export is of another vault")]
    OtherVault,
    /// A key record that was not signed by the vault's identity, or is not the successor of the one before.
    #[error("line {line}: not a key record of this vault")]
    KeyRecord {
        /// Number of the line, from 1.
        line: u64,
    },
    /// An entry does not follow.
    #[error("line {line}: {source}")]
    Chain {
        /// Number of the line, from 1.
        line: u64,
        /// Where the chain breaks.
        #[source]
        source: BrokenChain,
    },
    /// A detail is not the one that the entry commits to.
    #[error("line {line}: the detail does not belong to its entry")]
    Detail {
        /// Number of the line, from 1.
        line: u64,
    },
    /// A checkpoint is not signed by the vault's key, or is of another chain.
    #[error("line {line}: the checkpoint does not fit the entries before it")]
    Checkpoint {
        /// Number of the line, from 1.
        line: u64,
    },
    /// The export does not end with a checkpoint over all its entries: something was cut off.
    #[error("the export does not end with a checkpoint; its end was cut off")]
    CutOff,
    /// The export contradicts the newest known checkpoint.
    #[error("the export contradicts the newest known checkpoint")]
    RolledBack(#[source] RolledBack),
}

/// One line of an export, with its end of line.
///
/// # Errors
/// [`JsonError`] for a value outside the profile, or a line that could not be read back.
pub fn write_line(line: &ExportLine) -> Result<Vec<u8>, JsonError> {
    written(line)
}

/// Whether an entry can be written as a line.
pub(super) fn check_entry(entry: &ExportedEntry) -> Result<(), JsonError> {
    // As `ExportLine::Entry` is written, without a copy of the entry.
    written(&BTreeMap::from([("entry", entry)])).map(|_| ())
}

fn written(line: &impl Serialize) -> Result<Vec<u8>, JsonError> {
    let mut bytes = json::canonical(line)?;
    if bytes.len() > json::MAX_BYTES {
        return Err(JsonError::TooLong(json::MAX_BYTES));
    }
    bytes.push(b'\n');
    Ok(bytes)
}

/// Verifies a whole export.
///
/// # Errors
/// [`ExportError`], at the first line that is wrong.
pub fn verify_export(export: &[u8], trust: Trust) -> Result<ExportReport, ExportError> {
    let mut verifier = ExportVerifier::new(trust);
    let lines = export.strip_suffix(b"\n").ok_or(ExportError::CutOff)?;
    lines.split(|byte| *byte == b'\n').try_for_each(|line| verifier.push_line(line))?;
    verifier.finish()
}

/// Verifies an export line by line, in memory that does not grow with it.
#[derive(Debug)]
pub struct ExportVerifier {
    trust: Trust,
    line: u64,
    progress: Option<Progress>,
}

#[derive(Debug)]
struct Progress {
    head: ExportHead,
    chain: Chain,
    record: Option<VerifiedKeyRecord>,
    ends_with_checkpoint: bool,
    details: u64,
    first_at: Option<Timestamp>,
    last_at: Option<Timestamp>,
}

impl ExportVerifier {
    /// Starts an export.
    #[must_use]
    pub fn new(trust: Trust) -> Self {
        Self { trust, line: 0, progress: None }
    }

    /// Takes the next line, without its end of line.
    ///
    /// # Errors
    /// [`ExportError`]; the export is then not to be believed, whatever follows.
    pub fn push_line(&mut self, line: &[u8]) -> Result<(), ExportError> {
        self.line += 1;
        let number = self.line;
        let parsed = json::read(line).map_err(|source| ExportError::Form { line: number, source })?;
        match (parsed, self.progress.as_mut()) {
            (ExportLine::Head(head), None) if head.version == VERSION => {
                self.progress = Some(Progress::start(head, &self.trust)?);
                Ok(())
            }
            (ExportLine::Head(_), _) | (_, None) => Err(ExportError::Head { line: number }),
            (line, Some(progress)) => progress.take(line, number, &self.trust),
        }
    }

    /// Ends the export.
    ///
    /// # Errors
    /// [`ExportError::CutOff`], [`ExportError::RolledBack`].
    pub fn finish(self) -> Result<ExportReport, ExportError> {
        let progress = self.progress.filter(|progress| progress.ends_with_checkpoint).ok_or(ExportError::CutOff)?;
        let checkpoint = Checkpoint::of(&progress.chain);
        if let Some(newest) = self.trust.newest {
            checkpoint.follows(&newest).map_err(ExportError::RolledBack)?;
        }
        Ok(ExportReport {
            head: progress.head,
            checkpoint,
            details: progress.details,
            first_at: progress.first_at,
            last_at: progress.last_at,
            vault_compared: self.trust.vault.is_some(),
            checkpoint_compared: self.trust.newest.is_some(),
        })
    }
}

impl Progress {
    fn start(head: ExportHead, trust: &Trust) -> Result<Self, ExportError> {
        if trust.vault.is_some_and(|vault| vault != head.vault_fp) {
            return Err(ExportError::OtherVault);
        }
        let progress = Self {
            chain: Chain::new(head.guid, &head.vault_fp),
            head,
            record: None,
            ends_with_checkpoint: false,
            details: 0,
            first_at: None,
            last_at: None,
        };
        progress.compare(trust)?;
        Ok(progress)
    }

    fn take(&mut self, line: ExportLine, number: u64, trust: &Trust) -> Result<(), ExportError> {
        self.ends_with_checkpoint = false;
        match line {
            ExportLine::Head(_) => Err(ExportError::Head { line: number }),
            ExportLine::KeyRecord(record) => {
                self.record = Some(self.verify_record(record).ok_or(ExportError::KeyRecord { line: number })?);
                Ok(())
            }
            ExportLine::Entry(entry) => self.take_entry(&entry, number).and_then(|()| self.compare(trust)),
            ExportLine::Checkpoint(note) => {
                let fits = self.checkpoint_fits(&note);
                self.ends_with_checkpoint = fits;
                if fits { Ok(()) } else { Err(ExportError::Checkpoint { line: number }) }
            }
        }
    }

    fn take_entry(&mut self, line: &ExportedEntry, number: u64) -> Result<(), ExportError> {
        self.chain.follow(&line.entry).map_err(|source| ExportError::Chain { line: number, source })?;
        if let Some(detail) = &line.detail {
            if !detail_belongs(&line.entry, detail) {
                return Err(ExportError::Detail { line: number });
            }
            self.details += 1;
        }
        self.first_at.get_or_insert(line.entry.ts);
        self.last_at = Some(line.entry.ts);
        Ok(())
    }

    /// The chain, at the size of the newest known checkpoint, has its root.
    fn compare(&self, trust: &Trust) -> Result<(), ExportError> {
        match trust.newest {
            Some(newest) if newest.size == self.chain.size() => {
                Checkpoint::of(&self.chain).follows(&newest).map_err(ExportError::RolledBack)
            }
            _ => Ok(()),
        }
    }

    /// Self-signed by the identity whose fingerprint the chain starts from, and the successor of the one before. That
    /// the record expired since does not matter: it was in force when the checkpoints were made.
    fn verify_record(&self, record: serde_json::Value) -> Option<VerifiedKeyRecord> {
        let record = key_record::reload(json::from_value(record).ok()?).ok()?;
        let claimed = record.record();
        let ours = claimed.role == KeyRole::Vault
            && claimed.guid == self.head.guid
            && record.fingerprint() == self.head.vault_fp;
        match &self.record {
            _ if !ours => None,
            Some(before) => before.accept(record).ok(),
            None => Some(record),
        }
    }

    fn checkpoint_fits(&self, note: &str) -> bool {
        let key = self.record.as_ref().map(VerifiedKeyRecord::signing);
        let checkpoint = key.and_then(|key| Checkpoint::verify(note, self.head.guid, key).ok());
        checkpoint == Some(Checkpoint::of(&self.chain))
    }
}
