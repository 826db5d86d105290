//! Audit entries, their erasable details, and the lines of an audit export (spec 2.17).
//! Form only: hashes, roots and signatures are computed and checked elsewhere.

use crate::base64::Base64;
use crate::digest::Digest;
use crate::id::{Fingerprint, MemberId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How an act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was carried out.
    Success,
    /// It was not allowed.
    Refused,
    /// It was allowed and could not be carried out.
    Failure,
}

/// One link of the chain: what is hashed, and later kept for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Place in the chain, from 0 without holes.
    pub seq: u64,
    /// When the act was committed.
    pub ts: Timestamp,
    /// Who acted: `app`, `vault`, `connection:{id}`, `service:{id}`, `control`.
    pub actor: String,
    /// What was done, as an event name.
    pub event_type: String,
    /// What it was done to, as an opaque id.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Commits to the detail, which is stored apart.
    pub detail_hash: Digest,
    /// Hash of the entry before, or the genesis of this vault.
    pub prev: Digest,
}

/// The detail of an entry. Erasing it leaves the chain whole; the salt keeps an erased detail from being guessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detail {
    /// 16 random bytes.
    pub salt: Base64,
    /// The detail itself.
    pub value: Value,
}

/// First line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportHead {
    /// Form of the export; 1.
    pub version: u8,
    /// Whose chain this is.
    pub guid: MemberId,
    /// Identity of the vault that wrote it.
    pub vault_fp: Fingerprint,
    /// When it was exported.
    pub exported_at: Timestamp,
}

/// One entry in an export, with its detail unless that was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedEntry {
    /// The entry.
    pub entry: Entry,
    /// Its detail; absent once erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Detail>,
}

/// One line of an export (JSON Lines). Order: `head`, then key records, entries in order, and after the entries it
/// covers each checkpoint. The last line is the checkpoint over everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportLine {
    /// First line.
    Head(ExportHead),
    /// A signed key record of the vault, as it was published; names the key of the checkpoints that follow.
    KeyRecord(Value),
    /// An entry.
    Entry(ExportedEntry),
    /// A signed checkpoint note (C2SP `tlog-checkpoint`) over all entries so far.
    Checkpoint(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    const ENTRY: &str = r#"{"seq":0,"ts":"2026-11-21T00:00:00.000Z","actor":"app","event_type":"credential.use","outcome":"success","detail_hash":"+M61U4gTsABb/ufTSd1bXivl4oOG146iuiry3vGPE8U=","prev":"5uuW85T6A3cGpKzHujzVk3/EYUfdzOUwGTjPtwgH1Ak="}"#;

    #[test]
    fn an_entry_survives_the_round_trip() {
        let entry: Entry = json::read(ENTRY.as_bytes()).unwrap();
        let again = json::canonical(&entry).unwrap();
        assert_eq!(again, json::canonical(&json::parse(ENTRY.as_bytes()).unwrap()).unwrap());
    }

    #[test]
    fn unknown_fields_are_refused() {
        let more = ENTRY.replacen('{', r#"{"note":"x","#, 1);
        assert!(json::read::<Entry>(more.as_bytes()).is_err());
        let line = format!(r#"{{"entry":{{"entry":{ENTRY},"hash":"x"}}}}"#);
        assert!(json::read::<ExportLine>(line.as_bytes()).is_err());
        let fine = format!(r#"{{"entry":{{"entry":{ENTRY}}}}}"#);
        assert!(json::read::<ExportLine>(fine.as_bytes()).is_ok());
    }
}
