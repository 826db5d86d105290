//! The recovery phrase and the container that it opens (spec 2.11).
//!
//! Must never take words of the member's own choosing: a phrase is random or it is refused.

use std::fmt;

use bip39::{Language, Mnemonic};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use unicode_normalization::UnicodeNormalization;
use vettid_wire::base64::Base64;
use zeroize::Zeroizing;

use crate::committed::{OVERHEAD_BYTES, Padding, Schedule, Undecryptable};
use crate::kdf::{self, Lp};
use crate::password::{OutOfMemory, argon2id};
use crate::secret::{Secret32, SecretBytes};
use crate::stored::{InvalidStored, SecretText, Stored};

const MAGIC: &[u8; 4] = b"VCB1";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 4 + 2 + 16 + 8;
const BOX_LABEL: &str = "vettid-recovery-box-v1";
/// Longest text that is looked at as a phrase; 24 words of 8 letters with generous white space are shorter.
const MAX_TYPED_BYTES: usize = 1024;
/// Longest container, in bytes.
pub const MAX_CONTAINER_BYTES: usize = 1024 * 1024;

/// The content does not fit into a container of [`MAX_CONTAINER_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too much for one recovery container")]
pub struct ContentTooLarge;

/// How many words a phrase has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhraseLength {
    /// 128 bits of entropy.
    Words12,
    /// 256 bits of entropy; the default.
    Words24,
}

/// The text is not a recovery phrase: a word is unknown, words are missing, or the checksum is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a recovery phrase; compare each word with the paper")]
pub struct InvalidPhrase;

/// A BIP-39 phrase in English, 12 or 24 words, checksum verified.
pub struct RecoveryPhrase(Zeroizing<String>);

impl RecoveryPhrase {
    /// A fresh phrase.
    #[must_use]
    pub fn generate(rng: &mut dyn CryptoRng, length: PhraseLength) -> Self {
        let entropy = SecretBytes::random(
            rng,
            match length {
                PhraseLength::Words12 => 16,
                PhraseLength::Words24 => 32,
            },
        );
        let Ok(mnemonic) = Mnemonic::from_entropy_in(Language::English, entropy.expose()) else {
            unreachable!("16 and 32 bytes are entropy lengths of BIP-39");
        };
        Self(joined(&mnemonic))
    }

    /// Reads what the member typed; case and white space do not matter.
    ///
    /// # Errors
    /// [`InvalidPhrase`].
    pub fn parse(typed: &str) -> Result<Self, InvalidPhrase> {
        if typed.len() > MAX_TYPED_BYTES {
            return Err(InvalidPhrase);
        }
        let mut text = Zeroizing::new(String::with_capacity(4 * MAX_TYPED_BYTES));
        text.extend(typed.nfkd().flat_map(char::to_lowercase));
        let mnemonic = Mnemonic::parse_in_normalized(Language::English, &text).map_err(|_| InvalidPhrase)?;
        if matches!(mnemonic.word_count(), 12 | 24) { Ok(Self(joined(&mnemonic))) } else { Err(InvalidPhrase) }
    }

    /// The words, to be shown once and written down. Never log, store or send them.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Derives the keys for one container; takes 64 MiB and a noticeable part of a second, on purpose.
    ///
    /// # Errors
    /// [`OutOfMemory`].
    pub fn keys(&self, salt: &RecoverySalt) -> Result<RecoveryKeys, OutOfMemory> {
        let root = argon2id(self.0.as_bytes(), &salt.0)?;
        Ok(RecoveryKeys {
            salt: *salt,
            encryption: kdf::expand_secret(&root, &[b"vettid-recovery-enc-v1"]),
            proof: RecoveryAuth(kdf::expand_secret(&root, &[b"vettid-recovery-auth-v1"])),
        })
    }
}

/// Whether a text is a seed phrase of BIP-39 in English, as wallets make them: 12, 15, 18, 21 or 24 words, checksum
/// verified, one space between two words, small letters. It need not come from this program.
#[must_use]
pub fn is_seed_phrase(text: &str) -> bool {
    text.len() <= MAX_TYPED_BYTES && Mnemonic::parse_in_normalized(Language::English, text).is_ok()
}

fn joined(mnemonic: &Mnemonic) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(24 * 9));
    for word in mnemonic.words() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(word);
    }
    text
}

impl fmt::Debug for RecoveryPhrase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RecoveryPhrase")
    }
}

/// The salt of one container; not secret, it stands in the container's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoverySalt([u8; 16]);

impl RecoverySalt {
    /// A fresh salt.
    #[must_use]
    pub fn random(rng: &mut dyn CryptoRng) -> Self {
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        Self(salt)
    }

