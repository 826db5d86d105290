//! Files between members, sealed piece by piece: the payload of the age format (spec 2.10, docs/decisions/0020) under a fresh key,
//! cut into pieces of whole chunks. A piece opens only at its own place, and a file only with its last piece.
//!
//! Must never give out a part of a piece that does not verify.

use rand_core::CryptoRng;
use vettid_wire::digest::Digest;
use vettid_wire::file::{CHUNK_BYTES, CHUNK_TAG_BYTES, FileKey, PIECE_CHUNKS};
use zeroize::Zeroize;

use crate::backup::format::{self, FILE_KEY_BYTES, PAYLOAD_NONCE_BYTES, TAG_BYTES};
use crate::committed::Undecryptable;
use crate::kdf::h256;
use crate::secret::{Secret32, SecretBytes};

const _: () = assert!(TAG_BYTES == CHUNK_TAG_BYTES && FILE_KEY_BYTES + PAYLOAD_NONCE_BYTES == 32);

/// A fresh key for one file.
#[must_use]
pub fn fresh_key(rng: &mut dyn CryptoRng) -> FileKey {
    FileKey::from_bytes(*Secret32::random(rng).expose())
}

/// SHA-256 of a sealed piece, as a manifest names it.
#[must_use]
pub fn piece_hash(sealed: &[u8]) -> Digest {
    Digest::from_bytes(h256(sealed))
}

/// Seals and opens the pieces of one file.
pub struct PieceCipher {
    key: Secret32,
}

impl std::fmt::Debug for PieceCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PieceCipher")
    }
}

impl PieceCipher {
    /// The cipher of the file with this key.
    #[must_use]
    pub fn new(key: &FileKey) -> Self {
        let (mut file_key, mut nonce) = ([0; FILE_KEY_BYTES], [0; PAYLOAD_NONCE_BYTES]);
        let (first, last) = key.expose().split_at(FILE_KEY_BYTES);
        file_key.copy_from_slice(first);
        nonce.copy_from_slice(last);
        let key = format::payload_key(&file_key, &nonce);
        file_key.zeroize();
        Self { key }
    }

    /// Seals the content of one piece. Two contents must never be sealed for the same place of one file.
    #[must_use]
    pub fn seal(&self, index: u32, is_last: bool, content: &[u8]) -> Vec<u8> {
        let chunks = content.len().div_ceil(CHUNK_BYTES).max(1);
        let mut sealed = Vec::with_capacity(content.len() + chunks * TAG_BYTES);
        let mut rest = content;
        for number in 1..=chunks {
            let (chunk, after) = rest.split_at(rest.len().min(CHUNK_BYTES));
            rest = after;
            let start = sealed.len();
            sealed.extend_from_slice(chunk);
            let (_, body) = sealed.split_at_mut(start);
            let nonce = format::chunk_nonce(place(index, number - 1), is_last && number == chunks);
            let tag = format::seal_chunk(&self.key, nonce, body);
            sealed.extend_from_slice(&tag);
        }
        sealed
    }

    /// Opens one piece at its place.
    ///
    /// # Errors
    /// [`Undecryptable`], whatever is wrong.
    pub fn open(&self, index: u32, is_last: bool, sealed: &[u8]) -> Result<SecretBytes, Undecryptable> {
        let chunks: Vec<_> = sealed.chunks(CHUNK_BYTES + TAG_BYTES).collect();
        if chunks.is_empty() || chunks.len() > PIECE_CHUNKS || (!is_last && chunks.len() < PIECE_CHUNKS) {
            return Err(Undecryptable);
        }
        let mut content = SecretBytes::new(vec![0; sealed.len().saturating_sub(chunks.len() * TAG_BYTES)]);
        let mut rest = content.expose_mut();
        for (number, chunk) in chunks.iter().enumerate() {
            let (body, tag) = chunk.split_last_chunk().ok_or(Undecryptable)?;
            // Only an empty file has an empty chunk, and every chunk but the last one is full.
            let is_end = number + 1 == chunks.len();
            if (body.is_empty() && (number, index) != (0, 0)) || (!(is_last && is_end) && body.len() != CHUNK_BYTES) {
                return Err(Undecryptable);
            }
            let (target, after) = rest.split_at_mut(body.len());
            target.copy_from_slice(body);
            format::open_chunk(&self.key, format::chunk_nonce(place(index, number), is_last && is_end), target, tag)?;
            rest = after;
        }
        Ok(content)
    }
}

