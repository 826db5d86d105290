//! Section `audit_chain`.

use vettid_crypto::audit::{Chain, entry_hash, genesis};
use vettid_wire::audit::Entry;
use vettid_wire::id::{Fingerprint, MemberId};
use vettid_wire::json;

use crate::loader::{array, bytes, text, vectors};

#[test]
fn genesis_entries_and_hashes() {
    let guid: MemberId = "550e8400-e29b-41d4-a716-446655440000".parse().unwrap();
    let vault = Fingerprint::from_bytes(array("/identity/fpA"));
    assert_eq!(genesis(guid, &vault).to_string(), text("/audit_chain/0/entry/prev"));

    let mut chain = Chain::new(guid, &vault);
    let links = vectors()["audit_chain"].as_array().unwrap();
    assert_eq!(links.len(), 2);
    for (number, link) in links.iter().enumerate() {
        let entry: Entry = json::from_value(link["entry"].clone()).unwrap();
        chain.follow(&entry).unwrap();
        let wanted = bytes(&format!("/audit_chain/{number}/hash"));
        assert_eq!(entry_hash(&entry).unwrap().as_bytes().as_slice(), wanted);
        assert_eq!(chain.head().as_bytes().as_slice(), wanted);
    }
}
