//! Hashing, key derivation and the one way of joining fields into bytes (spec 2.0).
//!
//! Every caller gives a label of its own; nothing here knows what the bytes mean.

use hkdf::{Hkdf, HkdfExtract};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::secret::Secret32;

/// `H256`: SHA-256.
#[must_use]
pub fn h256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// `H256(a ‖ b ‖ …)` without joining the parts in memory.
#[must_use]
pub fn h256_parts(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// SHA-256 over what comes piece by piece.
#[derive(Clone, Default)]
pub struct RunningHash(Sha256);

impl RunningHash {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of everything that was taken.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

impl std::fmt::Debug for RunningHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RunningHash")
    }
}

/// `Ext(salt, ikm)`: HKDF-SHA-256 Extract (RFC 5869 §2.2).
#[must_use]
pub fn extract(salt: &[u8], input: &[u8]) -> Secret32 {
    Extract::new(salt).raw(input).finish()
}

/// `Ext` whose input key material is given piece by piece, so that secrets are not joined in a buffer.
pub struct Extract(HkdfExtract<Sha256>);

impl Extract {
    /// Starts with the salt.
    #[must_use]
    pub fn new(salt: &[u8]) -> Self {
        Self(HkdfExtract::new(Some(salt)))
    }

    /// Adds bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.input_ikm(bytes);
        self
    }

    /// Adds `LP(bytes)`.
    #[must_use]
    pub fn lp(self, bytes: &[u8]) -> Self {
        let length = length_prefix(bytes);
        self.raw(&length).raw(bytes)
    }

    /// The pseudorandom key.
    #[must_use]
    pub fn finish(self) -> Secret32 {
        let (mut prk, _) = self.0.finalize();
        let mut secret = Secret32::zero();
        secret.place().copy_from_slice(&prk);
        prk.as_mut_slice().zeroize();
        secret
    }
}

/// `Exp(prk, info, out.len())`: HKDF-SHA-256 Expand (RFC 5869 §2.3) into `out`; `info` is the parts joined.
///
/// At most 8160 bytes come out; the sizes of this protocol are constants far below that.
pub fn expand(prk: &Secret32, info: &[&[u8]], out: &mut [u8]) {
    let done = Hkdf::<Sha256>::from_prk(prk.expose()).is_ok_and(|hkdf| hkdf.expand_multi_info(info, out).is_ok());
    assert!(done, "key derivation asked for more than 8160 bytes");
}

/// `Exp(prk, info, 32)` as a secret born in place.
#[must_use]
pub fn expand_secret(prk: &Secret32, info: &[&[u8]]) -> Secret32 {
    let mut secret = Secret32::zero();
    expand(prk, info, secret.place());
    secret
}

/// HMAC-SHA-256 over the parts joined (RFC 2104).
#[must_use]
pub fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        unreachable!("HMAC takes keys of every length");
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Joins fields into bytes that can be read in one way only: `LP(x) = u32(len(x)) ‖ x`, integers big-endian.
#[derive(Clone, Debug)]
pub struct Lp(Vec<u8>);

impl Lp {
    /// Starts with `label ‖ 0x00`.
    #[must_use]
    pub fn labelled(label: &str) -> Self {
        Self::labelled_with_capacity(label, 256)
    }

    /// The same, with room for `capacity_bytes` of fields.
    #[must_use]
    pub fn labelled_with_capacity(label: &str, capacity_bytes: usize) -> Self {
        let mut bytes = Vec::with_capacity(label.len() + 1 + capacity_bytes);
        bytes.extend_from_slice(label.as_bytes());
        bytes.push(0);
        Self(bytes)
    }

    /// Adds `LP(field)`.
    #[must_use]
    pub fn lp(mut self, field: &[u8]) -> Self {
        self.0.extend_from_slice(&length_prefix(field));
        self.0.extend_from_slice(field);
        self
    }

    /// Adds `LP` of the UTF-8 bytes.
    #[must_use]
    pub fn lp_str(self, field: &str) -> Self {
        self.lp(field.as_bytes())
    }

    /// Adds bytes whose length is fixed by the format.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds one byte.
    #[must_use]
    pub fn u8(self, value: u8) -> Self {
        self.raw(&[value])
    }

    /// Adds a big-endian u16.
    #[must_use]
    pub fn u16(self, value: u16) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// Adds a big-endian u64.
    #[must_use]
    pub fn u64(self, value: u64) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// What has been joined so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The joined bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Every field has a cap far below 4 GiB; a longer one is a bug of the caller and must not be cut.
fn length_prefix(field: &[u8]) -> [u8; 4] {
    let Ok(length) = u32::try_from(field.len()) else {
        unreachable!("a field of 4 GiB passed its cap");
    };
    length.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex_text: &str) -> Vec<u8> {
        hex::decode(hex_text).unwrap()
    }

    /// RFC 5869 appendix A.1, A.2, A.3.
    #[test]
    fn hkdf_gives_the_answers_of_rfc_5869() {
        let range = |from: u8, to: u8| (from..=to).collect::<Vec<_>>();
        let cases = [
            (
                vec![0x0b; 22],
                range(0x00, 0x0c),
                range(0xf0, 0xf9),
                "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
                "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
            ),
            (
                range(0x00, 0x4f),
                range(0x60, 0xaf),
                range(0xb0, 0xff),
                "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
            ),
            (
                vec![0x0b; 22],
                vec![],
                vec![],
                "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
                "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
            ),
        ];
        for (input, salt, info, prk, okm) in cases {
            let key = extract(&salt, &input);
            assert_eq!(key.expose().as_slice(), bytes(prk));
            let mut out = vec![0; okm.len() / 2];
            expand(&key, &[&info], &mut out);
            assert_eq!(out, bytes(okm));
        }
    }

    #[test]
    fn pieces_are_the_same_as_the_whole() {
        let whole = extract(b"salt", b"\0\0\0\x03abcdef");
        assert_eq!(Extract::new(b"salt").lp(b"abc").raw(b"def").finish(), whole);
        let mut split = [0; 64];
        expand(&whole, &[b"in", b"fo"], &mut split);
        let mut joined = [0; 64];
        expand(&whole, &[b"info"], &mut joined);
        assert_eq!(split, joined);
        assert_eq!(h256_parts(&[b"ab", b"c"]), h256(b"abc"));
    }

    #[test]
    fn fields_join_in_one_way_only() {
        let one = Lp::labelled("x").lp(b"ab").lp(b"c").finish();
        let other = Lp::labelled("x").lp(b"a").lp(b"bc").finish();
        assert_ne!(one, other);
        assert_eq!(one, b"x\0\0\0\0\x02ab\0\0\0\x01c");
        let numbers = Lp::labelled("").u8(1).u16(2).u64(3).finish();
        assert_eq!(numbers, bytes("000100020000000000000003"));
    }
}
