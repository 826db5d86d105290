//! What is counted of contracts, and what of a contract is unusual beside them.

use super::*;
use vettid_wire::contract::{Access, Rate, StorageCategory};

fn field(name: &str, tier: Tier, retention: Retention) -> ContractField {
    let (field, purpose) = (name.to_owned(), "To deliver".to_owned());
    ContractField { field, tier, access: Access::OnDemand, purpose, retention, rate: None }
}

fn contract(fields: Vec<ContractField>, permissions: Vec<Permission>) -> Contract {
    Contract {
        service_id: "demo-shop".parse().unwrap(),
        contract_version: 1,
        description: "Orders".to_owned(),
        fields,
        permissions,
        storage: None,
        notifications_per_hour: None,
        rate: Rate { count: 5, per_seconds: 60 },
        terms_url: "https://shop.example/terms".to_owned(),
        privacy_url: "https://shop.example/privacy".to_owned(),
    }
}

/// Thirteen shops that want an address for thirty days on demand, and one that wants everything.
fn shops() -> Vec<Contract> {
    let usual = contract(
        vec![field("address", Tier::OnDemand, Retention::TimeLimited { days: 30 })],
        vec![Permission::RequestPayment],
    );
    let mut shops = vec![usual; 13];
    shops.push(greedy());
    shops
}

fn greedy() -> Contract {
    let fields = vec![
        field("address", Tier::Required, Retention::UntilRevoked),
        field("birth_date", Tier::Consent, Retention::Session),
    ];
    contract(fields, vec![Permission::RequestPayment, Permission::Call, Permission::Call])
}

#[test]
fn what_few_ask_is_named_with_how_many_do() {
    let counted = count(&shops()).unwrap();
    assert_eq!(
        unusual(&greedy(), &counted),
        [
            Unusual::Tier { field: "address".to_owned(), tier: Tier::Required, services: 1 },
            Unusual::Retention { field: "address".to_owned(), retention: Retention::UntilRevoked, services: 1 },
            Unusual::Field { field: "birth_date".to_owned(), services: 1 },
            Unusual::Permission { permission: Permission::Call, services: 1 },
        ]
    );
    assert_eq!(unusual(&shops()[0], &counted), []);
}

#[test]
fn what_nobody_else_asks_is_named_too() {
    let counted = count(&shops()[..13]).unwrap();
    let found = unusual(&greedy(), &counted);
    assert!(found.contains(&Unusual::Field { field: "birth_date".to_owned(), services: 0 }), "{found:?}");
}

#[test]
fn asking_for_less_is_never_unusual() {
    let counted = count(&shops()).unwrap();
    for (tier, retention) in [(Tier::Consent, Retention::Session), (Tier::Optional, Retention::TimeLimited { days: 1 })]
    {
        assert_eq!(unusual(&contract(vec![field("address", tier, retention)], vec![]), &counted), []);
    }
}

#[test]
fn a_quarter_is_few_and_more_is_not() {
    let with = |number: usize| {
        let asking = contract(vec![field("phone", Tier::OnDemand, Retention::Session)], vec![]);
        let mut all = vec![contract(vec![], vec![]); 8 - number];
        all.extend(vec![asking.clone(); number]);
        unusual(&asking, &count(&all).unwrap()).len()
    };
    assert_eq!((with(1), with(2), with(3)), (1, 1, 0));
}

#[test]
fn few_services_are_not_counted() {
    assert_eq!(count(&shops()[..4]), None);
    assert_eq!(count(&shops()[..5]).unwrap().services, 5);
}

/// A contract that stores so much in these categories, and sends so many messages.
fn storing(quota_bytes: u64, names: &[&str], messages: u32) -> Contract {
    let category = |name: &&str| StorageCategory { category: (*name).to_owned(), purpose: "p".to_owned() };
    Contract {
        storage: Some(Storage { quota_bytes, categories: names.iter().map(category).collect() }),
        notifications_per_hour: Some(messages),
        ..contract(vec![], vec![Permission::StoreData, Permission::SendMessages])
    }
}

#[test]
fn storage_and_messages_are_compared_by_how_much_of_them() {
    let mut shops = vec![storing(4096, &["receipts"], 2); 7];
    shops.push(storing(65_536, &["receipts", "health"], 20));
    let counted = count(&shops).unwrap();
    let named = unusual(&shops[7], &counted);
    assert_eq!(
        named,
        [
            Unusual::Quota { quota_bytes: 65_536, services: 1 },
            Unusual::Category { category: "health".to_owned(), services: 1 },
            Unusual::Notifications { per_hour: 20, services: 1 },
        ]
    );
    assert_eq!(unusual(&shops[0], &counted), []);
    // Less of it is never named, and more than anybody has is.
    assert_eq!(unusual(&storing(1, &["receipts"], 1), &counted), []);
    let more = unusual(&storing(65_537, &["receipts"], 21), &counted);
    assert_eq!(more.iter().map(Unusual::services).collect::<Vec<_>>(), [0, 0], "{more:?}");
}

#[test]
fn what_the_permissions_do_not_give_is_neither_counted_nor_named() {
    let dead = Contract { permissions: vec![], ..storing(65_536, &["health"], 20) };
    let counted = count(&vec![dead.clone(); 8]).unwrap();
    assert_eq!(
        (counted.storage.clone(), counted.notifications_per_hour.clone()),
        (Some(StorageCount::default()), Some(vec![]))
    );
    assert_eq!(unusual(&dead, &counted), []);
    // Where few may do it at all, that alone is said.
    let named = unusual(&storing(65_536, &["health"], 20), &counted);
    assert!(named.iter().all(|ask| matches!(ask, Unusual::Permission { .. })) && named.len() == 2, "{named:?}");
    // A registry that did not count it says nothing of it.
    let mut storing_too = count(&vec![storing(1, &["a"], 1); 8]).unwrap();
    (storing_too.storage, storing_too.notifications_per_hour) = (None, None);
    assert_eq!(unusual(&storing(65_536, &["health"], 20), &storing_too), []);
}
