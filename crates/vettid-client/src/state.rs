//! What the app remembers. Everything here is kept sealed; the bytes that leave this module are for the store alone.

use crate::command::WentBack;
use crate::credential::NatsCredential;
use crate::enrolment::Pending;
use crate::identity::AppIdentity;
use crate::intent::Intent;
use crate::lock::KnownLock;
use crate::session::Session;
use crate::store::{Hold, Place, StoreError, to_bytes};
use crate::transport::Delivery;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vettid_core::window::Freshness;
use vettid_crypto::audit::checkpoint::Checkpoint;
use vettid_crypto::key_record::VerifiedKeyRecord;
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_crypto::stored;
use vettid_wire::credential::{JournalHead, VaultSeen};
use vettid_wire::digest::Digest;
use vettid_wire::envelope::{Content, Envelope};
use vettid_wire::id::{DeviceId, EventId, Fingerprint, InviteId, MemberId};
use vettid_wire::time::Timestamp;

/// The form of the stored state.
const VERSION: u8 = 1;
/// Resumption secrets that both sides keep (spec 2.4).
const KEPT_RESUMPTIONS: usize = 2;

/// How far the app is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// On its way to its vault.
    Enrolling(Box<Pending>),
    /// A member's app.
    Enrolled(Box<Member>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<T> {
    version: u8,
    state: T,
}

/// A member's app.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    /// The member.
    pub(crate) guid: MemberId,
    /// Names this device, its private inbox and its NATS user.
    pub(crate) device: DeviceId,
    /// The app's own keys.
    pub(crate) identity: AppIdentity,
    /// Address of the broker.
    pub(crate) endpoint: String,
    /// The authority (PEM) from which the certificates of broker and services must come.
    pub(crate) trust: String,
    /// How the broker knows the app.
    pub(crate) credential: NatsCredential,
    /// Where it came from.
    pub(crate) origin: Origin,
    /// The vault, as far as the app knows it.
    pub(crate) vault: Vault,
    /// The session in use.
    pub(crate) session: Option<Session>,
    /// Resumption secrets, newest first.
    #[serde(with = "stored")]
    pub(crate) resumptions: Vec<Secret32>,
    /// A command whose outcome is not known yet.
    pub(crate) intent: Option<Intent>,
    /// The newest audit checkpoint that was seen.
    pub(crate) checkpoint: Option<KnownCheckpoint>,
    /// The lock of the vault; absent as long as this app set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lock: Option<KnownLock>,
    /// The registry of the member's operator; absent until it said something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registry: Option<KnownRegistry>,
    /// It came by a recovery, and the vault has not taken it for the member's app yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recovering: Option<Recovering>,
}

/// The registry whose word the app takes about services. Another one needs the member's own word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownRegistry {
    /// Its identity.
    pub(crate) fingerprint: Fingerprint,
    /// Since when the app knows it.
    pub(crate) since: Timestamp,
}

/// A recovery on its way.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recovering {
    /// Names it.
    pub(crate) recovery_id: EventId,
    /// How far the app before had seen the vault.
    pub(crate) seen: Option<VaultSeen>,
}

/// How the app was enrolled.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Origin {
    /// The code.
    pub(crate) invite_id: InviteId,
    /// Where services are.
    pub(crate) services_url: String,
    /// The enrolment token, until services were told that the enrolment is complete.
    #[serde(with = "stored")]
    pub(crate) token: Option<SecretBytes>,
}

/// What the app knows of its vault. None of the numbers may ever fall (spec §3 R14).
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vault {
    /// The identity, from the code.
    pub(crate) fingerprint: Fingerprint,
    /// The keys, signed; the key for new sessions is among them.
    pub(crate) key_record: VerifiedKeyRecord,
    /// Highest incarnation seen.
    pub(crate) incarnation: u64,
    /// Highest length of the journal seen in that incarnation.
    pub(crate) journal_sequence: u64,
    /// Hash of that commit, where the vault told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) journal_hash: Option<Digest>,
}

impl Vault {
    /// Takes over what the vault showed of itself in a handshake that proved its fingerprint. Its keys only go forward:
    /// an older record could be one whose keys were stolen since (docs/decisions/0060).
    pub(crate) fn meet(&mut self, record: VerifiedKeyRecord, incarnation: u64) -> Result<(), WentBack> {
        if incarnation < self.incarnation {
            return Err(WentBack::Incarnation { known: self.incarnation, found: incarnation });
        }
        let (known, found) = (self.key_record.record().sequence, record.record().sequence);
        let is_same = found == known && record == self.key_record;
        if found < known || found == known && !is_same || record.lowest_suite() < self.key_record.lowest_suite() {
            return Err(WentBack::KeyRecord { known, found });
        }
        self.key_record = record;
        if incarnation > self.incarnation {
            self.journal_is_at(incarnation, 0, None);
        }
        Ok(())
    }

