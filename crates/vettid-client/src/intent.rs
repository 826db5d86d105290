//! The intent log (spec §3 R13): a command with effects is stored before it is sent and keeps its event id until its
//! outcome is known. So it is never carried out twice, and the member always learns what became of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_wire::base64::Base64Url;
use vettid_wire::event::{
    AgreementExport, AgreementGet, AgreementList, AskHealth, AskKeys, AuditExport, AuthorisationExport,
    AuthorisationList, BrowserList, CallGet, CallList, ConnectionInvitations, ConnectionList, ConnectionReview,
    ContractGet, ContractList, ContractStatement, ContractTest, CredentialChallenge, CredentialStatus, DataGet,
    DataHeld, DataList, EventRow, EventType, FeedGet, FeedList, FeedSearch, FeedUnread, FileGet, FileList,
    FilePieceGet, FileStatus, FileUploadStatus, LocationList, LocationUpdate, MessagingExport, MessagingGet,
    MessagingList, ProfileGet, ProfileItemList, ProfilePreview, RequestList, Row, RuleList, RuleTest, SecretList,
    ServiceMessageList, SessionRefresh, StoredGet, StoredList, VaultHealth,
};
use vettid_wire::id::EventId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// A command that was or is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Intent {
    /// Stays the same over retries.
    pub(crate) event_id: EventId,
    /// What it asks.
    pub(crate) event_type: EventType,
    /// Its body.
    pub(crate) body: Value,
    /// SHA-256 of the canonical bytes of the body.
    pub(crate) body_hash: Base64Url,
    /// When the member gave the command.
    pub(crate) started_at: Timestamp,
    /// It has no effect later than this.
    pub(crate) expires_at: Option<Timestamp>,
}

impl Intent {
    /// Whether the vault would still carry it out.
    pub(crate) fn is_alive(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }

    /// Whether the member asks for the same thing with both.
    pub(crate) fn asks_the_same(&self, other: &Self) -> bool {
        self.event_type == other.event_type && self.body_hash == other.body_hash
    }
}

/// Rows that only read, and where the owner is, which the app keeps nowhere: asking twice does no harm, so they need no log.
const READS: [&str; 48] = [
    SessionRefresh::ROW.name,
    VaultHealth::ROW.name,
    ProfileGet::ROW.name,
    ProfileItemList::ROW.name,
    ProfilePreview::ROW.name,
    BrowserList::ROW.name,
    DataGet::ROW.name,
    DataList::ROW.name,
    DataHeld::ROW.name,
    StoredList::ROW.name,
    StoredGet::ROW.name,
    ConnectionReview::ROW.name,
    ConnectionInvitations::ROW.name,
    ConnectionList::ROW.name,
    ContractList::ROW.name,
    ContractGet::ROW.name,
    ContractStatement::ROW.name,
    ContractTest::ROW.name,
    AskHealth::ROW.name,
    AskKeys::ROW.name,
    MessagingExport::ROW.name,
    MessagingGet::ROW.name,
    MessagingList::ROW.name,
    FileUploadStatus::ROW.name,
    FileList::ROW.name,
    FileStatus::ROW.name,
    FileGet::ROW.name,
    FilePieceGet::ROW.name,
    RequestList::ROW.name,
    AgreementList::ROW.name,
    AuthorisationList::ROW.name,
    ServiceMessageList::ROW.name,
    AuthorisationExport::ROW.name,
    CallList::ROW.name,
    CallGet::ROW.name,
    LocationList::ROW.name,
    LocationUpdate::ROW.name,
    AgreementGet::ROW.name,
    AgreementExport::ROW.name,
    RuleList::ROW.name,
    RuleTest::ROW.name,
    FeedList::ROW.name,
    FeedSearch::ROW.name,
    FeedGet::ROW.name,
    FeedUnread::ROW.name,
    AuditExport::ROW.name,
    CredentialStatus::ROW.name,
    CredentialChallenge::ROW.name,
    SecretList::ROW.name,
];

/// Whether a command of this row may change something.
pub(crate) fn has_effect(row: &Row) -> bool {
    !READS.contains(&row.name)
}

/// What became of an earlier command, found out by a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What it asked; of a use of the credential, its action.
    pub event_type: EventType,
    /// When the member gave it.
    pub started_at: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    CarriedOut,
    /// It had no effect.
    Refused(RefusalCode),
    /// It had no effect, because of its password or of the credential it used.
    NotCarriedOut,
    /// It was answered in a form that this version does not know.
    Unreadable,
}

#[cfg(test)]
mod tests {
    use super::*;
    use vettid_wire::event::{Lane, ROWS};

    #[test]
    fn reading_rows_say_so_in_their_name() {
        for row in ROWS.iter().filter(|row| row.lane == Lane::Owner) {
            let verb = row.name.rsplit('.').next().unwrap();
            let reads = [
                "get",
                "list",
                "review",
                "health",
                "export",
                "refresh",
                "status",
                "challenge",
                "search",
                "unread",
                "test",
                "preview",
            ]
            .contains(&verb);
            let passes = row.name == LocationUpdate::ROW.name;
            assert_eq!(has_effect(row), !reads && !passes, "{}", row.name);
        }
    }
}
