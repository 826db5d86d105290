//! Subjects that belong to the broker, not to the standard: the JetStream API of the named streams, the resolver, and
//! the private inboxes of identities that have none in a member's space. Must never spell `$JS.API.>`.

use vettid_wire::id::{FileId, MemberId};
use vettid_wire::subject::{NAME_TEMPLATE, Pattern};

/// The streams of VettID. Each exists at most once in an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Durable events on their way to vaults (or to a service).
    Inbox,
    /// Commits of the vaults, a subject each.
    Journal,
    /// Last values: profiles and event types.
    Profiles,
    /// Large sealed values, as an object store.
    Vaults,
}

/// The object store bucket behind [`Stream::Vaults`].
pub const VAULTS_BUCKET: &str = "VAULTS";

impl Stream {
    /// Every stream.
    pub const ALL: [Self; 4] = [Self::Inbox, Self::Journal, Self::Profiles, Self::Vaults];

    /// The name on the server.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbox => "INBOX",
            Self::Journal => "JOURNAL",
            Self::Profiles => "PROFILES",
            Self::Vaults => "OBJ_VAULTS",
        }
    }

    /// Creates the stream.
    #[must_use]
    pub fn create(self) -> String {
        format!("$JS.API.STREAM.CREATE.{}", self.name())
    }

    /// Gives the stream other subjects.
    #[must_use]
    pub fn update(self) -> String {
        format!("$JS.API.STREAM.UPDATE.{}", self.name())
    }

    /// Shows the stream.
    #[must_use]
    pub fn info(self) -> String {
        format!("$JS.API.STREAM.INFO.{}", self.name())
    }

    /// Removes messages of some subject.
    #[must_use]
    pub fn purge(self) -> String {
        format!("$JS.API.STREAM.PURGE.{}", self.name())
    }

    /// Reads a message by sequence or subject, from the leader.
    #[must_use]
    pub fn message_get(self) -> String {
        format!("$JS.API.STREAM.MSG.GET.{}", self.name())
    }

    /// Removes one message.
    #[must_use]
    pub fn message_delete(self) -> String {
        format!("$JS.API.STREAM.MSG.DELETE.{}", self.name())
    }

    /// Reads messages by sequence or subject, one or many.
    #[must_use]
    pub fn direct_get(self) -> String {
        format!("$JS.API.DIRECT.GET.{}", self.name())
    }

    /// Reads the last message of exactly one subject.
    #[must_use]
    pub fn direct_get_last(self, subject: &Pattern) -> String {
        format!("$JS.API.DIRECT.GET.{}.{subject}", self.name())
    }

    /// Creates or changes one durable consumer.
    #[must_use]
    pub fn consumer_create(self, consumer: &str) -> String {
        format!("$JS.API.CONSUMER.CREATE.{}.{consumer}", self.name())
    }

    /// Shows one durable consumer.
    #[must_use]
    pub fn consumer_info(self, consumer: &str) -> String {
        format!("$JS.API.CONSUMER.INFO.{}.{consumer}", self.name())
    }

    /// Deletes one durable consumer.
    #[must_use]
    pub fn consumer_delete(self, consumer: &str) -> String {
        format!("$JS.API.CONSUMER.DELETE.{}.{consumer}", self.name())
    }

    /// Asks one durable consumer for messages.
    #[must_use]
    pub fn consumer_next(self, consumer: &str) -> String {
        format!("$JS.API.CONSUMER.MSG.NEXT.{}.{consumer}", self.name())
    }

    /// Acknowledges messages of one durable consumer.
    #[must_use]
    pub fn acknowledge(self, consumer: &str) -> String {
        format!("$JS.ACK.{}.{consumer}.>", self.name())
    }
}

/// Where the object store keeps its chunks and its names.
#[must_use]
pub fn vaults_subjects() -> [String; 2] {
    [format!("$O.{VAULTS_BUCKET}.C.>"), format!("$O.{VAULTS_BUCKET}.M.>")]
}

/// Reads the entry of a name.
pub(super) fn vaults_names() -> String {
    format!("$JS.API.DIRECT.GET.{}.$O.{VAULTS_BUCKET}.M.*", Stream::Vaults.name())
}

/// The chunks of one object.
#[must_use]
pub fn vaults_chunks(object: &str) -> String {
    format!("$O.{VAULTS_BUCKET}.C.{object}")
}

/// One piece of a file of a member: an object of one chunk, which is found by its subject.
#[must_use]
pub fn piece(member: MemberId, file: FileId, index: u32) -> String {
    format!("$O.{VAULTS_BUCKET}.C.{member}.{file}.{index}")
}

/// Every piece of a file.
#[must_use]
pub fn pieces_of_file(member: MemberId, file: FileId) -> String {
    format!("$O.{VAULTS_BUCKET}.C.{member}.{file}.*")
}

/// Every piece of every file of a member.
#[must_use]
pub fn pieces_of_member(member: MemberId) -> String {
    format!("$O.{VAULTS_BUCKET}.C.{member}.*.*")
}

/// Stores or replaces an account.
pub const CLAIMS_UPDATE: &str = "$SYS.REQ.CLAIMS.UPDATE";
/// Forgets accounts.
pub const CLAIMS_DELETE: &str = "$SYS.REQ.CLAIMS.DELETE";

/// Shows the token of an account, by its public key.
#[must_use]
pub fn claims_lookup(account: &str) -> String {
    format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP")
}

/// Erases what an account stored in JetStream, by its public key.
#[must_use]
pub fn account_purge(account: &str) -> String {
    format!("$JS.API.ACCOUNT.PURGE.{account}")
}

/// The private inbox of the users of a role that has none in a member's space.
pub(super) fn private_inbox(role: &str) -> String {
    format!("_r.{role}.{NAME_TEMPLATE}")
}

/// Below a private inbox: what its owner sends to itself, to know that the server has read everything sent before.
#[must_use]
pub fn echo(inbox: &str) -> String {
    format!("{inbox}.echo")
}
