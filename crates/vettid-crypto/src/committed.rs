//! The sealed box that envelope, credential blob and password payload share: a key schedule with key commitment
//! over XChaCha20-Poly1305 (spec 2.3), and the padding. The label keeps the three apart.
//!
//! Must never say why a box does not open.

use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::aead::{self, NONCE_BYTES, TAG_BYTES};
use crate::kdf::{self, Extract};
use crate::secret::{Secret32, SecretBytes};

/// Bytes that a box adds to its (padded) content: commitment, nonce, tag.
pub(crate) const OVERHEAD_BYTES: usize = COMMIT_BYTES + NONCE_BYTES + TAG_BYTES;
const COMMIT_BYTES: usize = 32;

/// The box does not open, for whatever reason (spec 2.3). Never more detail, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("undecryptable")]
pub struct Undecryptable;

/// Whether the content is padded to a bucket before it is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    /// `PAD` of spec 2.3.
    Bucket,
    /// The content as it is; its length is fixed by the format.
    None,
}

/// The labels and keys of one kind of box.
pub(crate) struct Schedule<'a> {
    /// For example `vettid-env-v1`; ` secret` and ` key` are added to it.
    pub(crate) label: &'static str,
    /// `H`: everything that the box is bound to.
    pub(crate) header: &'a [u8],
    /// The secret of the key encapsulation.
    pub(crate) shared: &'a Secret32,
    /// The pre-shared key, or nothing.
    pub(crate) psk: &'a [u8],
}

impl Schedule<'_> {
    /// `key ‖ commit`.
    pub(crate) fn keys(&self) -> Zeroizing<[u8; 64]> {
        let prk = Extract::new(&kdf::h256(self.header))
            .raw(self.label.as_bytes())
            .raw(b" secret")
            .lp(self.shared.expose())
            .lp(self.psk)
            .finish();
        let mut keys = Zeroizing::new([0; 64]);
        kdf::expand(&prk, &[self.label.as_bytes(), b" key"], keys.as_mut_slice());
        keys
    }

    /// `commit ‖ nonce ‖ ct ‖ tag` with a fresh nonce.
    pub(crate) fn seal(&self, rng: &mut dyn CryptoRng, padding: Padding, plaintext: &[u8]) -> Vec<u8> {
        let keys = self.keys();
        let (key, commit) = halves(&keys);
        let mut nonce = [0; NONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        let content_bytes = match padding {
            Padding::Bucket => padded_len(plaintext.len()),
            Padding::None => plaintext.len(),
        };
        let mut sealed = Vec::with_capacity(OVERHEAD_BYTES + content_bytes);
        sealed.extend_from_slice(commit);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plaintext);
        if padding == Padding::Bucket {
            sealed.push(0x80);
        }
        sealed.resize(COMMIT_BYTES + NONCE_BYTES + content_bytes, 0);
        let (_, content) = sealed.split_at_mut(COMMIT_BYTES + NONCE_BYTES);
        let tag = aead::seal_in_place(key, &nonce, self.header, content);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens `commit ‖ nonce ‖ ct ‖ tag`; the commitment is compared first, in constant time.
    pub(crate) fn open(&self, padding: Padding, sealed: &[u8]) -> Result<SecretBytes, Undecryptable> {
        let (claimed, rest) = sealed.split_first_chunk::<COMMIT_BYTES>().ok_or(Undecryptable)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(Undecryptable)?;
        let (content, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(Undecryptable)?;
        let keys = self.keys();
        let (key, commit) = halves(&keys);
        if !bool::from(commit.ct_eq(claimed)) {
            return Err(Undecryptable);
        }
        let mut plaintext = Zeroizing::new(content.to_vec());
        aead::open_in_place(key, nonce, self.header, &mut plaintext, tag).map_err(|_| Undecryptable)?;
        if padding == Padding::Bucket {
            let length = unpadded_len(&plaintext).ok_or(Undecryptable)?;
            plaintext.truncate(length);
        }
        Ok(SecretBytes::new(std::mem::take(&mut *plaintext)))
    }
}

fn halves(keys: &[u8; 64]) -> (&[u8; 32], &[u8; 32]) {
    match keys.as_chunks::<32>() {
        ([key, commit], []) => (key, commit),
        _ => unreachable!("64 bytes are two halves"),
    }
}

/// Length of `PAD` of so many bytes: 0x80, then zeros to 256, 512, 1024, 2048, 4096, then multiples of 4096.
pub(crate) const fn padded_len(plaintext_bytes: usize) -> usize {
    let marked = plaintext_bytes.saturating_add(1);
    match marked {
        0..=256 => 256,
        257..=4096 => marked.next_power_of_two(),
        _ => marked.div_ceil(4096).saturating_mul(4096),
    }
}

/// Length of the content of a padded text; `None` if this is not the one padding of that content.
///
/// Looks at every byte of the last block whatever it holds, so that the time does not tell the length.
fn unpadded_len(padded: &[u8]) -> Option<usize> {
    let tail_start = padded.len().saturating_sub(4096);
    let (mut mark, mut last) = (0, 0);
    for (place, &byte) in padded.iter().enumerate().skip(tail_start) {
        let set = usize::from(byte != 0).wrapping_neg();
        let set_byte = u8::from(byte != 0).wrapping_neg();
        mark = (place & set) | (mark & !set);
        last = (byte & set_byte) | (last & !set_byte);
    }
    (last == 0x80 && padded_len(mark) == padded.len()).then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::Scripted;
    use proptest::prelude::*;

    fn schedule<'a>(shared: &'a Secret32, psk: &'a [u8]) -> Schedule<'a> {
        Schedule { label: "test", header: b"header", shared, psk }
    }

    #[test]
    fn padding_is_total_and_has_one_form() {
        let mut padded = Vec::new();
        for length in (0..9000).chain([700 * 1024 - 1, 700 * 1024]) {
            padded.clear();
            padded.resize(length, 0x80);
            padded.push(0x80);
            padded.resize(padded_len(length), 0);
            assert_eq!(unpadded_len(&padded), Some(length));
            padded.push(0);
            assert_eq!(unpadded_len(&padded), None);
        }
        assert_eq!([0, 255, 256, 4095, 4096].map(padded_len), [256, 256, 512, 4096, 8192]);
        assert_eq!(unpadded_len(&[]), None);
        assert_eq!(unpadded_len(&[0; 256]), None);
        assert_eq!(unpadded_len(&[0x81; 256]), None);
    }

    #[test]
    fn a_wrong_commitment_is_refused_even_when_the_rest_is_right() {
        let shared = Secret32::from_bytes([9; 32]);
        let mut sealed = schedule(&shared, b"").seal(&mut Scripted::counting(), Padding::None, b"x");
        sealed[0] ^= 1;
        assert_eq!(schedule(&shared, b"").open(Padding::None, &sealed).err(), Some(Undecryptable));
    }

    proptest! {
        #[test]
        fn opens_to_what_was_sealed(text: Vec<u8>, psk: Vec<u8>, seed: [u8; 32], pad: bool) {
            let padding = if pad { Padding::Bucket } else { Padding::None };
            let shared = Secret32::from_bytes(seed);
            let sealed = schedule(&shared, &psk).seal(&mut Scripted::counting(), padding, &text);
            let opened = schedule(&shared, &psk).open(padding, &sealed).unwrap();
            prop_assert_eq!(opened.expose(), text.as_slice());
            let other = [psk.as_slice(), b"x"].concat();
            prop_assert!(schedule(&shared, &other).open(padding, &sealed).is_err());
        }
    }
}
