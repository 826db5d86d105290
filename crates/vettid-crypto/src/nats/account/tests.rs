//! Golden claims of each kind, and the claims that must not be signed or believed.

use super::*;
use crate::nats::key::{Kind, OperatorKey, SecretKey};
use crate::nats::operator::{OperatorClaims, sign_deletion};
use crate::nats::permission::{ConnectionType, Responses};
use crate::nats::token::{Jwt, OperatorJwt, UserJwt};
use crate::nats::user::{UserClaims, UserName};
use crate::secret::Secret32;
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use vettid_wire::id::{ConnectionId, DeviceId, HostId, InviteId, ServiceId};

fn key<K: Kind>(byte: u8) -> SecretKey<K> {
    SecretKey::from_secret(Secret32::from_bytes([byte; 32])).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(seconds * 1000)
}

fn claims_of<K>(token: &Jwt<K>) -> Value {
    let part = token.as_str().split('.').nth(1).unwrap();
    let mut claims: Value = serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap();
    claims.sort_all_objects();
    claims
}

fn permissions(allow: &str) -> Permissions {
    Permissions {
        publish: Subjects::only(vec![allow.to_owned()]),
        subscribe: Subjects::only(Vec::new()),
        responses: Some(Responses::one_within(60_000)),
        subscriptions: 50,
        data: NO_LIMIT,
        payload_bytes: 1 << 20,
        bearer: false,
        allowed_connection_types: vec![ConnectionType::Standard, ConnectionType::Websocket],
    }
}

fn account() -> AccountClaims {
    AccountClaims {
        name: "demo".into(),
        imports: vec![Import {
            name: "in".into(),
            subject: "a.literal.>".into(),
            account: key(9).public().clone(),
            local_subject: Some("b.>".into()),
            traffic: Traffic::Service,
        }],
        exports: vec![Export {
            name: "out".into(),
            subject: "c.*.>".into(),
            traffic: Traffic::Service,
            response_type: Some(ResponseType::Singleton),
        }],
        limits: Limits::OPEN,
        signing_keys: vec![ScopedKey::new(key(3).public().clone(), "role", permissions("a.{{name()}}.>"))],
        revocations: Revocations::new(),
    }
}

fn user() -> UserClaims {
    UserClaims {
        user: key(4).public().clone(),
        name: "device-1".parse().unwrap(),
        account: key(2).public().clone(),
        expires_at: at(2_000),
    }
}

fn operator() -> OperatorClaims {
    OperatorClaims { system_account: key(8).public().clone(), signing_keys: vec![key(1).public().clone()] }
}

#[test]
fn operator_claim() {
    let token = operator().sign("VettID", at(1_000), &key(0)).unwrap();
    insta::assert_json_snapshot!(claims_of(&token));
    assert_eq!(OperatorClaims::verify(&token, key(0).public(), at(1_001)), Ok(operator()));
    assert_eq!(OperatorClaims::verify(&token, key(7).public(), at(1_001)), Err(TokenError::WrongIssuer));
}

#[test]
fn deletion_claim() {
    let token = sign_deletion(&[key(2).public().clone()], at(1_000), &key(1)).unwrap();
    insta::assert_json_snapshot!(claims_of(&token));
    assert!(sign_deletion(&[], at(1_000), &key(1)).is_err());
}

#[test]
fn account_claim() {
    let mut claims = account();
    claims.revoke(key(4).public(), at(999));
    claims.revoke(key(4).public(), at(5));
    let token = claims.sign(key(2).public(), at(1_000), &key(1)).unwrap();
    insta::assert_json_snapshot!(claims_of(&token));
    let trusted = [key(1).public().clone()];
    assert_eq!(AccountClaims::verify(&token, &trusted, at(1_001)), Ok((key(2).public().clone(), claims)));
    assert_eq!(AccountClaims::verify(&token, &[], at(1_001)), Err(TokenError::WrongIssuer));
}

#[test]
fn user_claim() {
    let token = user().sign(at(1_000), &key(3)).unwrap();
    insta::assert_json_snapshot!(claims_of(&token));
    let trusted = [key(3).public().clone()];
    assert_eq!(UserClaims::verify(&token, &trusted, at(1_999)), Ok(user()));
    assert_eq!(UserClaims::received(&token, at(1_999)), Ok(user()));
    assert_eq!(UserClaims::verify(&token, &trusted, at(2_000)), Err(TokenError::Expired));
    assert_eq!(UserClaims::verify(&token, &[key(5).public().clone()], at(1_001)), Err(TokenError::WrongIssuer));
}

