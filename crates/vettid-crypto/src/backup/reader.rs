//! Reads files of the age format, in its one spelling only. Everything here comes from outside: sizes and counts are
//! capped before any key is used, and nothing is given out before the last chunk has verified.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::format::{self, FILE_KEY_BYTES, PAYLOAD_NONCE_BYTES, TAG_BYTES, VERSION_LINE};
use super::{BackupFileKey, CHUNK_BYTES, MAX_HEADER_BYTES, MAX_STANZAS};
use crate::committed::Undecryptable;
use crate::secret::SecretBytes;
use crate::suite::x25519::{PublicKey, SecretKey};

/// Full lines of a stanza body; a shorter one ends it.
const LINE_BYTES: usize = 64;

/// A file, taken apart.
pub(super) struct File<'a> {
    stanzas: Vec<Stanza>,
    /// All bytes that the MAC covers.
    covered: &'a [u8],
    mac: [u8; 32],
    nonce: &'a [u8; PAYLOAD_NONCE_BYTES],
    chunks: &'a [u8],
}

/// A file key, wrapped for one X25519 recipient.
struct Stanza {
    share: PublicKey,
    wrapped: [u8; FILE_KEY_BYTES],
    tag: [u8; TAG_BYTES],
}

impl<'a> File<'a> {
    /// Takes a file apart, or only its header and nonce.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Undecryptable> {
        let mut lines = Lines { bytes, at: 0 };
        if lines.next()? != VERSION_LINE.as_bytes() {
            return Err(Undecryptable);
        }
        let (mut stanzas, mut count) = (Vec::new(), 0);
        loop {
            let start = lines.at;
            let line = lines.next()?;
            if let Some(mac) = line.strip_prefix(b"--- ") {
                let covered = bytes.get(..start + b"---".len()).ok_or(Undecryptable)?;
                let payload = bytes.get(lines.at..).ok_or(Undecryptable)?;
                let (nonce, chunks) = payload.split_first_chunk().ok_or(Undecryptable)?;
                return Ok(Self { stanzas, covered, mac: base64_array(mac)?, nonce, chunks });
            }
            count += 1;
            if count > MAX_STANZAS {
                return Err(Undecryptable);
            }
            stanzas.extend(stanza(line, &mut lines)?);
        }
    }

    /// Finds the stanza of this key; the MAC then proves the whole header.
    pub(super) fn unwrap(&self, key: &SecretKey) -> Result<BackupFileKey, Undecryptable> {
        for stanza in &self.stanzas {
            let agreed = key.diffie_hellman(&stanza.share).map_err(|_| Undecryptable)?;
            let wrap_key = format::wrap_key(&agreed, &stanza.share, &key.public_key());
            let mut file_key = Zeroizing::new(stanza.wrapped);
            if format::open_chunk(&wrap_key, format::chunk_nonce(0, false), file_key.as_mut_slice(), &stanza.tag)
                .is_ok()
            {
                let file_key = BackupFileKey::from_bytes(&file_key);
                return self.belongs_to(&file_key).map(|()| file_key);
            }
        }
        Err(Undecryptable)
    }

    /// The content, if all of it is genuine.
    pub(super) fn content(&self, file_key: &BackupFileKey) -> Result<SecretBytes, Undecryptable> {
        self.belongs_to(file_key)?;
        let key = format::payload_key(file_key.expose(), self.nonce);
        let chunks: Vec<_> = self.chunks.chunks(CHUNK_BYTES + TAG_BYTES).collect();
        // A content is shorter than its file, so the buffer never moves and leaves no copy behind.
        let mut content = Zeroizing::new(Vec::with_capacity(self.chunks.len()));
        for (number, chunk) in chunks.iter().enumerate() {
            let (body, tag) = chunk.split_last_chunk().ok_or(Undecryptable)?;
            if body.is_empty() && number > 0 {
                return Err(Undecryptable);
            }
            let start = content.len();
            content.extend_from_slice(body);
            let (_, place) = content.split_at_mut(start);
            format::open_chunk(&key, format::chunk_nonce(number, number + 1 == chunks.len()), place, tag)?;
        }
        if chunks.is_empty() { Err(Undecryptable) } else { Ok(SecretBytes::new(std::mem::take(&mut *content))) }
    }

    fn belongs_to(&self, file_key: &BackupFileKey) -> Result<(), Undecryptable> {
        let genuine = format::mac(file_key.expose(), self.covered).ct_eq(&self.mac);
        if genuine.into() { Ok(()) } else { Err(Undecryptable) }
    }
}

