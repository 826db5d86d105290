//! The rows in which a database keeps the state. A row's name is a keyed hash of its key and its content is sealed, so that whoever
//! reads the database learns neither who the members are nor what is known of them.

use crate::random;
use std::fmt;
use vettid_crypto::at_rest::{self, StorageKey};
use vettid_crypto::kdf::{Lp, expand_secret, hmac};
use vettid_crypto::secret::{Secret32, SecretBytes};
use vettid_store::state::RowName;

const LABEL: &str = "vettid-gateway-row-v1";
const AAD: &[u8] = b"vettid-gateway row\0";
const HEAD_AAD: &[u8] = b"vettid-gateway state head";
/// Contents are filled up to a multiple of this, so that their length says little.
const STEP_BYTES: usize = 256;

/// Stands for one content of one row in the sum over all rows.
pub(super) type Mark = [u8; 32];

/// The keys of all rows, from the key of the state.
pub(super) struct RowKeys {
    seal: StorageKey,
    names: Secret32,
    marks: Secret32,
}

impl fmt::Debug for RowKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowKeys")
    }
}

impl RowKeys {
    pub(super) fn new(key: StorageKey) -> Self {
        let root = Secret32::copied_from(key.expose());
        let names = expand_secret(&root, &[b"vettid-gateway row names"]);
        let marks = expand_secret(&root, &[b"vettid-gateway row marks"]);
        Self { seal: key, names, marks }
    }

    /// The key of everything, for what was sealed before there were rows.
    pub(super) fn storage_key(&self) -> &StorageKey {
        &self.seal
    }

    /// The name under which a database knows a key.
    pub(super) fn name(&self, key: &str) -> RowName {
        hmac(self.names.expose(), &[key.as_bytes()])
    }

    /// What stands for this content in this row. Without the key it can be neither made nor foreseen.
    pub(super) fn mark(&self, name: &RowName, sealed: &[u8]) -> Mark {
        hmac(self.marks.expose(), &[name, sealed])
    }

    /// Seals a value with its key, bound to its row.
    pub(super) fn seal(&self, key: &str, value: &[u8]) -> Vec<u8> {
        let length = (LABEL.len() + 1 + 8 + key.len() + value.len()).next_multiple_of(STEP_BYTES);
        let mut plain = Lp::labelled_with_capacity(LABEL, length).lp_str(key).lp(value).finish();
        plain.resize(length, 0);
        let plain = SecretBytes::new(plain);
        at_rest::seal(&self.seal, &aad(&self.name(key)), plain.expose(), &mut random::system())
    }

    /// Opens a row: its key and its value.
    pub(super) fn open(&self, name: &RowName, sealed: &[u8]) -> Option<(String, SecretBytes)> {
        let plain = at_rest::open(&self.seal, &aad(name), sealed).ok()?;
        parts(plain.expose()).filter(|(key, _)| self.name(key) == *name)
    }

    /// Seals what vouches for all rows.
    pub(super) fn seal_head(&self, head: &[u8]) -> Vec<u8> {
        at_rest::seal(&self.seal, HEAD_AAD, head, &mut random::system())
    }

    /// Opens what vouches for all rows.
    pub(super) fn open_head(&self, sealed: &[u8]) -> Option<SecretBytes> {
        at_rest::open(&self.seal, HEAD_AAD, sealed).ok()
    }
}

fn aad(name: &RowName) -> Vec<u8> {
    [AAD, name].concat()
}

fn parts(plain: &[u8]) -> Option<(String, SecretBytes)> {
    let mut rest = plain.strip_prefix(LABEL.as_bytes())?.strip_prefix(&[0])?;
    let key = String::from_utf8(field(&mut rest)?.to_vec()).ok()?;
    let value = SecretBytes::copied_from(field(&mut rest)?);
    rest.iter().all(|&byte| byte == 0).then_some((key, value))
}

fn field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let (field, tail) = tail.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = tail;
    Some(field)
}
