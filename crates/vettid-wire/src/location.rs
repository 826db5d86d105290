//! Where a member is, shown to one connection for a while. Numbers are whole: degrees in millionths, lengths in metres.
//! A position here is what its owner's vault let out; the exact one is never part of an event to somebody else.

use crate::id::{ConnectionId, ShareId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Shortest share, in milliseconds (one minute).
pub const MIN_SHARE_MS: i64 = 60_000;
/// Longest share, in milliseconds (24 hours).
pub const MAX_SHARE_MS: i64 = 24 * 3_600_000;
/// Most shares of one member at a time.
pub const MAX_SHARES: usize = 16;
/// At most one position leaves for each connection in this time, in milliseconds.
pub const EVERY_MS: i64 = 5_000;

/// A place on the earth.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Millionths of a degree, -90,000,000 to 90,000,000.
    pub latitude_udeg: i32,
    /// Millionths of a degree, -180,000,000 to 180,000,000.
    pub longitude_udeg: i32,
}

impl Position {
    /// Whether it is on the earth.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.latitude_udeg.unsigned_abs() <= 90_000_000 && self.longitude_udeg.unsigned_abs() <= 180_000_000
    }
}

/// Where somebody is stands in no log.
impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Position")
    }
}

/// How exactly a connection sees where the owner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Precision {
    /// As the app said it.
    #[serde(rename = "exact")]
    Exact,
    /// The middle of a square of about 100 m.
    #[serde(rename = "100m")]
    HundredMetres,
    /// The middle of a square of about 1 km.
    #[serde(rename = "1km")]
    Kilometre,
    /// The middle of a square of about 10 km.
    #[serde(rename = "10km")]
    TenKilometres,
}

/// Owner's command: let a connection see where the owner is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartShare {
    /// Who may see it.
    pub connection_id: ConnectionId,
    /// For how long, in milliseconds: one minute to 24 hours.
    pub duration_ms: i64,
    /// How exactly.
    pub precision: Precision,
}

/// Owner's command: end what this connection sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopShare {
    /// Who.
    pub connection_id: ConnectionId,
}

/// Owner's command, given by the app by itself: where the owner is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateLocation {
    /// Exactly.
    pub position: Position,
    /// When it was measured.
    pub taken_at: Timestamp,
}

/// What became of an update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocationUpdated {
    /// To how many connections it was sent on.
    pub sent_to: u32,
    /// How many share the owner's place now; none: the app may stop to measure.
    pub shares: u32,
}

/// One share of the owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareView {
    /// The share.
    pub share_id: ShareId,
    /// Who sees it.
    pub connection_id: ConnectionId,
    /// Name of the connection.
    pub display_name: String,
    /// How exactly.
    pub precision: Precision,
    /// Since when.
    pub started_at: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// Where somebody else is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenLocation {
    /// The share.
    pub share_id: ShareId,
    /// Who.
    pub connection_id: ConnectionId,
    /// Name of the connection.
    pub display_name: String,
    /// How exactly.
    pub precision: Precision,
    /// Until when it is shared.
    pub until: Timestamp,
    /// The latest position, if one has come since the vault was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// When that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Timestamp>,
    /// How old it is, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<i64>,
}

/// What is shared now, both ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocationList {
    /// Who sees where the owner is.
    pub shared: Vec<ShareView>,
    /// Whom the owner sees.
    pub seen: Vec<SeenLocation>,
}

/// To a connection: where the sender's owner is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedLocation {
    /// The share.
    pub share_id: ShareId,
    /// Until when it may be kept.
    pub until: Timestamp,
    /// How exactly.
    pub precision: Precision,
    /// As exactly as that; none says only that the share began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// When it was measured; a later one is never replaced by an earlier one.
    pub taken_at: Timestamp,
}

/// To a connection: a share is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareEnded {
    /// The share.
    pub share_id: ShareId,
    /// Until when it would have been; nothing of it is taken up to then.
    pub until: Timestamp,
}
