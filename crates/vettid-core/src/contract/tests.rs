//! Each check of a contract, and their order.

use super::*;
use vettid_wire::contract::Rate;
use vettid_wire::feed::Severity;
use vettid_wire::json;
use vettid_wire::refusal::RefusalCode;

fn accepted() -> AcceptedContract {
    let contract: Contract = json::read(
        br#"{"service_id":"demo-shop","contract_version":1,"description":"d","fields":[
        {"field":"address","tier":"on_demand","purpose":"p","retention":"session","rate":{"count":2,"per_seconds":60}},
        {"field":"date_of_birth","tier":"consent","purpose":"p","retention":"session"},
        {"field":"email","tier":"required","purpose":"p","retention":"session"},
        {"field":"phone","tier":"optional","purpose":"p","retention":"session"},
        {"field":"city","tier":"optional","purpose":"p","retention":"session"}],
        "permissions":["request_authentication"],"rate":{"count":10,"per_seconds":60},"terms_url":"t","privacy_url":"p"}"#,
    )
    .unwrap();
    let contract_hash = contract_hash(&contract).unwrap();
    let acceptance = json::read(
        format!(
            r#"{{"contract_hash":"{contract_hash}","contract_version":1,"service_id":"demo-shop",
            "service_fp":"{fp}","member_fp":"{fp}","connection_id":"018f6b1e-7c1a-7000-8000-000000000001",
            "optional_fields_accepted":["phone"],"accepted_at":"2026-11-21T00:00:00.000Z","sequence":1,
            "key_id":"k_utkd2ec6y33ntxd64zqbcj2x5a","signature":""}}"#,
            fp = "A".repeat(43)
        )
        .as_bytes(),
    )
    .unwrap();
    AcceptedContract { contract, contract_hash, acceptance, counter_signature: None }
}

fn reading<'a>(accepted: &'a AcceptedContract, field: &'a str) -> Reading<'a> {
    Reading { quoted_hash: &accepted.contract_hash, field, retention: None }
}

fn read(field: &str) -> Result<Grant, RefusalCode> {
    let accepted = accepted();
    let (buckets, spent) = (&mut Buckets::default(), &Spent::default());
    read_field(Timestamp::default(), &accepted, (buckets, spent), reading(&accepted, field)).map_err(Breach::code)
}

#[test]
fn each_tier() {
    assert_eq!(read("address"), Ok(Grant::Granted));
    assert_eq!(read("email"), Ok(Grant::Granted));
    assert_eq!(read("date_of_birth"), Ok(Grant::Consent));
    assert_eq!(read("phone"), Ok(Grant::Granted));
    assert_eq!(read("city"), Err(RefusalCode::NotInContract));
    assert_eq!(read("ssn"), Err(RefusalCode::NotInContract));
    assert_eq!(read(""), Err(RefusalCode::NotInContract));
}

/// A request that everything is wrong with, mended one thing at a time: each time the next check is the one that fails.
#[test]
fn the_checks_come_in_one_order() {
    let mut accepted = accepted();
    let now = Timestamp::default();
    accepted.contract.fields[3].access = Access::OneTime;
    accepted.contract.rate = Rate { count: 2, per_seconds: 60 };
    let (mut buckets, mut spent) = (Buckets::default(), Spent::default());
    for _ in 0..2 {
        act(now, &accepted, &mut buckets, &accepted.contract_hash, Permission::RequestAuthentication).unwrap();
    }
    spent.0.insert("city".to_owned());
    let other = Base64Url::new([0; 32]);
    let hash = accepted.contract_hash.clone();
    let too_long = Some(Retention::UntilRevoked);
    // Used up, spent, too long, not agreed to, not declared, not current: all at once, and then one less each time.
    let mut steps = Vec::new();
    accepted.contract.fields[4].access = Access::OneTime;
    let mut ask = |accepted: &AcceptedContract, spent: &Spent, quoted_hash: &Base64Url, field: &str, retention| {
        let asked = Reading { quoted_hash, field, retention };
        steps.push(read_field(now, accepted, (&mut buckets, spent), asked).err());
    };
    ask(&accepted, &spent, &other, "ssn", too_long);
    ask(&accepted, &spent, &hash, "ssn", too_long);
    ask(&accepted, &spent, &hash, "city", too_long);
    accepted.acceptance.optional_fields_accepted.push("city".to_owned());
    ask(&accepted, &spent, &hash, "city", too_long);
    spent.0.clear();
    ask(&accepted, &spent, &hash, "city", too_long);
    ask(&accepted, &spent, &hash, "city", Some(Retention::Session));
    assert_eq!(steps.into_iter().map(Option::unwrap).collect::<Vec<_>>(), &Breach::ALL[..6]);
    // For other acts: current, rate, permission.
    let acts = |buckets: &mut Buckets, quoted| act(now, &accepted, buckets, quoted, Permission::Call);
    assert_eq!(acts(&mut buckets, &other), Err(Breach::NotCurrent));
    assert_eq!(acts(&mut buckets, &hash), Err(Breach::OverRate));
    assert_eq!(acts(&mut Buckets::default(), &hash), Err(Breach::NotPermitted));
}

