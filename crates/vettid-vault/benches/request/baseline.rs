//! The least that a read takes: open the question, sign the answer, seal each message that leaves, and seal and hash the
//! commit, each of the size that it has in a read. No text is read or written, and nothing is looked up.

use crate::core_time;
use crate::reads::Read;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::hint::black_box;
use std::time::Duration;
use vettid_crypto::at_rest::{self, SEAL_OVERHEAD_BYTES, StorageKey};
use vettid_crypto::envelope::{self, Binding, Outgoing};
use vettid_crypto::identity::SigningKey;
use vettid_crypto::kdf::h256;
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{KemPublicKey, KemSecretKey, Suite};
use vettid_wire::envelope::Envelope;
use vettid_wire::id::{EventId, Fingerprint, SessionKeyId};
use vettid_wire::time::Timestamp;

const SUBJECT: &str = "MessageSpace.550e8400-e29b-41d4-a716-446655440000.fromService.demo-shop.data.request";

/// The keys of both sides, and contents of the right length.
pub(crate) struct Baseline {
    rng: StdRng,
    sides: [Fingerprint; 2],
    kem: KemSecretKey,
    peer: KemPublicKey,
    epoch_key: Secret32,
    signing: SigningKey,
    storage: StorageKey,
    question: Vec<u8>,
    posts: Vec<Vec<u8>>,
    commit: Vec<u8>,
}

impl Baseline {
    /// As large as this read.
    pub(crate) fn of(read: &Read) -> Self {
        let mut rng = StdRng::seed_from_u64(8);
        let kem = KemSecretKey::generate(Suite::X25519, &mut rng).unwrap();
        Self {
            sides: [1, 2].map(|side| Fingerprint::from_bytes([side; 32])),
            peer: KemSecretKey::generate(Suite::X25519, &mut rng).unwrap().public_key(),
            epoch_key: Secret32::random(&mut rng),
            signing: SigningKey::from_seed(&Secret32::random(&mut rng)),
            storage: StorageKey::random(&mut rng),
            question: content(read.question_bytes),
            posts: read.post_bytes.iter().map(|&bytes| content(bytes)).collect(),
            commit: vec![7; read.commit_bytes - SEAL_OVERHEAD_BYTES],
            kem,
            rng,
        }
    }

    /// Does it once.
    pub(crate) fn one(&mut self) -> Duration {
        let binding = binding(&self.sides);
        let question = seal(&mut self.rng, &self.kem.public_key(), &self.epoch_key, &binding, &self.question);
        let begin = core_time();
        black_box(envelope::open(&self.kem, &self.epoch_key, &binding, &question).unwrap());
        black_box(self.signing.sign(h256(&self.question).as_slice()));
        for post in &self.posts {
            black_box(seal(&mut self.rng, &self.peer, &self.epoch_key, &binding, post));
        }
        black_box(at_rest::seal(&self.storage, SUBJECT.as_bytes(), &self.commit, &mut self.rng));
        black_box(h256(&self.commit));
        core_time() - begin
    }
}

/// What an envelope of so many bytes holds: the rest is its frame and base64, and the padding fills up.
fn content(envelope_bytes: usize) -> Vec<u8> {
    vec![7; envelope_bytes.saturating_sub(500) * 3 / 4 - 200]
}

fn binding(sides: &[Fingerprint; 2]) -> Binding<'_> {
    Binding { subject: SUBJECT, sender: &sides[0], recipient: &sides[1] }
}

fn seal(
    rng: &mut StdRng,
    recipient: &KemPublicKey,
    epoch_key: &Secret32,
    binding: &Binding<'_>,
    content: &[u8],
) -> Envelope {
    let outgoing = Outgoing {
        event_id: EventId::v7(Timestamp::default(), [0; 10]),
        event_type: "data.request".parse().unwrap(),
        timestamp: Timestamp::default(),
        connection_key_id: Some(SessionKeyId::from_bytes([3; 16])),
        incarnation: 1,
        epoch: 0,
        sequence: 1,
    };
    envelope::seal(rng, recipient, epoch_key, binding, outgoing, content).unwrap()
}
