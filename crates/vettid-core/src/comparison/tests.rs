//! What is counted of contracts, and what of a contract is unusual beside them.

use super::*;
use vettid_wire::contract::{Access, Rate};

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
