//! Each fault is found where it is, and the contract of the demo shop has none.

use super::*;
use vettid_wire::json;

fn contract() -> Contract {
    json::read(include_bytes!("../../../../../examples/shop/contract.json")).unwrap()
}

/// The one finding about the shop's contract with something wrong in it.
fn one(change: impl FnOnce(&mut Contract)) -> (Severity, Fault, String, Option<String>) {
    let mut wrong = contract();
    change(&mut wrong);
    let found = lint(&wrong);
    assert_eq!(found.len(), 1, "{found:#?}");
    let Finding { severity, fault, place, field, .. } = found[0].clone();
    (severity, fault, place, field)
}

fn error(change: impl FnOnce(&mut Contract)) -> (Fault, String) {
    let (severity, fault, place, _) = one(change);
    assert_eq!(severity, Severity::Error);
    (fault, place)
}

fn warning(change: impl FnOnce(&mut Contract)) -> (Fault, String) {
    let (severity, fault, place, _) = one(change);
    assert_eq!(severity, Severity::Warning);
    (fault, place)
}

#[test]
fn the_demo_shop_has_no_fault() {
    assert_eq!(lint(&contract()), []);
}

#[test]
fn what_cannot_be_published_is_an_error() {
    assert_eq!(error(|c| c.contract_version = 0), (Fault::Zero, "/contract_version".into()));
    assert_eq!(error(|c| c.description = " ".into()), (Fault::Missing, "/description".into()));
    assert_eq!(error(|c| c.fields[1].purpose.clear()), (Fault::Missing, "/fields/1/purpose".into()));
    assert_eq!(error(|c| c.fields[2].field = "E-mail".into()), (Fault::Name, "/fields/2/field".into()));
    let again = |c: &mut Contract| c.fields.push(c.fields[0].clone());
    assert_eq!(error(again), (Fault::Twice, "/fields/3/field".into()));
    assert_eq!(error(|c| c.rate.per_seconds = 0), (Fault::Zero, "/rate".into()));
    assert_eq!(
        error(|c| c.fields[2].retention = Retention::TimeLimited { days: 0 }),
        (Fault::Zero, "/fields/2/retention".into())
    );
    let place = format!("/permissions/{}", contract().permissions.len());
    assert_eq!(error(|c| c.permissions.push(Permission::RequestAuthentication)), (Fault::Twice, place));
    let nothing = |c: &mut Contract| {
        c.fields.clear();
        c.permissions.clear();
    };
    assert_eq!(error(nothing), (Fault::Empty, "/fields".into()));
    let (severity, fault, place, field) = one(|c| c.fields[2].field = "card_cvv".into());
    assert_eq!(
        (severity, fault, place.as_str(), field.as_deref()),
        (Severity::Error, Fault::Secret, "/fields/2/field", Some("card_cvv"))
    );
}

#[test]
fn texts_that_hide_something_are_errors() {
    for text in [
        "To deliver\u{202e}yreviled",
        "To deliver\u{200b} it",
        "To deliver\nand sell it",
        "To\u{a0}deliver something",
        "To d\u{435}liver it",
    ] {
        assert_eq!(error(|c| c.fields[0].purpose = text.into()), (Fault::Misleading, "/fields/0/purpose".into()));
    }
    assert_eq!(error(|c| c.description = "a ".repeat(300)).0, Fault::Misleading);
}

#[test]
fn pages_are_https() {
    for wrong in [
        "",
        "http://shop.example/t",
        "https://",
        "https://shop",
        "https://a@shop.example",
        "javascript:x",
        "https://sh op.example",
        "https://sh\u{f6}p.example/",
    ] {
        assert_eq!(error(|c| c.terms_url = wrong.into()), (Fault::Address, "/terms_url".into()), "{wrong}");
        assert_eq!(error(|c| c.privacy_url = wrong.into()), (Fault::Address, "/privacy_url".into()), "{wrong}");
    }
    for right in ["https://shop.example", "https://shop.example:8443/a?b#c"] {
        let mut sound = contract();
        sound.terms_url = right.into();
        assert_eq!(lint(&sound), [], "{right}");
    }
}

