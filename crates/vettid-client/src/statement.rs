//! The statement of what a service ever got: what the vault signed, joined with the entries of its audit chain, and verified
//! before anybody sees it.

use crate::app::{App, Ports};
use crate::command::CommandError;
use crate::export::ExportFailure;
use vettid_core::statement::{NotWritten, StatementError, StatementReport, verify, write};
use vettid_wire::event::ContractStatement;
use vettid_wire::id::ConnectionId;
use vettid_wire::statement::{AskStatement, StatementPart};

/// A statement is asked for again so often if something was handed out meanwhile.
const TRIES: usize = 5;

/// A statement that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementText {
    /// JSON Lines.
    pub text: String,
    /// What it says.
    pub report: StatementReport,
}

/// Why there is no statement.
#[derive(Debug, thiserror::Error)]
pub enum StatementFailure {
    /// The vault could not be asked.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The audit chain could not be had.
    #[error(transparent)]
    Export(#[from] ExportFailure),
    /// It cannot be written.
    #[error(transparent)]
    NotWritten(#[from] NotWritten),
    /// What the vault gave does not hold.
    #[error("what the vault gave does not hold: {0}")]
    Broken(#[from] StatementError),
    /// More was handed out each time.
    #[error("the service is being served faster than the statement can be made")]
    Moved,
}

impl<P: Ports> App<P> {
    /// Fetches the statement about one connection and verifies it.
    ///
    /// # Errors
    /// [`StatementFailure`].
    pub async fn statement(&self, connection_id: ConnectionId) -> Result<StatementText, StatementFailure> {
        for _ in 0..TRIES {
            let Some((last, contracts, entries)) = self.parts(connection_id).await? else { continue };
            let export = self.export_audit().await?;
            let text = write(last.head, &last.key_record, &contracts, &entries, &export.text)?;
            let report = verify(&text, None)?;
            return Ok(StatementText { text, report });
        }
        Err(StatementFailure::Moved)
    }

    /// All parts under one head; `None` if it changed in between.
    async fn parts(
        &self,
        connection_id: ConnectionId,
    ) -> Result<Option<(StatementPart, Vec<vettid_wire::statement::KeptContract>, Vec<u64>)>, StatementFailure> {
        let (mut contracts, mut entries) = (Vec::new(), Vec::new());
        for part in 0.. {
            let mut got = self.command::<ContractStatement>(AskStatement { connection_id, part }).await?;
            let is_end = got.contract.is_none() && got.entries.is_empty();
            contracts.extend(got.contract.take());
            entries.append(&mut got.entries);
            let has = |held: usize, wanted: u64| u64::try_from(held).is_ok_and(|held| held == wanted);
            if has(contracts.len(), got.head.contracts) && has(entries.len(), got.head.entries) {
                return Ok(Some((got, contracts, entries)));
            }
            if is_end {
                break;
            }
        }
        Ok(None)
    }
}