/// The number of a chunk in the whole file.
fn place(index: u32, number: usize) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX).saturating_mul(PIECE_CHUNKS).saturating_add(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::{self, BackupFileKey, BackupKey};
    use crate::scripted::Scripted;
    use vettid_wire::file::{PIECE_BYTES, pieces_of, sealed_piece_bytes};

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|n| (n % 251) as u8).collect()
    }

    fn pieces(cipher: &PieceCipher, content: &[u8]) -> Vec<Vec<u8>> {
        let count = pieces_of(content.len() as u64);
        let parts: Vec<&[u8]> = if content.is_empty() { vec![&[]] } else { content.chunks(PIECE_BYTES).collect() };
        (0..count).zip(parts).map(|(index, part)| cipher.seal(index, index + 1 == count, part)).collect()
    }

    #[test]
    fn what_was_sealed_opens_at_its_place_around_every_edge() {
        let cipher = PieceCipher::new(&fresh_key(&mut Scripted::counting()));
        for length in
            [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES]
        {
            let content = content(length);
            let sealed = pieces(&cipher, &content);
            let mut opened = Vec::new();
            for (index, piece) in (0..).zip(&sealed) {
                assert_eq!(Some(piece.len()), sealed_piece_bytes(length as u64, index));
                let is_last = index as usize + 1 == sealed.len();
                opened.extend_from_slice(cipher.open(index, is_last, piece).unwrap().expose());
                assert!(cipher.open(index, !is_last, piece).is_err(), "the end is marked");
                assert!(cipher.open(index + 1, is_last, piece).is_err(), "a piece has one place");
            }
            assert_eq!(opened, content);
        }
    }

    /// The pieces one after another are the payload of an age file: the judge is the reader that the age library tests.
    #[test]
    fn the_pieces_are_the_payload_of_an_age_file() {
        let mut rng = Scripted::counting();
        let (key, content) = (BackupKey::random(&mut rng), content(PIECE_BYTES + CHUNK_BYTES + 7));
        let file = backup::seal(&[key.recipient()], &content, &mut rng).unwrap();
        let payload_bytes: usize = (0..2).map(|index| sealed_piece_bytes(content.len() as u64, index).unwrap()).sum();
        let (head, payload) = file.split_at(file.len() - payload_bytes);
        let nonce = &head[head.len() - PAYLOAD_NONCE_BYTES..];
        let file_key = BackupFileKey::unwrap(&key, head).unwrap();
        let bytes = [file_key.expose().as_slice(), nonce].concat();
        let cipher = PieceCipher::new(&FileKey::from_bytes(bytes.try_into().unwrap()));
        assert_eq!(pieces(&cipher, &content).concat(), payload);
    }

    #[test]
    fn no_changed_byte_and_no_other_key_opens() {
        let mut rng = Scripted::counting();
        let cipher = PieceCipher::new(&fresh_key(&mut rng));
        let sealed = cipher.seal(0, true, b"content");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(cipher.open(0, true, &changed).is_err());
            assert!(cipher.open(0, true, &sealed[..at]).is_err());
        }
        assert!(PieceCipher::new(&fresh_key(&mut rng)).open(0, true, &sealed).is_err());
        assert!(cipher.open(0, true, &[sealed.clone(), sealed].concat()).is_err());
        assert!(cipher.open(0, true, &[]).is_err());
        let full = cipher.seal(0, false, &content(PIECE_BYTES));
        let over = [full.clone(), full[..CHUNK_BYTES + TAG_BYTES].to_vec()].concat();
        assert!(cipher.open(0, false, &over).is_err());
        assert_eq!(format!("{cipher:?}"), "PieceCipher");
    }
}
