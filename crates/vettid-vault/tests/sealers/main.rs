//! The sealers on real devices in software: softhsm2 as a PKCS#11 token, swtpm as a TPM 2.0. They need these programs, so
//! `cargo xtask test` runs them apart and says so where it cannot.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests may fail loudly")]

mod token;
#[cfg(feature = "tpm")]
mod tpm;

use getrandom::SysRng;
use rand_core::UnwrapErr;
use std::path::Path;
use vettid_vault::host::sealer::{Sealer, SealerConfig, SealerError};
use vettid_vault::host::storage_key::{StorageKeyError, StorageKeys};
use vettid_wire::id::MemberId;
use vettid_wire::time::Timestamp;

fn rng() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

fn open(config: &SealerConfig, is_new: bool) -> Box<dyn Sealer> {
    config.open(is_new, &mut rng()).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(config: &SealerConfig, is_new: bool) -> String {
    match config.open(is_new, &mut rng()) {
        Ok(_) => panic!("it opened"),
        Err(error) => error.to_string(),
    }
}

/// What every sealer promises: it opens what it sealed for the purpose, also after a restart, and nothing else.
fn keeps_its_promise(config: &SealerConfig) {
    let sealer = open(config, true);
    let sealed = sealer.seal("place", b"a storage key", &mut rng()).unwrap();
    assert!(!sealed.windows(13).any(|window| window == b"a storage key"));
    drop(sealer);
    let sealer = open(config, false);
    assert_eq!(sealer.open("place", &sealed).unwrap().expose(), b"a storage key");
    assert!(matches!(sealer.open("other", &sealed), Err(SealerError::NotOpened)));
    for place in (0..sealed.len()).step_by(5) {
        let mut changed = sealed.clone();
        *changed.get_mut(place).unwrap() ^= 1;
        assert!(matches!(sealer.open("place", &changed), Err(SealerError::NotOpened)), "{place}");
    }
    let again = sealer.seal("place", b"a storage key", &mut rng()).unwrap();
    assert_ne!(sealed, again);
}

/// A vault's storage key under this sealer is not opened by a key file, nor the other way round.
fn is_no_other_sealer(config: &SealerConfig, folder: &Path) {
    let guid: MemberId = "550e8400-e29b-41d4-a716-446655440000".parse().unwrap();
    let vaults = folder.join("vaults-of-two-sealers");
    let key = StorageKeys::new(vaults.clone(), open(config, false))
        .unwrap()
        .create(guid, Timestamp::from_unix_ms(0), &mut rng())
        .unwrap();
    let found = StorageKeys::new(vaults.clone(), open(config, false)).unwrap().get(guid).unwrap().unwrap();
    assert_eq!(found.expose(), key.expose());
    let key_file = SealerConfig::KeyFile(folder.join("another.key"));
    let other = StorageKeys::new(vaults, open(&key_file, true)).unwrap();
    assert!(matches!(other.get(guid), Err(StorageKeyError::Sealed(_))));
}
