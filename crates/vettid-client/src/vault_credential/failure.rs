//! Why an operation with a credential did not succeed. Must never tell a secret, nor how a password was wrong.

use super::password::NoPassword;
use super::value::UnfitValue;
use crate::command::CommandError;
use crate::member_api::ActionError;
use crate::services::ServicesError;
use crate::store::StoreError;
use vettid_core::credential::holder::record::Untrusted;
use vettid_core::credential::holder::request::{CannotBegin, NotTheIssuer};
use vettid_crypto::Undecryptable;
use vettid_crypto::password::OutOfMemory;
use vettid_wire::event::EventType;
use vettid_wire::json::JsonError;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

const BAD_REQUEST: u16 = 400;
const FORBIDDEN: u16 = 403;
const CONFLICT: u16 = 409;
const TOO_LARGE: u16 = 413;

/// Why an operation with a credential did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The vault could not be asked, or refused.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Services could not be asked, or refused.
    #[error(transparent)]
    Services(#[from] ActionError),
    /// This app holds one already.
    #[error("this app holds this credential already")]
    Exists,
    /// There is none yet.
    #[error("there is no such credential yet")]
    NoCredential,
    /// The issuer has one, and this app does not hold it.
    #[error("there is a credential that this app does not hold")]
    HeldElsewhere,
    /// The app also holds a Services Credential, whose password has to change with it.
    #[error("the password of both credentials changes at once")]
    NotAlone,
    /// The inner layer is not what its issuer was given.
    #[error("what services keep of the credential does not open with the password")]
    NotIntact,
    /// An earlier operation of the same kind, whose answer was missed, turned out to be carried out; this one was not begun.
    #[error("your earlier {action} of {started_at} was carried out, so nothing was done again")]
    EarlierDone {
        /// The action.
        action: EventType,
        /// When the member gave it.
        started_at: Timestamp,
    },
    /// It was counted.
    #[error("the password is wrong")]
    WrongPassword {
        /// Earliest next try, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// Too early after wrong passwords; the password was not looked at.
    #[error("the next try has to wait")]
    Wait {
        /// Earliest next try, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// Too many wrong passwords.
    #[error("too many wrong passwords locked the credential")]
    Locked,
    /// A recovery is fresh; the password was not asked for.
    #[error("this waits until {until}, because this device recovered; the old device can lift the wait")]
    OnHold {
        /// When it ends, if the vault runs on.
        until: Timestamp,
    },
    /// The recovery container is older than what the vault recognises, or from before the last change of the password.
    #[error("the recovery container is too old for your vault")]
    TooOld,
    /// Another copy of the credential was used since.
    #[error("this app holds an old copy of the credential; a newer one was used elsewhere")]
    Stale,
    /// The operation may have run before the vault was restored.
    #[error("an earlier operation may have been carried out before the vault was restored")]
    InDoubt,
    /// Whoever answers is not the issuer that made the credential. No password was sent.
    #[error(transparent)]
    NotTheIssuer(#[from] NotTheIssuer),
    /// The issuer's answer must not be used.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The password was right, and the action could not be done.
    #[error("{action} could not be carried out: {code}")]
    Refused {
        /// The action.
        action: &'static str,
        /// The reason.
        code: RefusalCode,
    },
    /// The operation cannot be begun.
    #[error(transparent)]
    CannotBegin(CannotBegin),
    /// The operation lost its ground twice.
    #[error("the credential changed while it was used")]
    Overtaken,
    /// No password was given.
    #[error(transparent)]
    Password(#[from] NoPassword),
    /// The value cannot be a secret of this kind.
    #[error(transparent)]
    Value(#[from] UnfitValue),
    /// No memory for the password hash.
    #[error(transparent)]
    OutOfMemory(OutOfMemory),
    /// The program is ending.
    #[error("the password could not be hashed")]
    Interrupted,
    /// The result has another form than this version knows.
    #[error("the result of {action} cannot be read")]
    Unreadable {
        /// The action.
        action: &'static str,
    },
    /// Something cannot be written in its form.
    #[error("the request cannot be written: {0}")]
    Form(#[from] JsonError),
}

impl From<StoreError> for CredentialError {
    fn from(error: StoreError) -> Self {
        Self::Command(error.into())
    }
}

impl From<CannotBegin> for CredentialError {
    fn from(error: CannotBegin) -> Self {
        match error {
            CannotBegin::NoCredential => Self::NoCredential,
            error => Self::CannotBegin(error),
        }
    }
}

impl CredentialError {
    /// Whether the question came too late.
    pub(super) fn is_expired(&self) -> bool {
        matches!(self, Self::Command(CommandError::Refused { code: RefusalCode::Expired, .. }))
    }

    /// Whether the issuer may have forgotten a transaction key.
    pub(super) fn may_mean_unknown_key(&self) -> bool {
        match self {
            Self::Command(CommandError::Refused { code, .. }) => *code == RefusalCode::InvalidRequest,
            Self::Services(ActionError::Services(ServicesError::Refused { status })) => *status == FORBIDDEN,
            _ => false,
        }
    }

    /// Whether a bare refusal says that the operation will never happen; the others may pass.
    pub(super) fn is_final(&self, is_creation: bool) -> bool {
        use RefusalCode::{Expired, Locked, RateLimited, Unavailable};
        match self {
            Self::Command(CommandError::Refused { code, .. }) => {
                !matches!(code, Expired | Locked | RateLimited | Unavailable)
            }
            Self::Services(ActionError::Services(ServicesError::Refused { status })) => {
                [BAD_REQUEST, FORBIDDEN, TOO_LARGE].contains(status) || is_creation && *status == CONFLICT
            }
            Self::Services(ActionError::Services(ServicesError::OnHold)) => true,
            _ => false,
        }
    }

    /// A box that does not open in the result of an action.
    pub(crate) fn unopened(action: &'static str) -> impl FnOnce(Undecryptable) -> Self {
        move |Undecryptable| Self::Unreadable { action }
    }
}
