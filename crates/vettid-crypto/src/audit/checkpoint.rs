//! Checkpoints of an audit chain: C2SP signed notes in the form of `tlog-checkpoint`, signed by the vault's key.
//!
//! Only what our own key signed counts; signatures of others (witnesses) in the same note are carried and ignored.

use vettid_wire::base64;
use vettid_wire::digest::Digest;
use vettid_wire::id::MemberId;

use super::Chain;
use crate::identity::{Signature, SigningKey, VerifyingKey};
use crate::kdf;

/// Longest note, in bytes.
pub const MAX_NOTE_BYTES: usize = 16 * 1024;
/// Most signatures of one note.
pub const MAX_SIGNATURES: usize = 16;

const ED25519: &[u8] = &[1];
const KEY_HASH_BYTES: usize = 4;
const SIGNATURE_LEAD: &str = "\u{2014} ";

/// The state of a chain at one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of entries.
    pub size: u64,
    /// RFC 6962 root over their hashes.
    pub root: Digest,
}

/// The note is not a checkpoint of this vault, signed by this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint of this vault")]
pub struct InvalidCheckpoint;

/// Two checkpoints of one chain that cannot both be honest: entries were removed or rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RolledBack {
    /// The chain became shorter.
    #[error("the audit chain has fewer entries than before")]
    Shorter,
    /// The chain has the same length and other entries.
    #[error("the audit chain has other entries than before")]
    Rewritten,
}

impl Checkpoint {
    /// The state of a chain now.
    #[must_use]
    pub fn of(chain: &Chain) -> Self {
        Self { size: chain.size(), root: chain.root() }
    }

    /// Whether this may follow the newest checkpoint that the app keeps.
    ///
    /// # Errors
    /// [`RolledBack`]: keep the old one and tell the member.
    pub fn follows(&self, newest: &Self) -> Result<(), RolledBack> {
        if self.size < newest.size {
            Err(RolledBack::Shorter)
        } else if self.size == newest.size && self.root != newest.root {
            Err(RolledBack::Rewritten)
        } else {
            Ok(())
        }
    }

    /// The signed note.
    #[must_use]
    pub fn sign(&self, guid: MemberId, key: &SigningKey) -> String {
        let origin = origin(guid);
        let text = format!("{origin}\n{}\n{}\n", self.size, self.root);
        let signature = key.sign(text.as_bytes());
        let line = [&key_hash(&origin, &key.verifying_key()), signature.as_bytes().as_slice()].concat();
        format!("{text}\n{SIGNATURE_LEAD}{origin} {}\n", base64::encode(&line))
    }

    /// Reads a note that this key signed for this member's chain.
    ///
    /// # Errors
    /// [`InvalidCheckpoint`], whatever is wrong.
    pub fn verify(note: &str, guid: MemberId, key: &VerifyingKey) -> Result<Self, InvalidCheckpoint> {
        let well_formed = note.len() <= MAX_NOTE_BYTES && note.chars().all(|letter| letter == '\n' || letter >= ' ');
        let (text, signatures) = note.rsplit_once("\n\n").filter(|_| well_formed).ok_or(InvalidCheckpoint)?;
        let text = [text, "\n"].concat();
        let origin = origin(guid);
        verify_signatures(signatures, &text, &origin, key)?;
        Self::parse(&text, &origin)
    }

    fn parse(text: &str, origin: &str) -> Result<Self, InvalidCheckpoint> {
        let mut lines = text.lines();
        if lines.next() != Some(origin) {
            return Err(InvalidCheckpoint);
        }
        let size = lines.next().and_then(decimal).ok_or(InvalidCheckpoint)?;
        let root = lines.next().and_then(|line| line.parse().ok()).ok_or(InvalidCheckpoint)?;
        if lines.any(str::is_empty) { Err(InvalidCheckpoint) } else { Ok(Self { size, root }) }
    }
}

fn origin(guid: MemberId) -> String {
    format!("vettid.dev/audit/{guid}")
}

/// Key id of C2SP signed notes; the name of the key is the origin.
fn key_hash(name: &str, key: &VerifyingKey) -> [u8; KEY_HASH_BYTES] {
    let [a, b, c, d, ..] = kdf::h256_parts(&[name.as_bytes(), b"\n", ED25519, key.as_bytes()]);
    [a, b, c, d]
}

/// Each line is well formed, at least one is ours, and each one that says it is ours verifies.
fn verify_signatures(lines: &str, text: &str, origin: &str, key: &VerifyingKey) -> Result<(), InvalidCheckpoint> {
    let lines = lines.strip_suffix('\n').ok_or(InvalidCheckpoint)?;
    if lines.split('\n').count() > MAX_SIGNATURES {
        return Err(InvalidCheckpoint);
    }
    let mut ours = 0;
    for line in lines.split('\n') {
        let (name, encoded) =
            line.strip_prefix(SIGNATURE_LEAD).and_then(|line| line.split_once(' ')).ok_or(InvalidCheckpoint)?;
        let bytes = base64::decode(encoded).map_err(|_| InvalidCheckpoint)?;
        let (hash, signature) = bytes.split_first_chunk().ok_or(InvalidCheckpoint)?;
        if name.is_empty() || name.contains('+') || signature.is_empty() {
            return Err(InvalidCheckpoint);
        }
        if name == origin && *hash == key_hash(origin, key) {
            let signature = Signature::from_bytes(signature.try_into().map_err(|_| InvalidCheckpoint)?);
            key.verify(text.as_bytes(), &signature).map_err(|_| InvalidCheckpoint)?;
            ours += 1;
        }
    }
    if ours > 0 { Ok(()) } else { Err(InvalidCheckpoint) }
}

