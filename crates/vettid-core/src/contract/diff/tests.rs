//! Each kind of change is found and weighed; and what is called narrower really grants nothing more.

use super::*;
use vettid_wire::json;

fn contract() -> Contract {
    json::read(
        br#"{"service_id":"demo-shop","contract_version":1,"description":"d","fields":[
        {"field":"address","tier":"on_demand","purpose":"p","retention":{"time_limited":{"days":30}},"rate":{"count":2,"per_seconds":60}},
        {"field":"email","tier":"required","purpose":"p","retention":"session"}],
        "permissions":["request_authentication"],"rate":{"count":10,"per_seconds":60},"terms_url":"t","privacy_url":"p"}"#,
    )
    .unwrap()
}

fn one(change: impl FnOnce(&mut Contract)) -> (Effect, Kind, Part, Option<String>) {
    let mut after = contract();
    change(&mut after);
    let changes = changes(&contract(), &after);
    assert_eq!(changes.len(), 1, "{changes:?}");
    let change = changes[0].clone();
    (change.effect, change.kind, change.part, change.field)
}

#[test]
fn nothing_is_no_change() {
    let mut after = contract();
    after.contract_version = 9;
    after.fields.reverse();
    assert_eq!(changes(&contract(), &after), []);
}

#[test]
fn fields_and_permissions_come_and_go() {
    let phone = || ContractField { field: "phone".into(), ..contract().fields.remove(1) };
    assert_eq!(one(|c| c.fields.push(phone())), (Effect::Wider, Kind::Added, Part::Field, Some("phone".into())));
    let gone = one(|c| drop(c.fields.remove(0)));
    assert_eq!(gone, (Effect::Narrower, Kind::Removed, Part::Field, Some("address".into())));
    assert_eq!(one(|c| c.permissions.push(Permission::Call)).0, Effect::Wider);
    assert_eq!(one(|c| c.permissions.clear()).0, Effect::Narrower);
}

#[test]
fn more_messages_in_an_hour_are_wider() {
    let of = |was: Option<u32>, is: Option<u32>| {
        let with = |number| Contract { notifications_per_hour: number, ..contract() };
        let found = changes(&with(was), &with(is));
        found.first().map(|change| (change.effect, change.kind, change.part, found.len()))
    };
    let found = |effect, kind| Some((effect, kind, Part::Notifications, 1));
    assert_eq!(of(Some(2), Some(2)), None);
    assert_eq!(of(None, Some(1)), found(Effect::Wider, Kind::Added));
    assert_eq!(of(Some(2), Some(3)), found(Effect::Wider, Kind::Changed));
    assert_eq!(of(Some(3), Some(2)), found(Effect::Narrower, Kind::Changed));
    assert_eq!(of(Some(3), None), found(Effect::Narrower, Kind::Removed));
}

#[test]
fn tiers_are_weighed() {
    use Tier::{Consent, OnDemand, Optional, Required};
    let wider =
        [(Consent, Optional), (Optional, Consent), (Optional, OnDemand), (Consent, Required), (OnDemand, Required)];
    let narrower = [(Required, OnDemand), (Required, Consent), (OnDemand, Optional), (OnDemand, Consent)];
    assert!(wider.iter().all(|(was, is)| of_tier(*was, *is) == Some(Effect::Wider)));
    assert!(narrower.iter().all(|(was, is)| of_tier(*was, *is) == Some(Effect::Narrower)));
    assert_eq!(of_tier(Consent, Consent), None);
}

#[test]
fn retention_access_and_words_are_weighed() {
    assert_eq!(one(|c| c.fields[0].retention = Retention::UntilRevoked).0, Effect::Wider);
    assert_eq!(one(|c| c.fields[0].retention = Retention::TimeLimited { days: 31 }).0, Effect::Wider);
    assert_eq!(one(|c| c.fields[0].retention = Retention::Session).0, Effect::Narrower);
    assert_eq!(one(|c| c.fields[1].access = Access::OneTime).0, Effect::Narrower);
    assert_eq!(one(|c| c.fields[1].access = Access::Snapshot).0, Effect::Wider);
    let purpose = one(|c| c.fields[1].purpose = "q".into());
    assert_eq!(purpose, (Effect::Words, Kind::Changed, Part::Purpose, Some("email".into())));
    assert_eq!(one(|c| c.terms_url = "u".into()).2, Part::TermsUrl);
    assert_eq!(one(|c| c.privacy_url = "u".into()).2, Part::PrivacyUrl);
    assert_eq!(one(|c| c.description = "e".into()).2, Part::Description);
}

#[test]
fn rates_are_weighed_by_size_and_refill() {
    let rate = |count, per_seconds| Rate { count, per_seconds };
    for (is, effect) in [
        (rate(11, 60), Effect::Wider),
        (rate(10, 59), Effect::Wider),
        // A larger bucket gives more at once, though it refills more slowly.
        (rate(11, 6_000), Effect::Wider),
        // A smaller one that refills faster gives more in the long run.
        (rate(9, 10), Effect::Wider),
        (rate(9, 60), Effect::Narrower),
        (rate(10, 61), Effect::Narrower),
    ] {
        assert_eq!(one(|c| c.rate = is).0, effect, "{is:?}");
    }
    assert_eq!(one(|c| c.fields[0].rate = None).0, Effect::Wider);
    assert_eq!(one(|c| c.fields[1].rate = Some(rate(99, 1))).0, Effect::Narrower);
}
