//! Files between connected members: what is said of a file, and its sealed pieces on their way (docs/files.md). A name that a
//! peer chose must never become a path, and a media type is shown, never trusted.

use crate::base64::{Base64, decode, encode};
use crate::digest::Digest;
use crate::id::{ConnectionId, EventId, FileId};
use crate::messaging::Direction;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Largest file in bytes (100 MiB).
pub const MAX_FILE_BYTES: u64 = 100 * 1024 * 1024;
/// Content in one chunk of the sealed form, in bytes (spec 2.10).
pub const CHUNK_BYTES: usize = 64 * 1024;
/// What sealing adds to each chunk, in bytes.
pub const CHUNK_TAG_BYTES: usize = 16;
/// Chunks in one piece: as many as fit into an envelope.
pub const PIECE_CHUNKS: usize = 8;
/// Content in one piece, in bytes; only the last piece holds less.
pub const PIECE_BYTES: usize = PIECE_CHUNKS * CHUNK_BYTES;
/// Largest sealed piece, in bytes.
pub const MAX_SEALED_PIECE_BYTES: usize = PIECE_CHUNKS * (CHUNK_BYTES + CHUNK_TAG_BYTES);
/// Longest name of a file, in bytes.
pub const MAX_NAME_BYTES: usize = 255;
/// Longest media type, in bytes.
pub const MAX_MEDIA_TYPE_BYTES: usize = 127;
/// The media type of a file about which nothing is known.
pub const UNKNOWN_MEDIA_TYPE: &str = "application/octet-stream";
/// Files up to this size are fetched from the peer at once; larger ones wait for their owner's word. In bytes (16 MiB).
pub const FETCHED_AT_ONCE_BYTES: u64 = 16 * 1024 * 1024;
/// Most files in one list.
pub const MAX_LISTED_FILES: usize = 100;

/// Pieces of a file of this size. An empty file has one empty piece.
#[must_use]
pub fn pieces_of(size_bytes: u64) -> u32 {
    let pieces = size_bytes.div_ceil(PIECE_BYTES as u64).max(1);
    u32::try_from(pieces).unwrap_or(u32::MAX)
}

/// Bytes of the content of a file of this size that lie in one piece; `None` if it has no such piece.
#[must_use]
pub fn content_of_piece(size_bytes: u64, index: u32) -> Option<usize> {
    let from = u64::from(index) * PIECE_BYTES as u64;
    let rest = size_bytes.saturating_sub(from).min(PIECE_BYTES as u64);
    (index < pieces_of(size_bytes)).then(|| usize::try_from(rest).unwrap_or(PIECE_BYTES))
}

/// Bytes of one sealed piece of a file of this size; `None` if it has no such piece.
#[must_use]
pub fn sealed_piece_bytes(size_bytes: u64, index: u32) -> Option<usize> {
    let content = content_of_piece(size_bytes, index)?;
    Some(content + content.div_ceil(CHUNK_BYTES).max(1) * CHUNK_TAG_BYTES)
}

/// Bytes of all sealed pieces of a file of this size.
#[must_use]
pub fn sealed_bytes(size_bytes: u64) -> u64 {
    size_bytes + size_bytes.div_ceil(CHUNK_BYTES as u64).max(1) * CHUNK_TAG_BYTES as u64
}

/// Whether a text may be the name of a file: a plain name of one part, that no system reads as anything else.
#[must_use]
pub fn is_file_name(name: &str) -> bool {
    let fits = (1..=MAX_NAME_BYTES).contains(&name.len());
    let ends_plainly = !name.starts_with(['.', ' ', '-', '~']) && !name.ends_with(['.', ' ']);
    fits && ends_plainly && name.chars().all(is_plain)
}

/// A name that [`is_file_name`] takes, as near to the given one as that goes: without folders, and without anything that steers.
#[must_use]
pub fn plain_file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).find(|part| !part.trim_matches(['.', ' ']).is_empty()).unwrap_or_default();
    let kept: String = last.chars().map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
    let start = kept.trim_start_matches(['.', ' ', '-', '~']);
    let mut end = start.len().min(MAX_NAME_BYTES);
    while !start.is_char_boundary(end) {
        end -= 1;
    }
    match start.get(..end).unwrap_or_default().trim_end_matches(['.', ' ']) {
        "" => "file".to_owned(),
        plain => plain.to_owned(),
    }
}