/// Lines of a header; none ends after [`MAX_HEADER_BYTES`].
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<&'a [u8], Undecryptable> {
        let head = self.bytes.get(..MAX_HEADER_BYTES).unwrap_or(self.bytes);
        let rest = head.get(self.at..).ok_or(Undecryptable)?;
        let length = rest.iter().position(|byte| *byte == b'\n').ok_or(Undecryptable)?;
        self.at += length + 1;
        rest.get(..length).ok_or(Undecryptable)
    }
}

/// Reads a stanza from its first line; gives nothing for a kind of recipient that this reader does not know.
fn stanza(first: &[u8], lines: &mut Lines<'_>) -> Result<Option<Stanza>, Undecryptable> {
    let words: Vec<_> = first.strip_prefix(b"-> ").ok_or(Undecryptable)?.split(|byte| *byte == b' ').collect();
    if words.iter().any(|word| word.is_empty() || !word.iter().all(u8::is_ascii_graphic)) {
        return Err(Undecryptable);
    }
    let body = stanza_body(lines)?;
    match words.as_slice() {
        [b"X25519", share] => {
            let share = PublicKey::from_bytes(base64_array(share)?);
            let (wrapped, tag) = body.split_first_chunk().ok_or(Undecryptable)?;
            Ok(Some(Stanza { share, wrapped: *wrapped, tag: tag.try_into().map_err(|_| Undecryptable)? }))
        }
        // A passphrase stands alone in a file, and this is no reader for one.
        [b"X25519", ..] | [b"scrypt", ..] => Err(Undecryptable),
        _ => Ok(None),
    }
}

fn stanza_body(lines: &mut Lines<'_>) -> Result<Vec<u8>, Undecryptable> {
    let mut text = Vec::new();
    loop {
        let line = lines.next()?;
        text.extend_from_slice(line);
        match line.len() {
            LINE_BYTES => {}
            0..LINE_BYTES => return STANDARD_NO_PAD.decode(text).map_err(|_| Undecryptable),
            _ => return Err(Undecryptable),
        }
    }
}

