//! The form of a value on the disk: regions of equal size that are written in place, one after the other. A region that was
//! cut off while it was written does not open; the other one has the value of before. Must never write over the newest one.

use vettid_crypto::at_rest::{self, SealedFileError, StorageKey};
use vettid_crypto::secret::SecretBytes;

/// Begins a region that holds something: `MAGIC ‖ u32 length ‖ sealed(u64 sequence ‖ value)`. One that holds nothing begins with
/// zeros.
const MAGIC: &[u8; 8] = b"VREGION\x01";
const HEADER_BYTES: usize = MAGIC.len() + 4;
const SEQUENCE_BYTES: usize = 8;
/// No region is smaller, and each is a multiple of this: no two share a block of the disk.
const BLOCK_BYTES: usize = 16 * 1024;

/// What a file holds.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing, or nothing any more.
    Nothing,
    /// A value.
    Value(Newest),
    /// A value as earlier versions of this program wrote it: the whole file is one.
    Whole(SecretBytes),
}

/// The newest value of a file.
#[derive(Debug)]
pub(super) struct Newest {
    /// In which region.
    pub(super) region: usize,
    /// Rises with each value.
    pub(super) sequence: u64,
    /// Its bytes in the region.
    pub(super) used: usize,
    /// The value.
    pub(super) value: SecretBytes,
    /// Another region holds an older value: whoever wrote this one ended before it was known to be on the disk.
    pub(super) is_unsettled: bool,
}

/// Reads the content of a file with so many regions.
///
/// # Errors
/// [`SealedFileError`] if there is something, and nothing of it opens.
pub(super) fn read(key: &StorageKey, purpose: &str, content: &[u8], regions: usize) -> Result<Found, SealedFileError> {
    if at_rest::is_sealed_file(content) {
        return at_rest::open_file(key, purpose, content).map(Found::Whole);
    }
    let mut found: Option<Newest> = None;
    let mut unopened = None;
    for (region, bytes) in content.chunks(size_of_each(content.len(), regions)).take(regions).enumerate() {
        match open(key, purpose, bytes) {
            Ok(None) => {}
            Ok(Some(Opened { sequence, used, value })) => {
                let is_unsettled = found.is_some();
                let newest = found.take().filter(|other| other.sequence >= sequence);
                let newest = newest.unwrap_or(Newest { region, sequence, used, value, is_unsettled });
                found = Some(Newest { is_unsettled, ..newest });
            }
            Err(error) => unopened = Some(error),
        }
    }
    match (found, unopened) {
        (Some(newest), _) => Ok(Found::Value(newest)),
        (None, Some(error)) => Err(error),
        (None, None) => Ok(Found::Nothing),
    }
}

/// Bytes of each region in a file of this length.
pub(super) fn size_of_each(length: usize, regions: usize) -> usize {
    (length / regions.max(1)).max(1)
}

/// A region that holds something.
struct Opened {
    sequence: u64,
    used: usize,
    value: SecretBytes,
}

/// `None`: nothing is in it.
fn open(key: &StorageKey, purpose: &str, bytes: &[u8]) -> Result<Option<Opened>, SealedFileError> {
    let header = bytes.get(..HEADER_BYTES).ok_or(SealedFileError::Format)?;
    if header.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let used = used(bytes).ok_or(SealedFileError::Format)?;
    let sealed = bytes.get(HEADER_BYTES..used).ok_or(SealedFileError::Format)?;
    let opened = at_rest::open_file(key, purpose, sealed)?;
    let (sequence, value) = opened.expose().split_first_chunk::<SEQUENCE_BYTES>().ok_or(SealedFileError::Format)?;
    let (sequence, value) = (u64::from_be_bytes(*sequence), SecretBytes::copied_from(value));
    Ok(Some(Opened { sequence, used, value }))
}

/// How many bytes of a region are in use, as it says itself.
fn used(bytes: &[u8]) -> Option<usize> {
    let (length, _) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
    Some(HEADER_BYTES + usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// What has to be sealed for a region.
pub(super) fn plaintext(sequence: u64, value: &[u8]) -> SecretBytes {
    SecretBytes::new([sequence.to_be_bytes().as_slice(), value].concat())
}

/// The bytes of a region; what follows them in it means nothing. `None` if it is larger than any.
pub(super) fn framed(sealed: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(sealed.len()).ok()?.to_be_bytes();
    Some([MAGIC.as_slice(), &length, sealed].concat())
}

/// Bytes of each region of a fresh file that is to hold these, with room to grow.
pub(super) fn size_for(framed: usize) -> usize {
    (framed + framed / 2).next_multiple_of(BLOCK_BYTES)
}

/// Where a region begins in its file.
pub(super) fn start(region: usize, size: usize) -> u64 {
    u64::try_from(region * size).unwrap_or(u64::MAX)
}
