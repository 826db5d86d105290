//! Writes files of the age format: header with X25519 stanzas and MAC, then the chunks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand_core::CryptoRng;

use super::format::{self, FILE_KEY_BYTES, PAYLOAD_NONCE_BYTES, TAG_BYTES, VERSION_LINE};
use super::{BackupFileKey, BackupRecipient, CHUNK_BYTES, MAX_STANZAS, SealBackupError};
use crate::secret::Secret32;
use crate::suite::x25519::SecretKey;

pub(super) fn write(
    recipients: &[BackupRecipient],
    content: &[u8],
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, SealBackupError> {
    if !(1..=MAX_STANZAS).contains(&recipients.len()) {
        return Err(SealBackupError::Recipients);
    }
    let file_key = BackupFileKey::random(rng);
    let mut file = header(file_key.expose(), recipients, rng)?.into_bytes();
    let mut nonce = [0; PAYLOAD_NONCE_BYTES];
    rng.fill_bytes(&mut nonce);
    file.extend_from_slice(&nonce);
    append_chunks(&format::payload_key(file_key.expose(), &nonce), content, &mut file);
    Ok(file)
}

fn header(
    file_key: &[u8; FILE_KEY_BYTES],
    recipients: &[BackupRecipient],
    rng: &mut dyn CryptoRng,
) -> Result<String, SealBackupError> {
    let mut text = format!("{VERSION_LINE}\n");
    for recipient in recipients {
        text.push_str(&stanza(file_key, recipient, rng)?);
    }
    text.push_str("---");
    let mac = format::mac(file_key, text.as_bytes());
    text.push_str(&format!(" {}\n", STANDARD_NO_PAD.encode(mac)));
    Ok(text)
}

fn stanza(
    file_key: &[u8; FILE_KEY_BYTES],
    recipient: &BackupRecipient,
    rng: &mut dyn CryptoRng,
) -> Result<String, SealBackupError> {
    let ephemeral = SecretKey::random(rng);
    let share = ephemeral.public_key();
    let agreed = ephemeral.diffie_hellman(recipient.public_key()).map_err(|_| SealBackupError::Key)?;
    let wrap_key = format::wrap_key(&agreed, &share, recipient.public_key());
    let mut wrapped = *file_key;
    let tag = format::seal_chunk(&wrap_key, format::chunk_nonce(0, false), &mut wrapped);
    let body = STANDARD_NO_PAD.encode([wrapped, tag].concat());
    Ok(format!("-> X25519 {}\n{body}\n", STANDARD_NO_PAD.encode(share.as_bytes())))
}

/// Chunks of 64 KiB, the last one marked; an empty content is one empty last chunk.
fn append_chunks(key: &Secret32, content: &[u8], file: &mut Vec<u8>) {
    let chunks = content.len().div_ceil(CHUNK_BYTES).max(1);
    file.reserve_exact(content.len() + chunks * TAG_BYTES);
    let mut rest = content;
    for number in 1..=chunks {
        let (chunk, after) = rest.split_at(rest.len().min(CHUNK_BYTES));
        rest = after;
        let start = file.len();
        file.extend_from_slice(chunk);
        let (_, body) = file.split_at_mut(start);
        let tag = format::seal_chunk(key, format::chunk_nonce(number - 1, number == chunks), body);
        file.extend_from_slice(&tag);
    }
}