    /// Takes over where the vault says that its journal stands; `Ok(true)` if it is a later place than was known.
    pub(crate) fn meet_journal(&mut self, head: &JournalHead) -> Result<bool, WentBack> {
        let (known, found) = (self.journal_sequence, head.sequence);
        if head.incarnation < self.incarnation {
            return Err(WentBack::Incarnation { known: self.incarnation, found: head.incarnation });
        }
        if head.incarnation == self.incarnation {
            if found < known {
                return Err(WentBack::Journal { known, found });
            }
            if found == known && self.journal_hash.is_some_and(|hash| hash != head.hash) {
                return Err(WentBack::OtherJournal { sequence: found });
            }
        }
        let is_later = self.journal_head().as_ref() != Some(head);
        self.journal_is_at(head.incarnation, head.sequence, Some(head.hash));
        Ok(is_later)
    }

    /// A later place of the journal.
    pub(crate) fn journal_is_at(&mut self, incarnation: u64, sequence: u64, hash: Option<Digest>) {
        (self.incarnation, self.journal_sequence, self.journal_hash) = (incarnation, sequence, hash);
    }

    /// Where the journal was seen last, with its hash.
    pub(crate) fn journal_head(&self) -> Option<JournalHead> {
        let (incarnation, sequence) = (self.incarnation, self.journal_sequence);
        self.journal_hash.map(|hash| JournalHead { incarnation, sequence, hash })
    }
}

/// A checkpoint in its stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownCheckpoint {
    size: u64,
    root: Digest,
}

impl From<Checkpoint> for KnownCheckpoint {
    fn from(checkpoint: Checkpoint) -> Self {
        Self { size: checkpoint.size, root: checkpoint.root }
    }
}

impl From<KnownCheckpoint> for Checkpoint {
    fn from(known: KnownCheckpoint) -> Self {
        Self { size: known.size, root: known.root }
    }
}

/// A message of the vault.
#[derive(Debug)]
pub(crate) struct Opened {
    /// What lay inside.
    pub(crate) content: Content<Value>,
    /// When it was sealed, by the vault's clock.
    pub(crate) at: Timestamp,
}

impl Member {
    /// Opens what arrived under the session; `None` for anything that is not a new message of the vault.
    pub(crate) fn open(&mut self, delivery: &Delivery) -> Option<Opened> {
        let envelope = Envelope::read(&delivery.payload).ok()?;
        let opened = self.session.as_mut()?.channel.open(&delivery.subject, &envelope).ok()?;
        let is_new = opened.freshness == Freshness::New;
        is_new.then_some(Opened { content: opened.content, at: envelope.timestamp })
    }

    /// Keeps the secret of a finished handshake for the next one.
    pub(crate) fn keep_resumption(&mut self, resume: Secret32) {
        self.resumptions.insert(0, resume);
        self.resumptions.truncate(KEPT_RESUMPTIONS);
    }
}

/// The state as it is stored; `None` if nothing is stored.
pub(crate) fn load(hold: &impl Hold) -> Result<Option<State>, StoreError> {
    let Some(bytes) = hold.load(Place::App)? else {
        return Ok(None);
    };
    let stored: Stored<State> = serde_json::from_slice(bytes.expose()).map_err(StoreError::Form)?;
    if stored.version == VERSION { Ok(Some(stored.state)) } else { Err(StoreError::Version { found: stored.version }) }
}

/// Stores the app on its way.
pub(crate) fn save_pending(hold: &mut impl Hold, pending: &Pending) -> Result<(), StoreError> {
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Form<'a> {
        Enrolling(&'a Pending),
    }
    save(hold, Form::Enrolling(pending))
}

/// Stores the member's app.
pub(crate) fn save_member(hold: &mut impl Hold, member: &Member) -> Result<(), StoreError> {
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Form<'a> {
        Enrolled(&'a Member),
    }
    save(hold, Form::Enrolled(member))
}

fn save(hold: &mut impl Hold, state: impl Serialize) -> Result<(), StoreError> {
    let bytes = to_bytes(&Stored { version: VERSION, state })?;
    hold.save(Place::App, &bytes)
}
