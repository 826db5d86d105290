//! How the vault is and how the app stands to it, with the checks against going back (spec §3 R14).

use crate::app::{App, Ports};
use crate::command::{CommandError, WentBack};
use crate::line::Line;
use crate::state::Member;
use serde::Serialize;
use vettid_crypto::audit::checkpoint::Checkpoint;
use vettid_wire::event::{self, Nothing};
use vettid_wire::id::{DeviceId, Fingerprint, MemberId};
use vettid_wire::session::VaultHealth;
use vettid_wire::time::Timestamp;

/// How the vault is and how the app stands to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// The member.
    pub guid: MemberId,
    /// This device.
    pub device: DeviceId,
    /// The vault's identity.
    pub vault_fingerprint: Fingerprint,
    /// What the vault says of itself.
    pub health: VaultHealth,
    /// When the running session began.
    pub session_started_at: Timestamp,
    /// Until when the broker takes this app, if it is not used before.
    pub nats_expires_at: Timestamp,
    /// How far this machine's clock is ahead of the vault's, in milliseconds.
    pub clock_ahead_ms: i64,
}

impl<P: Ports> App<P> {
    /// Asks the vault how it is.
    ///
    /// # Errors
    /// [`CommandError`], among them [`CommandError::WentBack`].
    pub async fn status(&self) -> Result<Status, CommandError> {
        let mut line = self.open().await?;
        let status = status(&mut line).await;
        line.close().await;
        status
    }
}

async fn status<P: Ports>(line: &mut Line<'_, P>) -> Result<Status, CommandError> {
    let health = line.ask::<event::VaultHealth>(&Nothing {}).await?;
    observe(&mut line.member, &health)?;
    line.save()?;
    let member = &line.member;
    Ok(Status {
        guid: member.guid,
        device: member.device.clone(),
        vault_fingerprint: member.vault.fingerprint,
        session_started_at: member.session.as_ref().map_or(health.now, |session| session.started_at),
        nats_expires_at: member.credential.expires_at,
        clock_ahead_ms: -line.vault_ahead_ms,
        health,
    })
}

/// Compares what the vault says with the most that was ever seen, and remembers it.
fn observe(member: &mut Member, health: &VaultHealth) -> Result<(), WentBack> {
    let vault = &mut member.vault;
    if health.incarnation < vault.incarnation {
        return Err(WentBack::Incarnation { known: vault.incarnation, found: health.incarnation });
    }
    if health.incarnation > vault.incarnation {
        // A restored vault says so by its incarnation; its numbers may then be lower.
        vault.journal_is_at(health.incarnation, health.journal_sequence, None);
        member.checkpoint = None;
        return Ok(());
    }
    if health.journal_sequence < vault.journal_sequence {
        return Err(WentBack::Journal { known: vault.journal_sequence, found: health.journal_sequence });
    }
    let known = member.checkpoint.map_or(0, |known| Checkpoint::from(known).size);
    if health.audit_size < known {
        return Err(WentBack::Audit { known, found: health.audit_size });
    }
    if health.journal_sequence > vault.journal_sequence {
        vault.journal_is_at(health.incarnation, health.journal_sequence, None);
    }
    Ok(())
}