/// A number without sign and leading zeros.
fn decimal(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret32;

    const GUID: [u8; 16] = [1; 16];

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&Secret32::from_bytes([seed; 32]))
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint { size: 256, root: Digest::from_bytes([7; 32]) }
    }

    fn verify(note: &str) -> Result<Checkpoint, InvalidCheckpoint> {
        Checkpoint::verify(note, MemberId::from_bytes(GUID), &key(1).verifying_key())
    }

    fn note() -> String {
        checkpoint().sign(MemberId::from_bytes(GUID), &key(1))
    }

    /// The example of C2SP `signed-note.md` pins the form of note and key hash against another implementation.
    #[test]
    fn key_hashes_are_those_of_signed_notes() {
        // The verifier key of the Go checksum database: sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8
        let encoded = base64::decode("Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8").unwrap();
        let (algorithm, public) = encoded.split_at(1);
        assert_eq!(algorithm, ED25519);
        let public = VerifyingKey::from_bytes(public.try_into().unwrap()).unwrap();
        assert_eq!(hex::encode(key_hash("sum.golang.org", &public)), "033de0ae");
    }

    #[test]
    fn a_note_has_the_form_of_tlog_checkpoint() {
        let note = note();
        let lines: Vec<_> = note.split('\n').collect();
        assert_eq!(lines[0], format!("vettid.dev/audit/{}", MemberId::from_bytes(GUID)));
        assert_eq!(lines[1..4], ["256", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=", ""]);
        assert!(lines[4].starts_with("— vettid.dev/audit/01010101-"), "{}", lines[4]);
        assert_eq!(lines[5..], [""]);
        assert_eq!(verify(&note), Ok(checkpoint()));
    }

    #[test]
    fn a_note_counts_for_its_own_vault_and_key_only() {
        let note = note();
        let other_member = MemberId::from_bytes([2; 16]);
        assert!(Checkpoint::verify(&note, other_member, &key(1).verifying_key()).is_err());
        assert!(Checkpoint::verify(&note, MemberId::from_bytes(GUID), &key(2).verifying_key()).is_err());
        assert!(verify(&checkpoint().sign(other_member, &key(1))).is_err());
    }

    #[test]
    fn each_changed_byte_is_refused() {
        let note = note();
        for place in 0..note.len() {
            for flip in [1, 0x20] {
                let mut bytes = note.clone().into_bytes();
                bytes[place] ^= flip;
                if let Ok(changed) = String::from_utf8(bytes) {
                    assert_eq!(verify(&changed), Err(InvalidCheckpoint), "byte {place}");
                }
            }
        }
        for length in (0..note.len()).filter(|&length| note.is_char_boundary(length)) {
            assert!(verify(&note[..length]).is_err());
        }
    }

    #[test]
    fn a_witness_is_carried_and_a_forged_line_of_ours_is_not() {
        let note = note();
        let witness = format!("{SIGNATURE_LEAD}witness.example {}\n", base64::encode(&[9; 76]));
        assert_eq!(verify(&[note.as_str(), &witness].concat()), Ok(checkpoint()));
        let alone = note.split_inclusive('\n').take(4).chain([witness.as_str()]).collect::<String>();
        assert!(verify(&alone).is_err());
        let ours = note.lines().last().unwrap();
        let forged = [&note, &ours.replace(&ours[ours.len() - 4..], "AAA="), "\n"].concat();
        assert!(verify(&forged).is_err());
        assert!(verify(&[note.as_str(), &witness.repeat(MAX_SIGNATURES)].concat()).is_err());
        assert!(verify(&[note.as_str(), "\n"].concat()).is_err());
    }

    #[test]
    fn a_text_of_another_kind_is_refused_though_our_key_signed_it() {
        let origin = origin(MemberId::from_bytes(GUID));
        let root = checkpoint().root;
        let signed = |text: &str| {
            let signature = key(1).sign(text.as_bytes());
            let hash = key_hash(&origin, &key(1).verifying_key());
            let line = base64::encode(&[&hash, signature.as_bytes().as_slice()].concat());
            format!("{text}\n{SIGNATURE_LEAD}{origin} {line}\n")
        };
        let text = format!("{origin}\n256\n{root}\n");
        assert_eq!(verify(&signed(&text)), Ok(checkpoint()));
        assert_eq!(verify(&signed(&format!("{text}extension\n"))), Ok(checkpoint()));
        for other in [
            format!("vettid.dev/other\n256\n{root}\n"),
            format!("{origin}\n0256\n{root}\n"),
            format!("{origin}\n256\n{root}x\n"),
            format!("{origin}\n256\n"),
            format!("{text}\nextension\n"),
        ] {
            assert_eq!(verify(&signed(&other)), Err(InvalidCheckpoint), "{other}");
        }
    }

    #[test]
    fn numbers_have_one_spelling() {
        assert_eq!(["0", "256"].map(decimal), [Some(0), Some(256)]);
        for wrong in ["+1", "01", "", "-1", "1 ", "18446744073709551616"] {
            assert_eq!(decimal(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_newer_checkpoint_is_never_shorter_or_rewritten() {
        let newest = checkpoint();
        assert_eq!(newest.follows(&newest), Ok(()));
        assert_eq!(Checkpoint { size: 257, root: Digest::from_bytes([8; 32]) }.follows(&newest), Ok(()));
        assert_eq!(Checkpoint { size: 255, ..newest }.follows(&newest), Err(RolledBack::Shorter));
        let rewritten = Checkpoint { root: Digest::from_bytes([8; 32]), ..newest };
        assert_eq!(rewritten.follows(&newest), Err(RolledBack::Rewritten));
    }
}
