//! Why a command of the owner did not succeed.

use crate::credential::WrongCredential;
use crate::handshake::HandshakeError;
use crate::services::ServicesError;
use crate::store::StoreError;
use crate::transport::TransportError;
use vettid_core::channel::ChannelError;
use vettid_crypto::signature::SignatureError;
use vettid_wire::event::EventType;
use vettid_wire::json::JsonError;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// Why a command of the owner did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no app here.
    #[error("no app is enrolled in this profile")]
    NotEnrolled,
    /// Enrolling began and was not finished.
    #[error("enrolling this app was not finished")]
    EnrolmentUnfinished,
    /// The state cannot be read or saved.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The broker cannot be used.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The app was away for so long that the broker does not take it any more, and services refuse it the way back.
    #[error("this app was away too long: its access to the broker ended at {since}, and services give no other one")]
    CredentialDead {
        /// When.
        since: Timestamp,
    },
    /// Services cannot be asked for the way back to the vault.
    #[error("getting back to the vault: {0}")]
    Services(#[source] ServicesError),
    /// The request for services cannot be signed.
    #[error("the request for the way back cannot be signed: {0}")]
    Proof(#[from] SignatureError),
    /// The vault gave a credential that is not for this app, or the stored one is unreadable.
    #[error(transparent)]
    Credential(#[from] WrongCredential),
    /// The vault was silent. The command may or may not be carried out.
    #[error("the vault did not answer {event_type}")]
    NoAnswer {
        /// The command.
        event_type: EventType,
        /// Whether it may change something.
        has_effect: bool,
    },
    /// The vault refused; nothing was changed.
    #[error("the vault refused {event_type}: {code}")]
    Refused {
        /// The command.
        event_type: EventType,
        /// The reason.
        code: RefusalCode,
    },
    /// This device brought the recovery phrase, and the vault waits for the password.
    #[error("the recovery on this device is not finished")]
    Recovering,
    /// The vault is locked: it opens nothing, and what others send waits.
    #[error("your vault is locked")]
    VaultLocked,
    /// The vault lost the secrets of earlier sessions, so it takes nothing from this app but a credential with password.
    #[error("the vault does not remember this app's sessions, so the new session is limited and takes no commands")]
    LimitedSession,
    /// No session could be made.
    #[error(transparent)]
    Handshake(HandshakeError),
    /// The vault is in an older state than it was before.
    #[error("the vault went back: {0}")]
    WentBack(#[from] WentBack),
    /// The request is too large for its row.
    #[error("the input is larger than {cap_bytes} bytes")]
    TooLarge {
        /// The cap of the row.
        cap_bytes: usize,
    },
    /// The request is outside the profile of JSON.
    #[error("the input cannot be sent: {0}")]
    Request(#[source] JsonError),
    /// The answer is genuine and has another form than this version knows.
    #[error("the answer to {event_type} cannot be read: {source}")]
    Answer {
        /// The command.
        event_type: EventType,
        /// What is wrong with it.
        source: JsonError,
    },
    /// Nothing could be sealed.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

impl From<HandshakeError> for CommandError {
    fn from(error: HandshakeError) -> Self {
        match error {
            HandshakeError::Transport(error) => Self::Transport(error),
            error => Self::Handshake(error),
        }
    }
}

/// The vault is in an older state than it was before (spec §3 R14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WentBack {
    /// Its incarnation fell.
    #[error("its incarnation was {known} and is {found}")]
    Incarnation {
        /// Highest seen.
        known: u64,
        /// Shown now.
        found: u64,
    },
    /// Its journal became shorter.
    #[error("its journal had {known} commits and has {found}")]
    Journal {
        /// Most seen.
        known: u64,
        /// Shown now.
        found: u64,
    },
    /// Its journal has another commit where one was seen.
    #[error("commit {sequence} of its journal was another one")]
    OtherJournal {
        /// The commit.
        sequence: u64,
    },
    /// It shows older keys, or other ones of the same number.
    #[error("its key record had number {known}, and it shows another one of number {found}")]
    KeyRecord {
        /// Number of the newest record seen.
        known: u64,
        /// Number shown now.
        found: u64,
    },
    /// Its audit chain became shorter.
    #[error("its audit chain had {known} entries and has {found}")]
    Audit {
        /// Most seen.
        known: u64,
        /// Shown now.
        found: u64,
    },
}
