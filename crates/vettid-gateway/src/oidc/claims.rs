//! What a client learns about a member: the fields of the contract under the names of OpenID Connect. Pure. Hands nothing
//! on that its scope does not cover, and nothing that does not have the form of its claim.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use vettid_wire::contract::{Contract, Tier};

/// The claims of OpenID Connect Core 5.1 that may be served, with their scopes (5.4).
const CLAIMS: [(&str, &str); 16] = [
    ("name", "profile"),
    ("family_name", "profile"),
    ("given_name", "profile"),
    ("middle_name", "profile"),
    ("nickname", "profile"),
    ("preferred_username", "profile"),
    ("profile", "profile"),
    ("picture", "profile"),
    ("website", "profile"),
    ("gender", "profile"),
    ("birthdate", "profile"),
    ("zoneinfo", "profile"),
    ("locale", "profile"),
    ("email", "email"),
    ("address", "address"),
    ("phone_number", "phone"),
];

/// Whether there is such a claim; whether an address was verified is not among them, as nobody here verified it.
pub(super) fn is_claim(claim: &str) -> bool {
    CLAIMS.iter().any(|(known, _)| *known == claim)
}

/// The claims that are served, for the discovery document.
pub(super) fn served(map: &BTreeMap<String, String>) -> BTreeSet<&str> {
    map.keys().map(String::as_str).chain(["name"]).collect()
}

/// Which fields have to be asked for which claims: within the scope, in the contract, optional ones only if the
/// member agreed to them, and none that the member is asked about each time.
pub(super) fn wanted<'m>(
    map: &'m BTreeMap<String, String>,
    scope: &BTreeSet<String>,
    contract: &Contract,
    agreed: &[String],
) -> Vec<(&'m str, &'m str)> {
    let in_scope = |claim: &str| CLAIMS.iter().any(|(known, of)| *known == claim && scope.contains(*of));
    let offered = |name: &str| {
        let tier = contract.fields.iter().find(|field| field.field == name).map(|field| field.tier);
        match tier {
            Some(Tier::Required | Tier::OnDemand) => true,
            Some(Tier::Optional) => agreed.iter().any(|agreed| agreed == name),
            // The member would be asked anew at every login while the client waits.
            Some(Tier::Consent) | None => false,
        }
    };
    let pairs = map.iter().map(|(claim, field)| (claim.as_str(), field.as_str()));
    pairs.filter(|(claim, field)| in_scope(claim) && offered(field)).collect()
}

/// The value of a claim, made of the value of a field; `None` if it does not have the form of the claim.
pub(super) fn shaped(claim: &str, value: Value) -> Option<Value> {
    match (claim, value) {
        ("address", value) => address(value),
        ("birthdate", Value::String(text)) => is_date(&text).then_some(Value::String(text)),
        ("email", Value::String(text)) => text.contains('@').then_some(Value::String(text)),
        (_, Value::String(text)) => Some(Value::String(text)),
        _ => None,
    }
}

/// An address as a text, or by its parts under the usual names.
fn address(value: Value) -> Option<Value> {
    const PARTS: [(&str, &str); 10] = [
        ("formatted", "formatted"),
        ("street_address", "street_address"),
        ("street", "street_address"),
        ("locality", "locality"),
        ("city", "locality"),
        ("region", "region"),
        ("state", "region"),
        ("postal_code", "postal_code"),
        ("zip", "postal_code"),
        ("country", "country"),
    ];
    match value {
        Value::String(text) => Some(Value::Object(Map::from_iter([("formatted".to_owned(), Value::String(text))]))),
        Value::Object(parts) => {
            let part = |(from, to): (&str, &str)| Some((to.to_owned(), parts.get(from)?.as_str()?.into()));
            let found: Map<String, Value> = PARTS.into_iter().filter_map(part).collect();
            (!found.is_empty()).then_some(Value::Object(found))
        }
        _ => None,
    }
}

/// `YYYY-MM-DD`, or `YYYY` alone.
fn is_date(text: &str) -> bool {
    let digits = |part: &str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    match *text.split('-').collect::<Vec<_>>().as_slice() {
        [year] => digits(year, 4),
        [year, month, day] => digits(year, 4) && digits(month, 2) && digits(day, 2),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn contract() -> Contract {
        serde_json::from_str(include_str!("../../../../examples/shop/contract.json")).unwrap()
    }

    fn map() -> BTreeMap<String, String> {
        let pairs = [("email", "email"), ("address", "address"), ("birthdate", "date_of_birth"), ("gender", "gender")];
        pairs.map(|(claim, field)| (claim.to_owned(), field.to_owned())).into()
    }

    fn scope(text: &str) -> BTreeSet<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn only_what_scope_contract_and_member_allow_is_asked() {
        let (map, contract) = (map(), contract());
        let asked = |text: &str, agreed: &[&str]| -> Vec<String> {
            let agreed: Vec<String> = agreed.iter().map(|name| (*name).to_owned()).collect();
            wanted(&map, &scope(text), &contract, &agreed).into_iter().map(|(claim, _)| claim.to_owned()).collect()
        };
        assert_eq!(asked("openid", &["email"]), [] as [&str; 0]);
        assert_eq!(asked("openid email", &[]), [] as [&str; 0], "an optional field without the member's yes");
        assert_eq!(asked("openid email", &["email"]), ["email"]);
        let rest = asked("openid profile address", &[]);
        assert_eq!(rest, ["address"], "gender is not in the contract, and a birthdate is asked about each time");
    }

    #[test]
    fn what_does_not_have_the_form_of_its_claim_is_left_out() {
        for (claim, value) in [
            ("email", json!("nobody")),
            ("email", json!(["a@b"])),
            ("birthdate", json!("1 April 1990")),
            ("address", json!(7)),
            ("address", json!({"planet": "Mars"})),
            ("name", json!({"first": "A"})),
        ] {
            assert_eq!(shaped(claim, value.clone()), None, "{claim} {value}");
        }
        assert_eq!(shaped("birthdate", json!("1990-04-01")), Some(json!("1990-04-01")));
        assert_eq!(shaped("address", json!("Main Street 1")), Some(json!({"formatted": "Main Street 1"})));
        let parts = json!({"street": "12 Harbour Lane", "city": "Galway", "country": "IE", "notes": "ring twice"});
        let wanted = json!({"street_address": "12 Harbour Lane", "locality": "Galway", "country": "IE"});
        assert_eq!(shaped("address", parts), Some(wanted));
    }
}
