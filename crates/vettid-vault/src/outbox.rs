//! The outbox: what a commit decided to send. Items are stored in that commit and sent after it, byte for byte the
//! same until the receiver's broker has them (spec §3 R11). Never sends anything that is not committed.

use crate::projection::{Draft, UnreadableState, numbered};
use serde::{Deserialize, Serialize};
use vettid_wire::base64::Base64;
use vettid_wire::event::Delivery;
use vettid_wire::id::{ConnectionId, EventId};
use vettid_wire::subject::Subject;
use vettid_wire::time::Timestamp;

const COUNTER: &str = "outbox";
const PREFIX: &str = "outbox/";

/// An item that the broker did not take in this time is given up and told to the owner, in milliseconds (30 days).
pub const GIVE_UP_AFTER_MS: i64 = 30 * 24 * 3600 * 1000;

/// One message to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Place in the outbox; 0 for posts that are not stored.
    pub number: u64,
    /// By which way.
    pub route: Route,
    /// Where to.
    pub subject: Subject,
    /// Also the broker's id for dropping repetitions.
    pub event_id: EventId,
    /// Whether the receiver's inbox stream acknowledges it.
    pub delivery: Delivery,
    /// The message as it goes on the wire.
    pub bytes: Base64,
    /// When it was committed.
    pub created_at: Timestamp,
}

/// By which way a message leaves.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Through the host's own connection: to the app, the services, or as the profile.
    Host,
    /// As the user that the peer of this connection issued a credential for.
    Peer(ConnectionId),
    /// With the claim that came with an invitation or a first handshake message of this connection.
    Claim(ConnectionId),
}

/// Stores an item that must arrive, and returns it with its number.
pub fn store(draft: &mut Draft<'_>, mut post: Post) -> Result<Post, UnreadableState> {
    post.number = draft.count(COUNTER)?;
    draft.put(numbered(PREFIX, post.number), &post)?;
    Ok(post)
}

/// Forgets an item that has arrived.
pub fn done(draft: &mut Draft<'_>, number: u64) {
    draft.remove(&numbered(PREFIX, number));
}

/// Everything that still has to arrive, oldest first.
pub fn waiting(draft: &Draft<'_>) -> Result<Vec<Post>, UnreadableState> {
    draft.values(PREFIX)
}

/// Number of items that still have to arrive.
#[must_use]
pub fn size(draft: &Draft<'_>) -> usize {
    draft.keys(PREFIX, usize::MAX).len()
}

/// Forgets the handshake messages of a connection.
pub fn withdraw_claims(draft: &mut Draft<'_>, connection: ConnectionId) -> Result<(), UnreadableState> {
    for post in waiting(draft)? {
        if post.route == Route::Claim(connection) {
            done(draft, post.number);
        }
    }
    Ok(())
}

/// Whether a post leaves on this connection.
#[must_use]
pub fn leaves_on(post: &Post, connection: ConnectionId) -> bool {
    [Route::Peer(connection), Route::Claim(connection)].contains(&post.route)
}

/// A connection that a commit ends. What it still had to say does not leave any more, wherever it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The connection.
    pub connection: ConnectionId,
    /// Number of the notice of the end, where there is one.
    pub notice: Option<u64>,
}

impl Ended {
    /// Whether a post may still leave.
    #[must_use]
    pub fn lets_out(&self, post: &Post) -> bool {
        let is_notice = post.delivery == Delivery::Durable && Some(post.number) == self.notice;
        is_notice || !leaves_on(post, self.connection)
    }
}

/// Forgets everything that was to leave on a connection, except the post of this number.
pub fn withdraw(draft: &mut Draft<'_>, connection: ConnectionId, except: u64) -> Result<(), UnreadableState> {
    for post in waiting(draft)? {
        if leaves_on(&post, connection) && post.number != except {
            done(draft, post.number);
        }
    }
    Ok(())
}