/// A character that neither divides paths, nor steers a terminal, nor reorders text.
fn is_plain(letter: char) -> bool {
    let steers = matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}');
    !letter.is_control() && !steers && !matches!(letter, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')
}

/// Whether a text has the form of a media type: `type/subtype`, without parameters (RFC 6838).
#[must_use]
pub fn is_media_type(text: &str) -> bool {
    let is_part = |part: &str| {
        let starts = part.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        starts && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.len() <= MAX_MEDIA_TYPE_BYTES && text.split_once('/').is_some_and(|(one, two)| is_part(one) && is_part(two))
}

/// What opens one file: its key (16 bytes) and the nonce of its chunks (16 bytes). Shown by no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct FileKey([u8; 32]);

impl FileKey {
    /// Wraps key and nonce.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Key and nonce. Never log them.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey")
    }
}

impl Serialize for FileKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for FileKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = decode(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)?;
        bytes.try_into().map(Self).map_err(|_| serde::de::Error::custom("a file key has 32 bytes"))
    }
}

/// Everything that it takes to fetch, check and open one file. Travels inside the message that carries the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileManifest {
    /// Names the file for both sides of this connection.
    pub file_id: FileId,
    /// Its name, which says nothing about where it goes.
    pub name: String,
    /// What its sender says it is.
    pub media_type: String,
    /// Size of the content in bytes, at most [`MAX_FILE_BYTES`].
    pub size_bytes: u64,
    /// SHA-256 of the content.
    pub sha256: Digest,
    /// Opens the pieces.
    pub key: FileKey,
    /// SHA-256 of each sealed piece, in order.
    pub pieces: Vec<Digest>,
}

impl FileManifest {
    /// Whether name, type, size and number of pieces fit each other and the limits.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_shown = is_file_name(&self.name) && is_media_type(&self.media_type);
        let has_all = u32::try_from(self.pieces.len()) == Ok(pieces_of(self.size_bytes));
        is_shown && self.size_bytes <= MAX_FILE_BYTES && has_all
    }

    /// What is shown of it.
    #[must_use]
    pub fn summary(&self) -> FileSummary {
        FileSummary {
            file_id: self.file_id,
            name: self.name.clone(),
            media_type: self.media_type.clone(),
            size_bytes: self.size_bytes,
            sha256: self.sha256,
        }
    }
}

/// What a list of messages shows of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSummary {
    /// Names the file for both sides of this connection.
    pub file_id: FileId,
    /// Its name.
    pub name: String,
    /// What its sender says it is.
    pub media_type: String,
    /// Size of the content in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the content.
    pub sha256: Digest,
}

/// Owner's command: prepare to send a file. The same file for the same connection goes on where it was interrupted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginFile {
    /// To whom.
    pub connection_id: ConnectionId,
    /// Its name, see [`is_file_name`].
    pub name: String,
    /// What it is, see [`is_media_type`].
    pub media_type: String,
    /// Size of the content in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the content.
    pub sha256: Digest,
    /// A fresh key; not used if the file was begun before.
    pub key: FileKey,
}

/// The vault takes the pieces of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileBegun {
    /// Names the file.
    pub file_id: FileId,
    /// What its pieces are to be sealed with: the fresh key, or that of the earlier begin.
    pub key: FileKey,
}

/// Names a file that is being prepared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadRef {
    /// The file.
    pub file_id: FileId,
}

/// How far a file is prepared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadStatus {
    /// The pieces that the vault does not have.
    pub missing: Vec<u32>,
}

/// A sealed piece: from app to vault, and from vault to vault when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilePiece {
    /// The file.
    pub file_id: FileId,
    /// Which piece, from 0.
    pub index: u32,
    /// The sealed bytes, at most [`MAX_SEALED_PIECE_BYTES`].
    pub bytes: Base64,
}

/// Names one piece of a file in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PieceRef {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The message that carries the file.
    pub message_id: EventId,
    /// Which piece, from 0.
    pub index: u32,
}

/// The sealed bytes of one piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PieceBytes {
    /// At most [`MAX_SEALED_PIECE_BYTES`].
    pub bytes: Base64,
}

/// A vault asks the peer's vault for one piece of a file that was sent on this connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskPiece {
    /// The file.
    pub file_id: FileId,
    /// Which piece, from 0.
    pub index: u32,
}