    /// A known salt.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// What a server shows for a token behind which there is no container: the same each time, and random to everybody else.
    #[must_use]
    pub fn decoy(secret: &Secret32, token: &[u8]) -> Self {
        let message = Lp::labelled("vettid-recovery-decoy-v1").lp(token).finish();
        let mut salt = [0; 16];
        salt.iter_mut().zip(kdf::hmac(secret.expose(), &[&message])).for_each(|(place, byte)| *place = byte);
        Self(salt)
    }

    /// The sixteen bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What a phrase gives for one salt.
pub struct RecoveryKeys {
    salt: RecoverySalt,
    encryption: Secret32,
    proof: RecoveryAuth,
}

impl RecoveryKeys {
    /// Proves the phrase to the server that keeps the container.
    #[must_use]
    pub fn auth(&self) -> &RecoveryAuth {
        &self.proof
    }

    /// Seals a container. `sequence` rises with each one, so that an older one is noticed.
    ///
    /// # Errors
    /// [`ContentTooLarge`].
    pub fn seal(&self, sequence: u64, content: &[u8], rng: &mut dyn CryptoRng) -> Result<Vec<u8>, ContentTooLarge> {
        let head = Head { salt: self.salt, sequence };
        let mut container = head.bytes().to_vec();
        let header = box_header(&head.bytes());
        let mut sealed = self.schedule(&header).seal(rng, Padding::Bucket, content);
        container.append(&mut sealed);
        if container.len() > MAX_CONTAINER_BYTES {
            return Err(ContentTooLarge);
        }
        Ok(container)
    }

    /// Opens a container that was sealed with this phrase and salt.
    ///
    /// # Errors
    /// [`Undecryptable`], whatever is wrong.
    pub fn open(&self, container: &[u8]) -> Result<SecretBytes, Undecryptable> {
        Head::read(container).ok_or(Undecryptable)?;
        let (head, sealed) = container.split_first_chunk().ok_or(Undecryptable)?;
        self.schedule(&box_header(head)).open(Padding::Bucket, sealed)
    }

    fn schedule<'a>(&'a self, header: &'a [u8]) -> Schedule<'a> {
        Schedule { label: BOX_LABEL, header, shared: &self.encryption, psk: &[] }
    }

    #[cfg(test)]
    fn for_test(secret: [u8; 32], salt: [u8; 16]) -> Self {
        Self {
            salt: RecoverySalt(salt),
            encryption: Secret32::from_bytes(secret),
            proof: RecoveryAuth(Secret32::from_bytes(secret)),
        }
    }
}

impl fmt::Debug for RecoveryKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RecoveryKeys")
    }
}

/// `{salt, encryption, proof}`.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredRecoveryKeys {
    salt: Base64,
    encryption: SecretText,
    proof: SecretText,
}

impl Stored for RecoveryKeys {
    type Form = StoredRecoveryKeys;

    fn to_form(&self) -> StoredRecoveryKeys {
        StoredRecoveryKeys {
            salt: Base64::new(self.salt.0),
            encryption: self.encryption.to_form(),
            proof: self.proof.0.to_form(),
        }
    }

    fn from_form(form: StoredRecoveryKeys) -> Result<Self, InvalidStored> {
        let salt = form.salt.to_array().map(RecoverySalt).map_err(|_| InvalidStored)?;
        let proof = RecoveryAuth(Secret32::from_form(form.proof)?);
        Ok(Self { salt, encryption: Secret32::from_form(form.encryption)?, proof })
    }
}

/// What anybody can read of a container: which salt the phrase needs, and how new it claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The salt.
    pub salt: RecoverySalt,
    /// The sequence; genuine only after opening.
    pub sequence: u64,
}

impl Head {
    /// Reads the head of a container; `None` if it is not one of this version.
    #[must_use]
    pub fn read(container: &[u8]) -> Option<Self> {
        if container.len() < HEAD_BYTES + OVERHEAD_BYTES || container.len() > MAX_CONTAINER_BYTES {
            return None;
        }
        Self::parse(container.first_chunk()?)
    }

    fn parse(head: &[u8; HEAD_BYTES]) -> Option<Self> {
        let rest = head.strip_prefix(MAGIC)?.strip_prefix(&VERSION.to_be_bytes())?;
        let (salt, sequence) = rest.split_first_chunk()?;
        Some(Self { salt: RecoverySalt(*salt), sequence: u64::from_be_bytes(sequence.try_into().ok()?) })
    }

    fn bytes(self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        let fields =
            MAGIC.iter().copied().chain(VERSION.to_be_bytes()).chain(self.salt.0).chain(self.sequence.to_be_bytes());
        bytes.iter_mut().zip(fields).for_each(|(place, byte)| *place = byte);
        bytes
    }
}