#[test]
fn a_changed_token_is_not_believed() {
    let token = user().sign(at(1_000), &key(3)).unwrap();
    let text = token.as_str();
    for place in 0..text.len() {
        let mut wrong = text.as_bytes().to_vec();
        wrong[place] = if wrong[place] == b'A' { b'B' } else { b'A' };
        let wrong = UserJwt::unchecked(String::from_utf8(wrong).unwrap());
        assert!(UserClaims::received(&wrong, at(1_001)).is_err(), "{place}");
    }
    for wrong in ["", "..", "a.b.c", "a.b", &text[..text.len() - 1]] {
        assert!(UserClaims::received(&UserJwt::unchecked(wrong.into()), at(1_001)).is_err(), "{wrong}");
    }
}

#[test]
fn tokens_of_one_kind_are_not_read_as_another() {
    let token = account().sign(key(2).public(), at(1_000), &key(1)).unwrap();
    let as_user = UserJwt::unchecked(token.as_str().to_owned());
    assert_eq!(UserClaims::received(&as_user, at(1_001)), Err(TokenError::Malformed));
    let as_operator = OperatorJwt::unchecked(token.as_str().to_owned());
    assert_eq!(OperatorClaims::verify(&as_operator, key(1).public(), at(1_001)), Err(TokenError::Malformed));
}

#[test]
fn names_that_act_in_a_subject_are_refused() {
    for wrong in ["", "*", ">", "a.b", "a b", "{{name()}}", "a*", "a{", "\u{e9}", "a\n", &"a".repeat(65)] {
        assert!(wrong.parse::<UserName>().is_err(), "{wrong:?}");
    }
    assert!("018f6b1e-7c1a-7000-8000-000000000001".parse::<UserName>().is_ok());
    assert!("AAAAAAAAAAAAAAAAAAAA-_".parse::<UserName>().is_ok());
}

#[test]
fn names_made_of_ids_are_names() {
    let longest = "a-".repeat(19) + "aa";
    let names: [UserName; 5] = [
        (&ConnectionId::from_bytes([0xff; 16])).into(),
        (&InviteId::from_bytes([0xfb; 16])).into(),
        (&longest.parse::<DeviceId>().unwrap()).into(),
        (&longest.parse::<HostId>().unwrap()).into(),
        (&longest.parse::<ServiceId>().unwrap()).into(),
    ];
    for name in names {
        assert_eq!(name.as_str().parse::<UserName>(), Ok(name.clone()));
    }
}

fn refused(change: impl FnOnce(&mut AccountClaims)) {
    let mut claims = account();
    change(&mut claims);
    let outcome = claims.sign(key(2).public(), at(1_000), &key(1));
    assert!(matches!(outcome, Err(TokenError::InvalidClaim(_))), "{claims:?}");
}

#[test]
fn accounts_that_grant_too_much_are_not_signed() {
    refused(|claims| claims.signing_keys[0].template.publish = Subjects::default());
    refused(|claims| claims.signing_keys[0].template.subscribe = Subjects::default());
    refused(|claims| claims.signing_keys[0].template = permissions("a.{{tag(guid)}}.>"));
    refused(|claims| claims.signing_keys[0].template.allowed_connection_types.clear());
    refused(|claims| claims.signing_keys[0].template.bearer = true);
    refused(|claims| claims.signing_keys[0].key = key(2).public().clone());
    refused(|claims| claims.signing_keys.push(claims.signing_keys[0].clone()));
    refused(|claims| claims.imports[0].subject = "a.{{name()}}".into());
    refused(|claims| claims.exports[0].subject = "a..b".into());
    refused(|claims| claims.imports.push(Import { local_subject: Some("b.*.x".into()), ..claims.imports[0].clone() }));
    for nobody in [">", "**", "", "U"] {
        refused(|claims| claims.revocations = Revocations::from([(nobody.to_owned(), 1)]));
    }
}

#[test]
fn users_are_signed_by_scoped_keys_for_a_time() {
    assert!(user().sign(at(1_000), &key(2)).is_err());
    assert_eq!(user().sign(at(2_000), &key(3)), Err(TokenError::Expired));
    let operator = OperatorClaims { signing_keys: vec![key(0).public().clone()], ..operator() };
    assert!(operator.sign("VettID", at(1_000), &key::<crate::nats::key::Operator>(0)).is_err());
    let _: OperatorKey = key(0);
}

#[test]
fn patterns_overlap_where_one_subject_fits_both() {
    for (one, other) in [("a.b", "a.b"), ("a.*", "a.b"), ("a.>", "a.b.c"), ("*.b", "a.*"), (">", "a")] {
        assert!(overlaps(one, other) && overlaps(other, one), "{one} {other}");
    }
    for (one, other) in [("a.b", "a.c"), ("a", "a.b"), ("a.*", "a.b.c"), ("a.>", "a"), ("a.b.>", "a.c.>")] {
        assert!(!overlaps(one, other) && !overlaps(other, one), "{one} {other}");
    }
}
