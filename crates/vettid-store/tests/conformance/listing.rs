//! A service has one listing, and only a younger one takes its place.

use super::{at, audit, service};
use vettid_store::ledger::{Ledger, LedgerError};
use vettid_wire::base64::Base64;
use vettid_wire::category::{Category, ServiceListing};
use vettid_wire::contract::{Contract, Rate};
use vettid_wire::key::{KeyAlgorithm, TypedKey};

fn listing(name: &str, category: &str, seconds: i64) -> ServiceListing {
    let service_id = name.parse().unwrap();
    let contract = Contract {
        service_id,
        contract_version: 1,
        description: "Orders".to_owned(),
        fields: vec![],
        permissions: vec![],
        storage: None,
        rate: Rate { count: 1, per_seconds: 1 },
        terms_url: "https://shop.example/terms".to_owned(),
        privacy_url: "https://shop.example/privacy".to_owned(),
    };
    ServiceListing {
        service_id: contract.service_id.clone(),
        guid: service(name, 1).registration.guid,
        category: category.parse().unwrap(),
        contract,
        public_key: TypedKey::new(KeyAlgorithm::Ed25519, [1; 32]).unwrap(),
        at: at(seconds),
        key_id: "k_utkd2ec6y33ntxd64zqbcj2x5a".parse().unwrap(),
        signature: Base64::default(),
    }
}

pub(super) async fn listings(ledger: &dyn Ledger) {
    let first = listing("shop", "shop", 5);
    let refused = ledger.put_listing(&first, &audit()).await;
    assert!(matches!(refused, Err(LedgerError::Missing)), "{refused:?}");
    for (name, number) in [("shop", 1), ("bank", 2)] {
        ledger.register_service(&service(name, number), &audit()).await.unwrap();
    }
    assert_eq!(ledger.listing(&first.service_id).await.unwrap(), None);
    ledger.put_listing(&first, &audit()).await.unwrap();
    ledger.put_listing(&first, &audit()).await.unwrap();
    let bank = listing("bank", "bank", 5);
    ledger.put_listing(&bank, &audit()).await.unwrap();
    let of = async |name: &str, limit| {
        let category: Category = name.parse().unwrap();
        ledger.listings_of(&category, limit).await.unwrap()
    };
    assert_eq!((of("shop", 9).await, of("bank", 9).await), (vec![first.clone()], vec![bank.clone()]));
    for late in [listing("shop", "clinic", 5), listing("shop", "clinic", 4)] {
        let refused = ledger.put_listing(&late, &audit()).await;
        assert!(matches!(refused, Err(LedgerError::Conflict)), "{refused:?}");
    }
    let moved = listing("shop", "bank", 6);
    ledger.put_listing(&moved, &audit()).await.unwrap();
    assert_eq!((of("shop", 9).await, of("bank", 9).await), (vec![], vec![bank.clone(), moved.clone()]));
    assert_eq!((of("bank", 1).await, ledger.listing(&moved.service_id).await.unwrap()), (vec![bank], Some(moved)));
}
