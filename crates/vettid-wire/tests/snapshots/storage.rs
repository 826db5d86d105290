//! Samples of what contracts let services store.

use crate::sample::Samples;
use vettid_wire::contract::{Storage, StorageCategory};

fn category() -> StorageCategory {
    StorageCategory { category: "receipts".to_owned(), purpose: "Receipts of what you ordered".to_owned() }
}

pub(crate) fn storage() -> Storage {
    Storage { quota_bytes: 65_536, categories: vec![category()] }
}

#[test]
fn the_sample_is_a_sound_section() {
    assert_eq!(storage().validate(), Ok(()));
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("storage");
    samples.object("Storage", storage());
    samples.object("StorageCategory", category());
    samples
}
