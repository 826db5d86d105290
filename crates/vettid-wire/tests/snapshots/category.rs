//! Samples of kinds of services, and what services of one kind ask.

use crate::contract::contract;
use crate::sample::Samples;
use crate::value;
use std::collections::BTreeMap;
use vettid_wire::category::{
    AmountCount, AskComparison, Category, CategoryStatistics, ComparisonBasis, Counted, FieldCount, ListService,
    Listed, RetentionCount, ServiceListing, StorageCount,
};
use vettid_wire::contract::{Permission, Retention, Tier};

fn category() -> Category {
    "shop".parse().unwrap()
}

fn field() -> FieldCount {
    FieldCount {
        services: 12,
        tiers: BTreeMap::from([(Tier::OnDemand, 11), (Tier::Required, 1)]),
        retentions: vec![
            RetentionCount { retention: Retention::TimeLimited { days: 30 }, services: 11 },
            RetentionCount { retention: Retention::UntilRevoked, services: 1 },
        ],
    }
}

fn storage() -> StorageCount {
    let quota_bytes = vec![AmountCount { amount: 4096, services: 5 }, AmountCount { amount: 65_536, services: 1 }];
    StorageCount { quota_bytes, categories: BTreeMap::from([("receipts".to_owned(), 6)]) }
}

fn counted() -> Counted {
    Counted {
        services: 14,
        fields: BTreeMap::from([("address".to_owned(), field())]),
        permissions: BTreeMap::from([(Permission::RequestPayment, 9)]),
        storage: Some(storage()),
        notifications_per_hour: Some(vec![AmountCount { amount: 2, services: 3 }]),
    }
}

fn statistics() -> CategoryStatistics {
    CategoryStatistics {
        service_id: value::service(),
        category: category(),
        counted: Some(counted()),
        issued_at: value::at(1),
        valid_until: value::at(1441),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

fn listing() -> ServiceListing {
    ServiceListing {
        service_id: value::service(),
        guid: value::peer(),
        category: category(),
        contract: contract(),
        public_key: value::ed25519(),
        at: value::at(0),
        key_id: value::key_id(),
        signature: value::signature(),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("category");
    samples.text("Category", category());
    samples.object("ServiceListing", listing());
    samples.object("ListService", ListService { listing: listing(), signature: value::signature() });
    samples.object("Listed", Listed { at: value::at(0) });
    samples.object("CategoryStatistics", statistics()).optional(&["/counted"]);
    samples.object("Counted", counted()).optional(&["/storage", "/notifications_per_hour"]);
    samples.object("StorageCount", storage());
    samples.object("AmountCount", AmountCount { amount: 4096, services: 5 });
    samples.object("FieldCount", field());
    samples.object("RetentionCount", field().retentions.remove(0));
    samples.object("AskComparison", AskComparison { service_id: value::service() });
    let basis = ComparisonBasis { registry: crate::profile::signed(), statistics: Some(statistics()) };
    samples.object("ComparisonBasis", basis).optional(&["/statistics"]).open(&["/registry/public/more"]);
    samples
}
