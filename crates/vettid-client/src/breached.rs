//! The passwords that stood in published breaches, as a list that fits into an app (ADR 0137).
//!
//! Must never name a password: only hashes are here, cut so short that they give none back.

use vettid_crypto::kdf::h256_parts;
use zeroize::Zeroizing;

/// The list in parts by the first two bits of the hash; made by `cargo xtask breached-passwords`.
const PARTS: [&[u8]; 4] = [
    include_bytes!("breached/0.bin"),
    include_bytes!("breached/1.bin"),
    include_bytes!("breached/2.bin"),
    include_bytes!("breached/3.bin"),
];
/// Fewest code points of a password (spec 2.6), so also of what is left when its end is cut off.
const MIN_CODE_POINTS: usize = 12;
/// Bits of a value below its place in order: one password in 2^10 that stands in no breach is taken for one that does.
const LOW_BITS: u32 = 10;
const HEAD_BYTES: usize = 8;

/// Whether a password in normal form stands in the list, in whatever case and with whatever digits and signs at its end.
#[must_use]
pub fn is_breached(password: &str) -> bool {
    let hash = hash(password);
    let part = PARTS.iter().zip(0_u64..).find(|(_, number)| *number == hash >> 62);
    // A list that cannot be read refuses.
    part.is_none_or(|(bytes, _)| contains(bytes, hash).unwrap_or(true))
}

/// How many passwords the list was made from, counted after their ends were cut off.
#[must_use]
pub fn count() -> u32 {
    PARTS.iter().filter_map(|part| Part::read(part)).map(|part| part.passwords).sum()
}

/// The hash under which a password is looked up; the same for all its forms.
#[must_use]
pub fn hash(password: &str) -> u64 {
    let lower = Zeroizing::new(password.to_lowercase());
    let stem = lower.trim_end_matches(|c: char| !c.is_alphabetic());
    let known = if stem.chars().count() >= MIN_CODE_POINTS { stem } else { &lower };
    let digest = h256_parts(&[b"vettid-breached-v1\0", known.as_bytes()]);
    digest.iter().take(8).fold(0, |hash, &byte| hash << 8 | u64::from(byte))
}

/// One part of the list: the hashes that share their first two bits, each once.
///
/// `u32 passwords ‖ u32 values`, big-endian, then the sorted values as differences in Golomb-Rice code, padded with ones.
#[must_use]
pub fn encode(hashes: &[u64]) -> Vec<u8> {
    let passwords = u32::try_from(hashes.len()).unwrap_or(u32::MAX);
    let mut values: Vec<u64> = hashes.iter().map(|&hash| value(hash, passwords)).collect();
    values.sort_unstable();
    values.dedup();
    let mut bits = Vec::new();
    let mut former = 0;
    for value in &values {
        let difference = value - former;
        bits.extend((0..difference >> LOW_BITS).map(|_| true));
        bits.push(false);
        bits.extend((0..LOW_BITS).rev().map(|bit| difference >> bit & 1 == 1));
        former = *value;
    }
    let counts = [passwords, u32::try_from(values.len()).unwrap_or(u32::MAX)];
    let packed =
        bits.chunks(8).map(|chunk| (0..8).fold(0, |byte, at| byte << 1 | u8::from(*chunk.get(at).unwrap_or(&true))));
    counts.iter().flat_map(|count| count.to_be_bytes()).chain(packed).collect()
}

/// Where a hash stands in a part of so many passwords.
fn value(hash: u64, passwords: u32) -> u64 {
    let places = u128::from(passwords) << LOW_BITS;
    let place = (u128::from(hash << 2) * places) >> 64;
    u64::try_from(place).unwrap_or(u64::MAX)
}

/// Whether a part has the value of a hash; nothing if the part is damaged.
fn contains(bytes: &[u8], hash: u64) -> Option<bool> {
    let mut part = Part::read(bytes)?;
    let sought = value(hash, part.passwords);
    for _ in 0..part.values {
        let value = part.next()?;
        if value >= sought {
            return Some(value == sought);
        }
    }
    Some(false)
}

/// A part while it is read.
struct Part<'a> {
    passwords: u32,
    values: u32,
    bits: Bits<'a>,
    former: u64,
}

impl<'a> Part<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let (passwords, values) = head.split_at_checked(4)?;
        let number = |bytes: &[u8]| Some(u32::from_be_bytes(bytes.try_into().ok()?));
        let bits = Bits { bytes: rest.iter(), byte: 0, left: 0 };
        Some(Self { passwords: number(passwords)?, values: number(values)?, bits, former: 0 })
    }

    /// The next value; nothing at the end.
    fn next(&mut self) -> Option<u64> {
        let mut difference = 0;
        while self.bits.next()? {
            difference += 1;
        }
        for _ in 0..LOW_BITS {
            difference = difference << 1 | u64::from(self.bits.next()?);
        }
        self.former += difference;
        Some(self.former)
    }
}

/// Bits of a row of bytes, the highest first.
struct Bits<'a> {
    bytes: std::slice::Iter<'a, u8>,
    byte: u8,
    left: u32,
}

impl Bits<'_> {
    fn next(&mut self) -> Option<bool> {
        if self.left == 0 {
            self.byte = *self.bytes.next()?;
            self.left = 8;
        }
        self.left -= 1;
        Some(self.byte >> self.left & 1 == 1)
    }
}

#[cfg(test)]
mod tests;
