//! What a handler may answer, and how it may fail.

use crate::host::HostError;
use std::fmt;
use vettid_wire::id::RequestId;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::Ask;
use vettid_wire::time::Timestamp;

/// Largest reply in bytes.
pub const MAX_REPLY_BYTES: usize = vettid_wire::json::MAX_BYTES;

/// The answer of a handler. The effects of its host calls count only together with one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Done; the canonical JSON of the row's reply type.
    Body(Vec<u8>),
    /// Done; nothing is answered.
    None,
    /// The owner must be asked first.
    Ask(Question),
}

/// A question to the owner. The vault stores the event, shows the question, and calls the handler again with the same
/// event and `answer` set, once the owner decided or `expires_at` passed.
///
/// The vault names a question by connection and `request_id`. The same request with another body is a conflict; with the
/// same body it is not asked a second time, but gets `interim` while it waits and the same answer afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The request, as its sender named it.
    pub request_id: RequestId,
    /// What is asked.
    pub ask: Ask,
    /// Unanswered until then, it counts as denied.
    pub expires_at: Timestamp,
    /// A reply for now: canonical JSON of the row's reply type.
    pub interim: Option<Vec<u8>>,
}

/// Why an event had no effect: nothing that its handler did through the host counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandlerError {
    /// The sender may know why.
    #[error("refused: {0}")]
    Refuse(RefusalCode),
    /// Not now; the same event may be tried again. The text is for the log and holds no member data.
    #[error("to be tried again: {0}")]
    Retry(String),
    /// The handler itself misbehaved. The vault counts these and switches a handler off that goes on.
    #[error("handler fault: {0}")]
    Fault(Fault),
}

/// How a handler misbehaved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// It crashed.
    Trap,
    /// It ran longer than its time, host calls included.
    Deadline,
    /// It ran more instructions than allowed.
    Fuel,
    /// It wanted more memory than allowed.
    Memory,
    /// It called the host too often or gave it too much.
    Output,
    /// Its reply is malformed or too large.
    Reply,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trap => "crashed",
            Self::Deadline => "time is up",
            Self::Fuel => "too many instructions",
            Self::Memory => "too much memory",
            Self::Output => "too many or too large host calls",
            Self::Reply => "malformed reply",
        })
    }
}

impl From<RefusalCode> for HandlerError {
    fn from(code: RefusalCode) -> Self {
        Self::Refuse(code)
    }
}

impl From<Fault> for HandlerError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<HostError> for HandlerError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Denied => Self::Refuse(RefusalCode::NotAllowed),
            HostError::Invalid => Self::Refuse(RefusalCode::InvalidRequest),
            HostError::NotConnected => Self::Refuse(RefusalCode::NotConnected),
            HostError::Quota => Self::Refuse(RefusalCode::Unavailable),
            HostError::Unavailable => Self::Retry("a host call was not available".to_owned()),
        }
    }
}
