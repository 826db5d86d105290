//! Somebody who holds everything that a code holds, private halves included, but not the vault's identity.

use vettid_client::random::SystemRandom;
use vettid_crypto::handshake::{Psk, Setup, open_hs1};
use vettid_crypto::identity::{SigningKey, VerifyingKey};
use vettid_crypto::key_record::{self, Draft, VerifiedKeyRecord};
use vettid_crypto::secret::Secret32;
use vettid_crypto::suite::{KemPublicKey, Suite, x25519};
use vettid_wire::handshake::{HandshakeMessage, Hs1Payload, Invitation};
use vettid_wire::id::Fingerprint;
use vettid_wire::key_record::KeyRole;
use vettid_wire::time::Timestamp;

pub(crate) struct Impostor {
    identity: SigningKey,
    record: VerifiedKeyRecord,
    prekey: x25519::SecretKey,
    secret: Secret32,
    pretends: Fingerprint,
    pub(crate) answered: bool,
}

impl Impostor {
    /// Pretends to be the inviter of this code; gives the prekey to be shown in it.
    pub(crate) fn new(now: Timestamp, code: &Invitation) -> (Self, [u8; 32]) {
        let mut rng = SystemRandom::new().unwrap();
        let (identity, prekey) = (SigningKey::random(&mut rng), x25519::SecretKey::random(&mut rng));
        let expires_at = now.plus_ms(86_400_000);
        let draft = Draft {
            role: KeyRole::Vault,
            guid: code.space.guid(),
            signing_key: identity.verifying_key(),
            device_key: None,
            kem_keys: vec![key_record::kem_key(&KemPublicKey::X25519(prekey.public_key()), now, expires_at)],
            suites: vec![Suite::X25519],
            issued_at: now,
            expires_at,
        };
        let record = key_record::build(draft, &identity, None).unwrap();
        let shown = *prekey.public_key().as_bytes();
        let secret = Secret32::from_bytes(*code.secret.expose());
        (Self { identity, record, prekey, secret, pretends: code.inviter_fp, answered: false }, shown)
    }

    pub(crate) fn answer(&mut self, first: &HandshakeMessage) -> HandshakeMessage {
        let mut rng = SystemRandom::new().unwrap();
        let setup = Setup::of(first, self.pretends).unwrap();
        let psk = Psk::Invitation(self.secret.duplicate());
        let opened = open_hs1(setup, &self.prekey, &psk, first).unwrap();
        let claimed = serde_json::Value::Object(opened.claimed().clone());
        let claimed: Hs1Payload = serde_json::from_value(claimed).unwrap();
        let identity = VerifyingKey::from_typed(&claimed.identity_key).unwrap();
        let signing = VerifyingKey::from_typed(&claimed.key_record.signing_key).unwrap();
        let (verified, _) = opened.verify(&identity, &signing).unwrap();
        let mut payload = serde_json::Map::new();
        payload.insert("identity_key".into(), self.identity.verifying_key().typed().to_string().into());
        payload.insert("key_record".into(), serde_json::to_value(self.record.record()).unwrap());
        payload.insert("epoch_kem".into(), KemPublicKey::X25519(self.prekey.public_key()).typed().to_string().into());
        self.answered = true;
        verified.seal(&mut rng, &self.identity, payload).unwrap().0
    }
}
