//! Keys with which two sides of a connection find each other again after one of them came back from an earlier state (spec §3
//! R15, docs/decisions/0171). Both keep one secret of the handshake for it. It opens nothing that was ever sent, and it gives no
//! keys without a fresh agreement that both sides sign.

use vettid_wire::id::SessionKeyId;

use crate::kdf;
use crate::secret::Secret32;
use crate::stored::{InvalidStored, Stored};

const LABEL: &[u8] = b"vettid-resync-v1";

/// What both sides of a connection keep of their handshake, for as long as the connection lives.
#[derive(Debug)]
pub struct Lifeline(Secret32);

impl Lifeline {
    /// From the resumption secret of the handshake.
    #[must_use]
    pub fn new(resume: &Secret32) -> Self {
        Self(kdf::expand_secret(resume, &[LABEL, b" lifeline"]))
    }

    /// Names the connection to both sides in envelopes under [`Self::envelope_key`].
    #[must_use]
    pub fn key_id(&self) -> SessionKeyId {
        id_of(&self.0)
    }

    /// Mixed into the envelopes that carry the two halves.
    #[must_use]
    pub fn envelope_key(&self) -> Secret32 {
        kdf::expand_secret(&self.0, &[LABEL, b" envelope"])
    }

    /// Takes the place of the epoch key before in the agreement on new keys.
    #[must_use]
    pub fn agreement_key(&self, incarnation: u64) -> Secret32 {
        kdf::expand_secret(&self.0, &[LABEL, b" agreement", &incarnation.to_be_bytes()])
    }
}

impl Stored for Lifeline {
    type Form = <Secret32 as Stored>::Form;

    fn to_form(&self) -> Self::Form {
        self.0.to_form()
    }

    fn from_form(form: Self::Form) -> Result<Self, InvalidStored> {
        Secret32::from_form(form).map(Self)
    }
}

/// Names keys that were agreed on anew.
#[must_use]
pub fn id_of(key: &Secret32) -> SessionKeyId {
    let mut id = [0; 16];
    kdf::expand(key, &[LABEL, b" id"], &mut id);
    SessionKeyId::from_bytes(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_purpose_and_incarnation_has_a_key_of_its_own() {
        let resume = Secret32::from_bytes([7; 32]);
        let lifeline = Lifeline::from_form(Lifeline::new(&resume).to_form()).unwrap();
        let keys = [
            resume,
            lifeline.envelope_key(),
            lifeline.agreement_key(1),
            lifeline.agreement_key(2),
            Lifeline::new(&Secret32::from_bytes([8; 32])).envelope_key(),
        ];
        for (place, key) in keys.iter().enumerate() {
            assert!(keys.iter().skip(place + 1).all(|other| other != key));
        }
        assert_ne!(lifeline.key_id(), id_of(&lifeline.agreement_key(1)));
    }
}
