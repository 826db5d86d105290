//! An authenticator in software, as browsers know it by WebAuthn: for tests of whoever verifies what it says. Signs whatever it is
//! told to, also what a real one never would.

use rand::Rng;
use rand::rngs::StdRng;
use vettid_crypto::device::DeviceSigner;
use vettid_crypto::kdf::h256;
use vettid_wire::base64::{Base64, encode_url};
use vettid_wire::key::{KeyAlgorithm, TypedKey};
use vettid_wire::webauthn::Assertion;

/// Somebody is there, and was recognised.
pub const PRESENT: u8 = 1 | 1 << 2;

/// One key of an authenticator.
#[derive(Debug)]
pub struct SoftAuthenticator {
    key: DeviceSigner,
    public_key: TypedKey,
    /// Names the key there.
    pub credential_id: Vec<u8>,
    /// How often it signed; `None` for one that does not count.
    pub counted: Option<u32>,
    /// The flags of its data.
    pub flags: u8,
}

impl SoftAuthenticator {
    /// Makes a key; `None` where the randomness gives none.
    pub fn random(rng: &mut StdRng) -> Option<Self> {
        let mut credential_id = vec![0; 32];
        rng.fill_bytes(&mut credential_id);
        let key = DeviceSigner::random(rng).ok()?;
        let public_key = TypedKey::new(KeyAlgorithm::WebAuthnP256, key.public_key().ok()?.as_bytes()).ok()?;
        Some(Self { key, public_key, credential_id, counted: Some(0), flags: PRESENT })
    }

    /// Its public key.
    #[must_use]
    pub fn public_key(&self) -> TypedKey {
        self.public_key.clone()
    }

    /// What a page of this site gets for the text of a login: the assertion and its signature.
    pub fn get(&mut self, origin: &str, text: &str) -> Option<(Assertion, Vec<u8>)> {
        let data = self.data(origin)?;
        self.assert(&data, &client_data(origin, text))
    }

    /// The data for this site; counts.
    pub fn data(&mut self, origin: &str) -> Option<Vec<u8>> {
        self.counted = self.counted.map(|count| count + 1);
        let host = origin.split_once("://")?.1.split(':').next()?;
        let count = self.counted.unwrap_or(0).to_be_bytes();
        Some([h256(host.as_bytes()).as_slice(), &[self.flags], &count].concat())
    }

    /// Signs any data and client data.
    #[must_use]
    pub fn assert(&self, data: &[u8], client_data: &str) -> Option<(Assertion, Vec<u8>)> {
        let signature = self.key.sign(&[data, &h256(client_data.as_bytes())].concat()).ok()?;
        let assertion = Assertion {
            credential_id: Base64::new(self.credential_id.clone()),
            authenticator_data: Base64::new(data),
            client_data_json: Base64::new(client_data.as_bytes()),
        };
        Some((assertion, der(&signature)?))
    }
}

/// What a browser says about a call for the text of a login.
#[must_use]
pub fn client_data(origin: &str, text: &str) -> String {
    let challenge = encode_url(&h256(text.as_bytes()));
    format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#)
}

/// `r ‖ s` as authenticators give it (DER).
fn der(signature: &[u8; 64]) -> Option<Vec<u8>> {
    let (r, s) = signature.split_at(32);
    tagged(0x30, &[integer(r)?, integer(s)?].concat())
}

fn integer(number: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
    let sign: &[u8] = if *digits.first()? < 0x80 { &[] } else { &[0] };
    tagged(0x02, &[sign, &digits].concat())
}

fn tagged(tag: u8, body: &[u8]) -> Option<Vec<u8>> {
    Some([&[tag, u8::try_from(body.len()).ok()?], body].concat())
}
