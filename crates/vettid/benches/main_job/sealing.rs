//! Two sides of a connection without anything between them: what sealing and opening cost alone.

use crate::figures::Samples;
use anyhow::{Result, ensure};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use std::time::Instant;
use vettid_core::channel::{Channel, Keys};
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{KemSecretKey, Suite};
use vettid_nats::clock;
use vettid_wire::envelope::{Content, Envelope};
use vettid_wire::event::{EventRow as _, MessagingText};
use vettid_wire::id::{EventId, Fingerprint, SessionKeyId};
use vettid_wire::subject::Subject;

/// Both ends of a channel.
pub(crate) struct Pair {
    near: Channel,
    far: Channel,
    subject: Subject,
    body: Value,
}

impl Pair {
    /// Fresh keys, and a body of 1 KB.
    pub(crate) fn new() -> Result<Self> {
        let mut rng = UnwrapErr(SysRng);
        let (near_kem, far_kem) =
            (KemSecretKey::generate(Suite::X25519, &mut rng)?, KemSecretKey::generate(Suite::X25519, &mut rng)?);
        let (near_public, far_public) = (near_kem.public_key().typed(), far_kem.public_key().typed());
        let [near, far] = [1, 2].map(|byte| Fingerprint::from_bytes([byte; 32]));
        let epoch_key = Secret32::random(&mut rng);
        let keys = |own, peer, own_kem, peer_kem| Keys {
            key_id: SessionKeyId::from_bytes([3; 16]),
            own,
            peer,
            own_incarnation: 1,
            peer_incarnation: 1,
            epoch_key: epoch_key.duplicate(),
            own_kem,
            peer_kem,
        };
        let subject = "MessageSpace.550e8400-e29b-41d4-a716-446655440000.forOwner.018f6b1e-7c1a-7000-8000-000000000001.messaging.text";
        Ok(Self {
            near: Channel::new(keys(near, far, near_kem, far_public)),
            far: Channel::new(keys(far, near, far_kem, near_public)),
            subject: subject.parse()?,
            body: json!({ "text": "x".repeat(1024) }),
        })
    }

    /// Seals and opens so often.
    pub(crate) fn round(&mut self, times: usize) -> Result<Samples> {
        let mut each = Vec::with_capacity(times);
        for _ in 0..times {
            let begin = Instant::now();
            let opened = self.there()?;
            each.push(begin.elapsed());
            ensure!(opened == self.body, "something else was opened than was sealed");
        }
        Ok(Samples::in_turn(each))
    }

    /// One message from one end to the other.
    fn there(&mut self) -> Result<Value> {
        let (now, mut rng) = (clock::now(), UnwrapErr(SysRng));
        let (event_id, event_type) = (EventId::v7(now, [7; 10]), MessagingText::ROW.event_type());
        let content = Content { body: &self.body, to_incarnation: 1, in_reply_to: None, expires_at: None };
        let sealed = self.near.seal(now, &mut rng, &self.subject, event_id, &event_type, &content)?;
        let opened = self.far.open(&self.subject, &Envelope::read(&sealed)?)?;
        Ok(opened.content.body)
    }
}