#[test]
fn what_members_will_not_like_is_a_warning() {
    assert_eq!(
        warning(|c| c.fields[0].purpose = "Marketing purposes.".into()),
        (Fault::Vague, "/fields/0/purpose".into())
    );
    assert_eq!(warning(|c| c.fields[0].purpose = "delivery".into()), (Fault::Short, "/fields/0/purpose".into()));
    let critical = |tier| {
        move |c: &mut Contract| {
            c.permissions.clear();
            c.fields[1].field = "passport_number".into();
            c.fields[1].tier = tier;
        }
    };
    assert_eq!(warning(critical(Tier::Required)), (Fault::OverAsking, "/fields/1/tier".into()));
    assert_eq!(warning(critical(Tier::OnDemand)), (Fault::OverAsking, "/fields/1/tier".into()));
    assert_eq!(
        warning(|c| c.fields[0].retention = Retention::UntilRevoked),
        (Fault::Retention, "/fields/0/retention".into())
    );
    assert_eq!(warning(|c| c.fields[0].retention = Retention::TimeLimited { days: 9999 }).0, Fault::Retention);
    assert_eq!(warning(|c| c.rate = Rate { count: 5000, per_seconds: 1 }), (Fault::Rate, "/rate".into()));
    assert_eq!(
        warning(|c| c.fields[0].rate = Some(Rate { count: 60, per_seconds: 60 })),
        (Fault::Rate, "/fields/0/rate".into())
    );
    let many = |c: &mut Contract| {
        let field = c.fields[2].clone();
        c.permissions.clear();
        c.fields =
            (0..9).map(|n| ContractField { field: format!("f{n}"), tier: Tier::Required, ..field.clone() }).collect();
    };
    assert_eq!(warning(many), (Fault::OverAsking, "/fields".into()));
}

#[test]
fn permissions_that_can_do_nothing_are_warned_of() {
    let with = |permission| move |c: &mut Contract| c.permissions = vec![permission];
    assert_eq!(warning(with(Permission::Call)), (Fault::OverAsking, "/permissions/0".into()));
    let without_a_birthday = |c: &mut Contract| {
        with(Permission::RequestProof)(c);
        c.fields.retain(|field| field.field != DATE_OF_BIRTH);
    };
    assert_eq!(warning(without_a_birthday), (Fault::Retention, "/permissions/0".into()));
    let mut kept = contract();
    without_a_birthday(&mut kept);
    kept.fields[0].retention = Retention::UntilRevoked;
    let about_it = |finding: &Finding| finding.place.starts_with("/permissions");
    assert!(!lint(&kept).iter().any(about_it));
}

#[test]
fn messages_need_the_permission_and_a_bearable_number() {
    let place = || "/notifications_per_hour".to_owned();
    let with = |number| {
        move |c: &mut Contract| {
            c.permissions.push(Permission::SendMessages);
            c.notifications_per_hour = number;
        }
    };
    let mut sound = contract();
    with(Some(6))(&mut sound);
    assert_eq!(lint(&sound), []);
    assert_eq!(warning(with(None)), (Fault::Missing, place()));
    assert_eq!(warning(with(Some(7))), (Fault::OverAsking, place()));
    assert_eq!(error(with(Some(0))), (Fault::Zero, place()));
    assert_eq!(error(with(Some(MAX_NOTIFICATIONS_PER_HOUR + 1))), (Fault::TooLarge, place()));
    assert_eq!(warning(|c| c.notifications_per_hour = Some(1)), (Fault::Rate, place()));
}

/// Nothing that the grammar refuses passes as sound.
#[test]
fn what_is_sound_is_valid() {
    let wrong: [fn(&mut Contract); 7] = [
        |c| c.contract_version = 0,
        |c| c.rate.count = 0,
        |c| c.notifications_per_hour = Some(0),
        |c| c.notifications_per_hour = Some(MAX_NOTIFICATIONS_PER_HOUR + 1),
        |c| c.fields[0].field = "A".into(),
        |c| c.fields[0].field = c.fields[1].field.clone(),
        |c| c.fields[0].retention = Retention::TimeLimited { days: 0 },
    ];
    for change in wrong {
        let mut contract = contract();
        change(&mut contract);
        assert!(contract.validate().is_err() && !is_sound(&lint(&contract)));
    }
}