fn box_header(head: &[u8; HEAD_BYTES]) -> Vec<u8> {
    Lp::labelled(BOX_LABEL).raw(head).finish()
}

/// Proves the phrase to the server without showing it.
pub struct RecoveryAuth(Secret32);

impl RecoveryAuth {
    /// `H256(auth)`: what the server stores.
    #[must_use]
    pub fn verifier(&self) -> RecoveryVerifier {
        RecoveryVerifier(Secret32::from_bytes(kdf::h256(self.0.expose())))
    }

    /// The proof for one single-use download token.
    #[must_use]
    pub fn prove(&self, token: &[u8]) -> RecoveryProof {
        self.verifier().expected(token)
    }
}

impl fmt::Debug for RecoveryAuth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RecoveryAuth")
    }
}

/// What the server keeps to recognise a proof. Whoever reads it can ask for the container, not open it.
pub struct RecoveryVerifier(Secret32);

impl RecoveryVerifier {
    /// A stored verifier.
    #[must_use]
    pub fn from_secret(secret: Secret32) -> Self {
        Self(secret)
    }

    /// The bytes for the server's sealed store.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// Whether the proof is right for this token.
    #[must_use]
    pub fn verifies(&self, token: &[u8], proof: &RecoveryProof) -> bool {
        self.expected(token).0.ct_eq(&proof.0).into()
    }

    fn expected(&self, token: &[u8]) -> RecoveryProof {
        let message = Lp::labelled("vettid-recovery-proof-v1").lp(token).finish();
        RecoveryProof(kdf::hmac(self.0.expose(), &[&message]))
    }
}

impl fmt::Debug for RecoveryVerifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RecoveryVerifier")
    }
}

/// Proof of a phrase for one token, as it travels.
#[derive(Clone, Copy)]
pub struct RecoveryProof([u8; 32]);

impl fmt::Debug for RecoveryProof {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RecoveryProof")
    }
}

impl RecoveryProof {
    /// A received proof.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes for the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;
    use proptest::prelude::*;

