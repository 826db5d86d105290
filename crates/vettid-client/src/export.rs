//! The audit export: stretches of the chain, joined to one text of JSON Lines and checked before anybody sees it.

use crate::app::{App, Ports};
use crate::command::CommandError;
use crate::line::Line;
use crate::state::KnownCheckpoint;
use vettid_crypto::audit::export::{ExportError, Trust, verify_export, write_line};
use vettid_wire::audit::ExportLine;
use vettid_wire::event::AuditExport;
use vettid_wire::feed::{AuditStretch, ExportAudit, MAX_AUDIT_ENTRIES};
use vettid_wire::json::JsonError;

/// Largest export in bytes; a chain that is longer is not held in memory.
const MAX_BYTES: usize = 256 * 1024 * 1024;

/// A whole export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditText {
    /// JSON Lines.
    pub text: String,
    /// Entries of the chain.
    pub entries: u64,
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportFailure {
    /// The vault could not be asked.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The vault did not reach the end of its chain.
    #[error("the audit chain grew faster than it could be read, or is too long")]
    Moved,
    /// What the vault gave is not its chain as it was.
    #[error("the vault's audit chain is not whole: {0}")]
    Broken(#[from] ExportError),
    /// A line cannot be written.
    #[error("the export cannot be written: {0}")]
    Form(#[from] JsonError),
}

impl<P: Ports> App<P> {
    /// Fetches the whole audit chain and checks it against the vault's fingerprint and the newest known checkpoint.
    ///
    /// # Errors
    /// [`ExportFailure`].
    pub async fn export_audit(&self) -> Result<AuditText, ExportFailure> {
        let mut line = self.open().await?;
        let export = export(&mut line).await;
        line.close().await;
        export
    }
}

async fn export<P: Ports>(line: &mut Line<'_, P>) -> Result<AuditText, ExportFailure> {
    let bytes = fetch(line).await?;
    let newest = line.member.checkpoint.map(Into::into);
    let report = verify_export(&bytes, Trust { vault: Some(line.member.vault.fingerprint), newest })?;
    line.member.checkpoint = Some(KnownCheckpoint::from(report.checkpoint));
    line.save()?;
    let text = String::from_utf8(bytes).map_err(|_| ExportFailure::Moved)?;
    Ok(AuditText { text, entries: report.checkpoint.size })
}

/// The lines of the export, stretch by stretch, until one carries the checkpoint over everything.
async fn fetch<P: Ports>(line: &mut Line<'_, P>) -> Result<Vec<u8>, ExportFailure> {
    let mut bytes = Vec::new();
    let mut from = 0;
    while bytes.len() <= MAX_BYTES {
        let stretch = line.ask::<AuditExport>(&ExportAudit { from, limit: MAX_AUDIT_ENTRIES }).await?;
        if from == 0 && bytes.is_empty() {
            push_head(&mut bytes, &stretch)?;
        }
        let taken = stretch.entries.len() as u64;
        for entry in stretch.entries {
            bytes.extend(write_line(&ExportLine::Entry(entry))?);
        }
        from += taken;
        if let Some(checkpoint) = stretch.checkpoint {
            bytes.extend(write_line(&ExportLine::Checkpoint(checkpoint))?);
            return Ok(bytes);
        }
        if taken == 0 {
            break;
        }
    }
    Err(ExportFailure::Moved)
}

fn push_head(bytes: &mut Vec<u8>, stretch: &AuditStretch) -> Result<(), ExportFailure> {
    let record = serde_json::to_value(&stretch.key_record).map_err(JsonError::Shape)?;
    bytes.extend(write_line(&ExportLine::Head(stretch.head.clone()))?);
    bytes.extend(write_line(&ExportLine::KeyRecord(record))?);
    Ok(())
}