fn base64_array<const N: usize>(text: &[u8]) -> Result<[u8; N], Undecryptable> {
    STANDARD_NO_PAD.decode(text).map_err(|_| Undecryptable)?.try_into().map_err(|_| Undecryptable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::BackupKey;
    use crate::secret::Secret32;

    const FILE_KEY: [u8; FILE_KEY_BYTES] = [5; FILE_KEY_BYTES];
    const NONCE: [u8; PAYLOAD_NONCE_BYTES] = [6; PAYLOAD_NONCE_BYTES];

    fn key() -> BackupKey {
        BackupKey::from_secret(Secret32::from_bytes([1; 32]))
    }

    /// The file key, wrapped for `key()` by this ephemeral seed.
    fn stanza_of(seed: u8) -> String {
        let ephemeral = SecretKey::from_secret(Secret32::from_bytes([seed; 32]));
        let recipient = key().secret.public_key();
        let agreed = ephemeral.diffie_hellman(&recipient).unwrap();
        let wrap_key = format::wrap_key(&agreed, &ephemeral.public_key(), &recipient);
        let mut wrapped = FILE_KEY;
        let tag = format::seal_chunk(&wrap_key, format::chunk_nonce(0, false), &mut wrapped);
        let share = STANDARD_NO_PAD.encode(ephemeral.public_key().as_bytes());
        format!("-> X25519 {share}\n{}\n", STANDARD_NO_PAD.encode([wrapped, tag].concat()))
    }

    /// A file whose MAC and chunks are right whatever its header says, so that only the form can be refused.
    fn file(stanzas: &str, chunks: &[(&[u8], bool)]) -> Vec<u8> {
        let head = format!("{VERSION_LINE}\n{stanzas}---");
        let mac = STANDARD_NO_PAD.encode(format::mac(&FILE_KEY, head.as_bytes()));
        let mut file = format!("{head} {mac}\n").into_bytes();
        file.extend_from_slice(&NONCE);
        let payload_key = format::payload_key(&FILE_KEY, &NONCE);
        for (number, (chunk, last)) in chunks.iter().enumerate() {
            let mut body = chunk.to_vec();
            let tag = format::seal_chunk(&payload_key, format::chunk_nonce(number, *last), &mut body);
            file.extend_from_slice(&body);
            file.extend_from_slice(&tag);
        }
        file
    }

    fn opens(stanzas: &str, chunks: &[(&[u8], bool)]) -> bool {
        let file = file(stanzas, chunks);
        let parsed = File::parse(&file);
        parsed.and_then(|file| file.content(&file.unwrap(&key().secret)?)).is_ok()
    }

    const LAST: &[(&[u8], bool)] = &[(b"content", true)];

    #[test]
    fn strangers_in_a_header_are_passed_over() {
        let stanza = stanza_of(2);
        let body_of_full_lines = format!("-> x y\n{}\n\n", "A".repeat(64));
        for stranger in ["-> x\n\n", "-> x y z\nAA\n", "-> X25519-grease !~\n\n", &body_of_full_lines] {
            assert!(opens(&format!("{stranger}{stanza}"), LAST), "{stranger}");
            assert!(opens(&format!("{stanza}{stranger}"), LAST), "{stranger}");
        }
    }

    #[test]
    fn headers_have_one_form() {
        let stanza = stanza_of(2);
        assert!(opens(&stanza, LAST));
        let mut low_order = format!("-> X25519 {}\n{}\n", "A".repeat(43), "A".repeat(43));
        low_order.push_str(&stanza);
        let cases = [
            format!("{stanza}-> scrypt AAAAAAAAAAAAAAAAAAAAAA 18\n{}\n", "A".repeat(43)),
            format!("{stanza}-> X25519\n{}\n", "A".repeat(43)),
            stanza.replacen("\n", " more\n", 1),
            stanza.replacen("X25519", "x25519", 1),
            stanza.replacen("-> ", "->  ", 1),
            stanza.replacen("-> ", "->", 1),
            stanza.replacen('\n', "\r\n", 1),
            stanza.replacen("\n", "=\n", 1),
            format!("{stanza}-> x\n{}\n", "A".repeat(65)),
            format!("{stanza}-> x\n{}\n", "A".repeat(64)),
            format!("{stanza}-> x\nAB\n"),
            format!("{stanza}-> \u{e9}\n\n"),
            format!("{stanza}\n"),
            low_order,
            String::new(),
        ];
        for stanzas in cases {
            assert!(!opens(&stanzas, LAST), "{stanzas}");
        }
    }

    #[test]
    fn counts_and_sizes_are_capped() {
        let stanza = stanza_of(2);
        let strangers = |count: usize| format!("{}{stanza}", "-> x\n\n".repeat(count));
        assert!(opens(&strangers(MAX_STANZAS - 1), LAST));
        assert!(!opens(&strangers(MAX_STANZAS), LAST));
        let mac_line_bytes = "--- ".len() + 43 + "\n".len();
        let frame_bytes = VERSION_LINE.len() + "\n-> x \n\n".len() + stanza.len() + mac_line_bytes;
        let padded = |length: usize| format!("-> x {}\n\n{stanza}", "a".repeat(length));
        assert!(opens(&padded(MAX_HEADER_BYTES - frame_bytes), LAST));
        assert!(!opens(&padded(MAX_HEADER_BYTES - frame_bytes + 1), LAST));
    }

    #[test]
    fn only_the_last_chunk_is_marked_short_or_alone_empty() {
        let (stanza, full) = (stanza_of(2), vec![7; CHUNK_BYTES]);
        let good: [&[(&[u8], bool)]; 4] =
            [&[(b"", true)], &[(&full, true)], &[(&full, false), (&full, true)], &[(&full, false), (b"x", true)]];
        for chunks in good {
            assert!(opens(&stanza, chunks), "{} chunks", chunks.len());
        }
        let bad: [&[(&[u8], bool)]; 6] = [
            &[],
            &[(b"x", false)],
            &[(&full, false)],
            &[(&full, false), (b"", true)],
            &[(&full, true), (b"x", true)],
            &[(&full, false), (&full, false), (b"x", false)],
        ];
        for chunks in bad {
            assert!(!opens(&stanza, chunks), "{} chunks", chunks.len());
        }
    }
}
