//! Signalling of calls between connected members. Descriptions of media and candidates are opaque text: they are bounded and never
//! read, shown or logged here; media itself never touches a vault.

use crate::id::{CallId, ConnectionId};
use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// How long a call rings, in milliseconds.
pub const RING_MS: i64 = 45_000;
/// Longest description of media, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 12 * 1024;
/// Longest candidate, in bytes.
pub const MAX_CANDIDATE_BYTES: usize = 512;
/// Most candidates of one side of a call.
pub const MAX_CANDIDATES: usize = 64;
/// Most bytes of all candidates of one side of a call.
pub const MAX_CANDIDATES_BYTES: usize = 8 * 1024;
/// Most calls in one list.
pub const MAX_LISTED: u32 = 100;

/// The text is empty, too long, or holds control characters other than line ends and tabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a text for a call")]
pub struct InvalidCallText;

macro_rules! call_text {
    ($(#[$doc:meta])* $name:ident, $most:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// Checks the length and the characters, nothing else.
            ///
            /// # Errors
            /// [`InvalidCallText`].
            pub fn new(text: String) -> Result<Self, InvalidCallText> {
                let plain = text.chars().all(|c| matches!(c, '\r' | '\n' | '\t') || !c.is_control());
                if text.is_empty() || text.len() > $most || !plain { Err(InvalidCallText) } else { Ok(Self(text)) }
            }

            /// The text itself, for the app at the end of the call alone.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }
        }

        /// Where somebody is reached on the network is nobody's business: only the type is shown.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                let mut bytes = std::mem::take(&mut self.0).into_bytes();
                bytes.fill(0);
                std::hint::black_box(&bytes);
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

call_text!(
    /// What one side can send and receive (SDP), at most 12 KiB.
    Description, MAX_DESCRIPTION_BYTES
);
call_text!(
    /// One way to reach one side (an ICE candidate), at most 512 bytes.
    Candidate, MAX_CANDIDATE_BYTES
);

/// Why a call is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// One side ended it.
    HungUp,
    /// The called side did not want it.
    Declined,
    /// The called side was in another call.
    Busy,
    /// Nobody answered in time, or the call lasted longer than a call may.
    TimedOut,
    /// The called side's vault did not say that it rings.
    NotReachable,
    /// Both sides called at once; the other call goes on.
    Crossed,
    /// What was needed to connect it got lost.
    Failed,
    /// The connection ended.
    Revoked,
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// The owner calls; the other side does not ring yet.
    Calling,
    /// The owner calls, and the other side rings.
    RingingThere,
    /// The owner is called.
    Ringing,
    /// The owner answered; the other side has not confirmed it yet.
    Answered,
    /// Both sides know each other's description.
    Connected,
    /// It is over.
    Ended,
}

/// One call as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallView {
    /// The call, the same on both sides.
    pub call_id: CallId,
    /// With whom.
    pub connection_id: ConnectionId,
    /// Name of the other side.
    pub display_name: String,
    /// Whether the owner placed it.
    pub is_outgoing: bool,
    /// Where it stands.
    pub state: CallState,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// When it was connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_at: Option<Timestamp>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<EndReason>,
}

/// One call with what the other side's app said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallDetail {
    /// The call.
    pub call: CallView,
    /// The other side's description, once it is here and while the call lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// The other side's candidates so far, while the call lasts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
}

/// Owner's command: call somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceCall {
    /// Chosen by the app.
    pub call_id: CallId,
    /// Whom.
    pub connection_id: ConnectionId,
    /// The owner's side.
    pub description: Description,
}

/// Owner's command: answer the call that rings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakeCall {
    /// The call.
    pub call_id: CallId,
    /// The owner's side.
    pub description: Description,
}

/// Owner's command: further ways to reach the owner's side of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddCandidates {
    /// The call.
    pub call_id: CallId,
    /// At least one.
    pub candidates: Vec<Candidate>,
}

/// Names a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallRef {
    /// The call.
    pub call_id: CallId,
}

/// Asks for calls, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListCalls {
    /// Only those with this connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
    /// At most this many, up to [`MAX_LISTED`].
    pub limit: u32,
}

/// Calls, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallList {
    /// Newest first.
    pub calls: Vec<CallView>,
}

/// Whether a connection may ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MayRing {
    /// Once the connection is verified; before that the owner is told of the call, and nothing rings.
    #[default]
    Verified,
    /// Always.
    Always,
    /// Never, and the owner hears nothing of it.
    Never,
}

/// Owner's command: read or change who may ring. What is left out stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetCalls {
    /// Of which connection `may_ring` is read or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
    /// Whether it may ring; needs a connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_ring: Option<MayRing>,
    /// Nothing rings until then; a time that is over ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_until: Option<Timestamp>,
}

/// Who may ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallSettings {
    /// Nothing rings until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_until: Option<Timestamp>,
    /// Of the connection that was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_ring: Option<MayRing>,
}

/// To the other side: it is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallOffer {
    /// The call.
    pub call_id: CallId,
    /// When it was placed; the same in every repetition.
    pub placed_at: Timestamp,
    /// The caller's side.
    pub description: Description,
    /// The caller's candidates so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
}

/// To the other side: its call was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallAnswer {
    /// The call.
    pub call_id: CallId,
    /// When the owner answered; the same in every repetition.
    pub answered_at: Timestamp,
    /// The called side.
    pub description: Description,
    /// The called side's candidates so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
}

/// To the other side: a call is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallEnd {
    /// The call.
    pub call_id: CallId,
    /// Why.
    pub reason: EndReason,
    /// When it was placed, if the sender placed it and was never told that it rings: the receiver missed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unheard_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_and_never_shown() {
        assert!(Description::new("v=0\r\n".into()).is_ok());
        assert!(Candidate::new("x".repeat(MAX_CANDIDATE_BYTES)).is_ok());
        for wrong in [String::new(), "a\0".into(), "\u{1b}[2J".into(), "x".repeat(MAX_CANDIDATE_BYTES + 1)] {
            assert_eq!(Candidate::new(wrong), Err(InvalidCallText));
        }
        let description = Description::new("c=IN IP4 192.0.2.1".into()).unwrap();
        assert_eq!(format!("{description:?}"), "Description");
    }
}
