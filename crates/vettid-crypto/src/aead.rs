//! XChaCha20-Poly1305 in place (draft-irtf-cfrg-xchacha). Crate-internal, because a caller outside could repeat a nonce.
//!
//! Does not commit to its key; where that matters, use [`crate::committed`].

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};

/// Length of a nonce in bytes.
pub(crate) const NONCE_BYTES: usize = 24;
/// Length of a tag in bytes.
pub(crate) const TAG_BYTES: usize = 16;

/// The bytes are not what the holder of this key sealed under this header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotAuthentic;

/// Encrypts `buffer` in place and gives the tag.
pub(crate) fn seal_in_place(
    key: &[u8; 32],
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    buffer: &mut [u8],
) -> [u8; TAG_BYTES] {
    let cipher = XChaCha20Poly1305::new(key.into());
    let Ok(tag) = cipher.encrypt_inout_detached(nonce.into(), aad, buffer.into()) else {
        unreachable!("the caps of this crate are far below 256 GiB");
    };
    tag.into()
}

/// Checks the tag, then decrypts `buffer` in place. On error the buffer is unchanged ciphertext.
pub(crate) fn open_in_place(
    key: &[u8; 32],
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    buffer: &mut [u8],
    tag: &[u8; TAG_BYTES],
) -> Result<(), NotAuthentic> {
    XChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(nonce.into(), aad, buffer.into(), tag.into())
        .map_err(|_| NotAuthentic)
}

/// `nonce ‖ ct ‖ tag` with a fresh nonce.
pub(crate) fn seal(key: &[u8; 32], rng: &mut dyn rand_core::CryptoRng, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE_BYTES];
    rng.fill_bytes(&mut nonce);
    let mut sealed = Vec::with_capacity(NONCE_BYTES + plaintext.len() + TAG_BYTES);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plaintext);
    let (_, body) = sealed.split_at_mut(NONCE_BYTES);
    let tag = seal_in_place(key, &nonce, aad, body);
    sealed.extend_from_slice(&tag);
    sealed
}

/// Opens `nonce ‖ ct ‖ tag`.
pub(crate) fn open(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Result<crate::secret::SecretBytes, NotAuthentic> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(NotAuthentic)?;
    let (body, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(NotAuthentic)?;
    let mut plaintext = body.to_vec();
    open_in_place(key, nonce, aad, &mut plaintext, tag)?;
    Ok(crate::secret::SecretBytes::new(plaintext))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_protected() {
        let mut rng = crate::scripted::Scripted::counting();
        let sealed = seal(&[1; 32], &mut rng, b"aad", b"plaintext");
        assert_eq!(open(&[1; 32], b"aad", &sealed).unwrap().expose(), b"plaintext");
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(open(&[1; 32], b"aad", &changed).err(), Some(NotAuthentic));
        }
        assert!(open(&[2; 32], b"aad", &sealed).is_err());
        assert!(open(&[1; 32], b"aae", &sealed).is_err());
        for length in 0..sealed.len() {
            assert!(open(&[1; 32], b"aad", &sealed[..length]).is_err());
        }
    }
}