/// The sender's vault holds a file no more, or never sent it on this connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileGone {
    /// The file.
    pub file_id: FileId,
}

/// The sender's vault has every piece of a file: the receiver of this event need not keep it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileReceived {
    /// The file.
    pub file_id: FileId,
}

/// Asks for the files of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListFiles {
    /// The connection.
    pub connection_id: ConnectionId,
}

/// The files of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileList {
    /// Newest first, at most [`MAX_LISTED_FILES`].
    pub files: Vec<FileView>,
}

/// A file of a message, and how far it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileView {
    /// The message that carries it.
    pub message_id: EventId,
    /// Who sent it.
    pub direction: Direction,
    /// The file.
    pub file: FileSummary,
    /// How far it came.
    pub state: FileState,
    /// So many pieces are with the receiver's vault, as far as is known here.
    pub pieces_there: u32,
    /// So many it has.
    pub pieces: u32,
    /// What stands in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<FileProblem>,
}

/// How far a file came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// It waits for the word of its receiver.
    Waiting,
    /// The receiver's vault fetches it.
    OnItsWay,
    /// The receiver's vault has all of it.
    Here,
    /// It will not come.
    Failed,
}

/// Why a file waits or will not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileProblem {
    /// The vault has no room for it: remove other files, then fetch it.
    NoRoom,
    /// The sender does not hold it any more.
    Gone,
    /// The connection ended before it was there.
    Ended,
    /// Nobody fetched it in time.
    Expired,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_fit_each_other() {
        for (size, pieces, last) in [
            (0, 1, 16),
            (1, 1, 17),
            (65_536, 1, 65_552),
            (65_537, 1, 65_569),
            (524_288, 1, 524_416),
            (524_289, 2, 17),
            (MAX_FILE_BYTES, 200, 524_416),
        ] {
            assert_eq!(pieces_of(size), pieces, "{size}");
            assert_eq!(sealed_piece_bytes(size, pieces - 1), Some(last), "{size}");
            assert_eq!(sealed_piece_bytes(size, pieces), None);
            let all: usize = (0..pieces).map(|index| sealed_piece_bytes(size, index).unwrap()).sum();
            assert_eq!(u64::try_from(all), Ok(sealed_bytes(size)));
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_none() {
        for wrong in [
            "",
            ".",
            "..",
            "a/b",
            "/etc/passwd",
            "..\\a",
            "a\0",
            "a\n",
            ".bashrc",
            "a.",
            "a ",
            "-rf",
            "~",
            "C:a",
            "a\u{202e}b",
        ] {
            assert!(!is_file_name(wrong), "{wrong:?}");
            assert!(is_file_name(&plain_file_name(wrong)), "{wrong:?}");
        }
        assert!(!is_file_name(&"a".repeat(256)));
        for (given, plain) in [
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\x\\photo.jpg", "photo.jpg"),
            (".bashrc", "bashrc"),
            ("a/..", "a"),
            ("..", "file"),
            ("Zoë's photo 1.jpg", "Zoë's photo 1.jpg"),
        ] {
            assert_eq!(plain_file_name(given), plain);
        }
    }

    #[test]
    fn media_types_have_one_form() {
        assert!(["image/png", "application/vnd.a+json", UNKNOWN_MEDIA_TYPE].into_iter().all(is_media_type));
        assert!(!["", "image", "image/", "/png", "a/b/c", "a/b;c=d", "a /b", "ä/b"].into_iter().any(is_media_type));
    }

    #[test]
    fn a_key_is_not_shown() {
        let key = FileKey::from_bytes([7; 32]);
        assert_eq!(format!("{key:?}"), "FileKey");
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<FileKey>(&text).unwrap(), key);
        assert!(serde_json::from_str::<FileKey>("\"AAAA\"").is_err());
    }

    proptest! {
        /// Whatever a peer calls a file: the plain name is one part of a path, and stays as it is when made plain again.
        #[test]
        fn every_plain_name_is_a_name(name in any::<String>()) {
            let plain = plain_file_name(&name);
            prop_assert!(is_file_name(&plain), "{plain:?}");
            prop_assert_eq!(plain_file_name(&plain), plain.clone());
            prop_assert_eq!(std::path::Path::new(&plain).components().count(), 1);
            if is_file_name(&name) {
                prop_assert_eq!(plain, name);
            }
        }
    }
}