#[test]
fn what_a_sound_service_never_asks_for_is_an_alarm() {
    let of = |severity| Breach::ALL.into_iter().filter(move |breach| breach.severity() == severity).collect::<Vec<_>>();
    assert_eq!(of(Severity::Alarm), [Breach::NotDeclared, Breach::RetentionTooLong, Breach::NotPermitted]);
    assert_eq!(of(Severity::Notice), [Breach::NotCurrent]);
}

#[test]
fn a_shorter_retention_is_always_granted_and_a_longer_one_never() {
    let all = [
        Retention::Session,
        Retention::TimeLimited { days: 1 },
        Retention::TimeLimited { days: 30 },
        Retention::UntilRevoked,
    ];
    let mut accepted = accepted();
    for (most, allowed) in all.into_iter().enumerate() {
        accepted.contract.fields[1].retention = allowed;
        for (wish, asked) in all.into_iter().enumerate() {
            let asked = Reading { retention: Some(asked), ..reading(&accepted, "date_of_birth") };
            let (buckets, spent) = (&mut Buckets::default(), &Spent::default());
            let granted = read_field(Timestamp::default(), &accepted, (buckets, spent), asked).is_ok();
            assert_eq!(granted, wish <= most, "{wish} {most}");
        }
    }
}

#[test]
fn the_rate_of_a_field_and_of_the_contract() {
    let (accepted, mut buckets, spent) = (accepted(), Buckets::default(), Spent::default());
    let mut ask =
        |field| read_field(Timestamp::default(), &accepted, (&mut buckets, &spent), reading(&accepted, field));
    assert_eq!(ask("address"), Ok(Grant::Granted));
    assert_eq!(ask("address"), Ok(Grant::Granted));
    assert_eq!(ask("address"), Err(Breach::OverRate));
    for _ in 0..7 {
        assert_eq!(ask("email"), Ok(Grant::Granted));
    }
    assert_eq!(ask("email"), Err(Breach::OverRate));
}

#[test]
fn what_is_handed_out_once_is_spent_by_being_served() {
    let mut accepted = accepted();
    accepted.contract.fields[2].access = Access::OneTime;
    let (mut buckets, mut spent) = (Buckets::default(), Spent::default());
    let mut ask = |spent: &Spent, field| {
        read_field(Timestamp::default(), &accepted, (&mut buckets, spent), reading(&accepted, field))
    };
    assert_eq!((ask(&spent, "email"), ask(&spent, "email")), (Ok(Grant::Granted), Ok(Grant::Granted)));
    assert!(spent.served(&accepted, "email") && !spent.served(&accepted, "address"));
    assert_eq!((ask(&spent, "email"), ask(&spent, "address")), (Err(Breach::Spent), Ok(Grant::Granted)));
    let mut restored = Spent::default();
    restored.close(&accepted);
    assert_eq!(restored, spent);
}

#[test]
fn permissions() {
    let (accepted, mut buckets) = (accepted(), Buckets::default());
    let now = Timestamp::default();
    let mut acts = |permission| act(now, &accepted, &mut buckets, &accepted.contract_hash, permission);
    assert_eq!(acts(Permission::RequestAuthentication), Ok(()));
    assert_eq!(acts(Permission::Call), Err(Breach::NotPermitted));
}
