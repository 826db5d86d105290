//! The operator's audit log: who did what about whom. An entry is written in the transaction of its act and is never
//! changed. It holds ids only, no names and no content.

use serde::{Deserialize, Serialize};
use vettid_core::directory::Change;
use vettid_wire::directory::Finding;
use vettid_wire::id::{EventId, HostId, MemberId, ServiceId};
use vettid_wire::time::Timestamp;

/// Who acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Somebody unknown, over the public API.
    Anonymous,
    /// A member in the portal.
    Member(MemberId),
    /// An app within an enrolment.
    App(EventId),
    /// A host.
    Host(HostId),
    /// A member's vault.
    Vault(MemberId),
    /// A service.
    Service(ServiceId),
    /// Services themselves.
    Services,
    /// The operator, by a signed command.
    Operator,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// An account was opened.
    AccountOpened(MemberId),
    /// A host was chosen for a vault.
    VaultAssigned(MemberId),
    /// A vault's keys were recorded.
    VaultDeployed(MemberId),
    /// An enrolment began; earlier ones of the member ended.
    EnrolmentStarted(EventId),
    /// A code was scanned.
    EnrolmentScanned(EventId),
    /// An app proved that it has read the code.
    EnrolmentAuthenticated(EventId),
    /// An app's proof was false.
    EnrolmentProofFalse(EventId),
    /// A credential for the handshake was issued.
    BootstrapIssued(EventId),
    /// A credential for the way back to the vault was issued to the app of an enrolment.
    BootstrapRenewed(EventId),
    /// An enrolment is complete.
    EnrolmentCompleted(EventId),
    /// A host joined or renewed its credentials.
    HostJoined(HostId),
    /// A service registered its account.
    ServiceRegistered(ServiceId),
    /// A vault has new keys for signing the credentials of its users.
    SigningKeysRotated {
        /// The member.
        guid: MemberId,
        /// When the vault made them.
        since: Timestamp,
        /// Whether the former ones are taken until the next change.
        keeps_former: bool,
    },
    /// A service has new keys for signing the credentials of its account's users.
    ServiceKeysRotated {
        /// The service.
        service_id: ServiceId,
        /// When its gateway made them.
        since: Timestamp,
        /// Whether the former ones are taken until the next change.
        keeps_former: bool,
    },
    /// A service claimed a domain.
    DomainClaimed(ServiceId),
    /// The record of a service's domain was looked at.
    DomainChecked {
        /// The service.
        service_id: ServiceId,
        /// What was found.
        found: Finding,
        /// What that changed.
        change: Change,
    },
    /// A service told the directory of itself.
    ServiceListed(ServiceId),
    /// The operator gave its word for a service, or took it back.
    ServiceCertified {
        /// The service.
        service_id: ServiceId,
        /// Until when; absent: it ended.
        until: Option<Timestamp>,
    },
    /// A NATS user was cut off.
    UserRevoked {
        /// The account.
        account_nkey: String,
        /// The user.
        user_nkey: String,
    },
    /// An app was given a token for an operation.
    ActionGranted {
        /// The token.
        token: EventId,
        /// What it is for.
        action: String,
    },
    /// A token was used for an act that changes nothing.
    ActionTaken {
        /// The token.
        token: EventId,
        /// What it was for.
        action: String,
    },
    /// A recovery container was stored.
    BackupStored(MemberId),
    /// A code for a recovery was made.
    RecoveryStarted(MemberId),
    /// Somebody tried to recover; who that is, the code told, or nobody.
    RecoveryTried,
    /// A new device took the place of the old one.
    Recovered(EventId),
    /// A device whose recovery was taken got another way into the vault.
    RecoveryEntered(EventId),
    /// The old device approved a recovery.
    RecoveryApproved(EventId),
    /// The old device denied a recovery.
    RecoveryDenied(EventId),
    /// The state of a member's credential at services changed.
    CredentialChanged(MemberId),
    /// A control command was given.
    ControlCommand {
        /// The command's id.
        command_id: EventId,
        /// The command.
        command: String,
    },
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What.
    pub act: Act,
}