    #[test]
    fn seed_phrases_of_wallets_are_known() {
        let twelve = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
        let fifteen = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
                       abandon abandon address";
        assert!(is_seed_phrase(twelve) && is_seed_phrase(fifteen));
        for wrong in ["", "abandon", &twelve.replace("about", "abandon"), &format!("{twelve} about"), "not a phrase"] {
            assert!(!is_seed_phrase(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_typed_phrase_is_forgiving_in_form_only() {
        let phrase = RecoveryPhrase::generate(&mut Scripted::counting(), PhraseLength::Words24);
        let typed = format!("  {}\n", phrase.expose().to_uppercase().replace(' ', " \t"));
        assert_eq!(RecoveryPhrase::parse(&typed).unwrap().expose(), phrase.expose());
        let mut words: Vec<_> = phrase.expose().split(' ').collect();
        words.swap(0, 1);
        assert_eq!(RecoveryPhrase::parse(&words.join(" ")).err(), Some(InvalidPhrase));
        words.swap(0, 1);
        assert!(RecoveryPhrase::parse(&words[..23].join(" ")).is_err());
        assert!(RecoveryPhrase::parse(&words.join("-")).is_err());
        assert!(RecoveryPhrase::parse(&"abandon ".repeat(24)).is_err());
        assert!(RecoveryPhrase::parse(&" ".repeat(MAX_TYPED_BYTES + 1)).is_err());
    }

    /// All vectors of the reference list for English that have 12 or 24 words; the others are refused here.
    #[test]
    fn phrases_are_those_of_bip_39() {
        let mut read = 0;
        for line in include_str!("../tests/bip39/english.txt").lines() {
            let (entropy, words) = line.split_once(' ').unwrap();
            let entropy = hex::decode(entropy).unwrap();
            let parsed = RecoveryPhrase::parse(words);
            let length = match entropy.len() {
                16 => PhraseLength::Words12,
                32 => PhraseLength::Words24,
                _ => {
                    assert_eq!(parsed.err(), Some(InvalidPhrase), "{words}");
                    continue;
                }
            };
            let generated = RecoveryPhrase::generate(&mut Scripted::playing(&[&entropy]), length);
            assert_eq!(generated.expose(), words);
            assert_eq!(parsed.unwrap().expose(), words);
            read += 1;
        }
        assert_eq!(read, 16);
    }

    #[test]
    fn vectors_root_of_the_phrase() {
        let vectors: serde_json::Value = serde_json::from_str(include_str!("../tests/vectors.json")).unwrap();
        let field = |name: &str| vectors["recovery"][name].as_str().unwrap();
        let salt = hex::decode(field("salt")).unwrap().try_into().unwrap();
        let root = argon2id(RecoveryPhrase::parse(field("mnemonic")).unwrap().0.as_bytes(), &salt).unwrap();
        assert_eq!(hex::encode(root.expose()), field("k_rec"));
    }

    #[test]
    fn only_12_and_24_words_are_phrases() {
        let counts = |length| RecoveryPhrase::generate(&mut Scripted::counting(), length).expose().split(' ').count();
        assert_eq!([counts(PhraseLength::Words12), counts(PhraseLength::Words24)], [12, 24]);
    }

    #[test]
    fn each_changed_bit_of_a_container_is_refused() {
        let keys = RecoveryKeys::for_test([1; 32], [2; 16]);
        let container = keys.seal(7, b"packages", &mut Scripted::counting()).unwrap();
        assert_eq!(Head::read(&container), Some(Head { salt: RecoverySalt([2; 16]), sequence: 7 }));
        assert_eq!(keys.open(&container).unwrap().expose(), b"packages");
        for bit in 0..container.len() * 8 {
            let mut changed = container.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys.open(&changed).err(), Some(Undecryptable), "bit {bit}");
        }
        for length in 0..container.len() {
            assert!(keys.open(&container[..length]).is_err());
        }
        assert!(RecoveryKeys::for_test([3; 32], [2; 16]).open(&container).is_err());
        assert!(Head::read(&container[..HEAD_BYTES]).is_none());
    }

    #[test]
    fn a_container_has_a_largest_size() {
        let keys = RecoveryKeys::for_test([1; 32], [2; 16]);
        let fits = vec![0; MAX_CONTAINER_BYTES - 8192];
        let container = keys.seal(1, &fits, &mut Scripted::counting()).unwrap();
        assert!(keys.open(&container).is_ok());
        let more = vec![0; MAX_CONTAINER_BYTES - 100];
        assert_eq!(keys.seal(1, &more, &mut Scripted::counting()), Err(ContentTooLarge));
        let longer = [container, vec![0; 8192]].concat();
        assert_eq!((Head::read(&longer), keys.open(&longer).err()), (None, Some(Undecryptable)));
    }

    #[test]
    fn a_proof_is_good_for_one_token() {
        let keys = RecoveryKeys::for_test([1; 32], [2; 16]);
        let proof = keys.auth().prove(b"token one");
        let verifier = RecoveryVerifier::from_secret(Secret32::from_bytes(*keys.auth().verifier().expose()));
        assert!(verifier.verifies(b"token one", &proof));
        assert!(!verifier.verifies(b"token two", &proof));
        assert!(!RecoveryKeys::for_test([2; 32], [2; 16]).auth().verifier().verifies(b"token one", &proof));
    }

    #[test]
    fn stored_keys_open_and_prove_the_same() {
        let keys = RecoveryKeys::for_test([1; 32], [2; 16]);
        let container = keys.seal(7, b"packages", &mut Scripted::counting()).unwrap();
        let form = serde_json::to_string(&keys.to_form()).unwrap();
        let back = RecoveryKeys::from_form(serde_json::from_str(&form).unwrap()).unwrap();
        assert_eq!(back.open(&container).unwrap().expose(), b"packages");
        assert!(keys.auth().verifier().verifies(b"token", &back.auth().prove(b"token")));
    }

    #[test]
    fn a_decoy_is_the_same_for_the_same_token_only() {
        let decoy = |byte, token: &[u8]| RecoverySalt::decoy(&Secret32::from_bytes([byte; 32]), token);
        assert_eq!(decoy(1, b"one"), decoy(1, b"one"));
        assert_ne!(decoy(1, b"one"), decoy(1, b"two"));
        assert_ne!(decoy(1, b"one"), decoy(2, b"one"));
    }

    #[test]
    fn debug_shows_type_names_only() {
        let phrase = RecoveryPhrase::generate(&mut Scripted::counting(), PhraseLength::Words12);
        let keys = RecoveryKeys::for_test([1; 32], [2; 16]);
        let text = format!("{phrase:?} {keys:?} {:?} {:?}", keys.auth(), keys.auth().verifier());
        assert_eq!(text, "RecoveryPhrase RecoveryKeys RecoveryAuth RecoveryVerifier");
    }

    proptest! {
        #[test]
        fn opens_to_what_was_sealed(secret: [u8; 32], salt: [u8; 16], sequence: u64, content: Vec<u8>) {
            let keys = RecoveryKeys::for_test(secret, salt);
            let container = keys.seal(sequence, &content, &mut Scripted::counting()).unwrap();
            let opened = keys.open(&container).unwrap();
            prop_assert_eq!(opened.expose(), content.as_slice());
            prop_assert_eq!(Head::read(&container).unwrap().sequence, sequence);
        }
    }
}
