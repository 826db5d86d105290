//! Which client speaks: by nothing, by a secret, or by an assertion that it signed. One way at a time; an assertion counts
//! once, in time, and only if it was made for this provider (RFC 6749 section 2.3, RFC 7523).

use crate::oidc::address::Issuer;
use crate::oidc::client::{Client, ClientAuth};
use crate::oidc::failure::Failure;
use crate::oidc::form::Parameters;
use crate::oidc::provider::Provider;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use serde_json::{Map, Value};
use url::form_urlencoded;
use vettid_crypto::jose::ClientKeys;
use vettid_wire::base64::decode;
use vettid_wire::time::Timestamp;
use zeroize::Zeroizing;

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// An assertion may end at most this long after it is shown, in seconds.
const MAX_ASSERTION_SECONDS: i64 = 600;
/// Clocks may differ by this much, in seconds.
const SKEW_SECONDS: i64 = 60;

/// What a client shows of itself.
#[derive(Debug)]
enum Shown {
    Nothing { client_id: String },
    Secret { client_id: String, secret: Zeroizing<String> },
    Assertion { client_id: Option<String>, token: String },
}

/// Finds out which client speaks.
pub(super) async fn check<'p>(
    provider: &'p Provider,
    headers: &HeaderMap,
    form: &Parameters,
) -> Result<&'p Client, Failure> {
    let clients = provider.clients();
    match shown(headers, form)? {
        Shown::Nothing { client_id } => {
            let client = clients.get(&client_id).filter(|client| client.auth == ClientAuth::None);
            client.ok_or(Failure::invalid_client())
        }
        Shown::Secret { client_id, secret } => {
            let client = clients.get(&client_id).filter(|client| client.auth == ClientAuth::Secret);
            client.filter(|client| client.has_secret(&secret)).ok_or(Failure::invalid_client())
        }
        Shown::Assertion { client_id, token } => by_assertion(provider, client_id, &token).await,
    }
}

fn shown(headers: &HeaderMap, form: &Parameters) -> Result<Shown, Failure> {
    let one_way = Failure::invalid("a client shows who it is in one way");
    let basic = headers.get(AUTHORIZATION).map(|value| basic(value.as_bytes())).transpose()?;
    let named = form.get("client_id").map(str::to_owned);
    match (basic, form.get("client_secret"), form.get("client_assertion")) {
        (Some((client_id, secret)), None, None) => {
            let same = named.is_none_or(|named| named == client_id);
            if same { Ok(Shown::Secret { client_id, secret }) } else { Err(one_way) }
        }
        (None, Some(secret), None) => {
            let client_id = named.ok_or(Failure::invalid_client())?;
            Ok(Shown::Secret { client_id, secret: Zeroizing::new(secret.to_owned()) })
        }
        (None, None, Some(token)) => {
            let right = form.get("client_assertion_type") == Some(ASSERTION_TYPE);
            if right {
                Ok(Shown::Assertion { client_id: named, token: token.to_owned() })
            } else {
                Err(Failure::invalid_client())
            }
        }
        (None, None, None) => named.map(|client_id| Shown::Nothing { client_id }).ok_or(Failure::invalid_client()),
        _ => Err(one_way),
    }
}

/// `Basic`, with both parts encoded like a form.
fn basic(value: &[u8]) -> Result<(String, Zeroizing<String>), Failure> {
    let read = || {
        let (scheme, rest) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        let text = Zeroizing::new(String::from_utf8(decode(rest.trim()).ok()?).ok()?);
        let (id, secret) = text.split_once(':')?;
        scheme.eq_ignore_ascii_case("Basic").then(|| (unescaped(id), Zeroizing::new(unescaped(secret))))
    };
    read().ok_or(Failure::invalid_client())
}

fn unescaped(text: &str) -> String {
    let line = Zeroizing::new(format!("v={text}"));
    form_urlencoded::parse(line.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

async fn by_assertion<'p>(
    provider: &'p Provider,
    client_id: Option<String>,
    token: &str,
) -> Result<&'p Client, Failure> {
    let none = Failure::invalid_client();
    let claimed = client_id.or_else(|| issuer_of(token)).ok_or(none)?;
    let client =
        provider.clients().get(&claimed).filter(|client| client.auth == ClientAuth::PrivateKeyJwt).ok_or(none)?;
    let keys = client.jwks.as_deref().and_then(|keys| ClientKeys::read(keys).ok()).ok_or(none)?;
    let claims = keys.open(token).map_err(|_| none)?;
    let mine = audiences(provider.issuer());
    provider
        .step(|now, book| {
            let (id, until) = checked(now, &claims, &claimed, &mine).ok_or(none)?;
            if book.take_assertion(now, &claimed, id, until) { Ok(()) } else { Err(none) }
        })
        .await?;
    Ok(client)
}

/// Whom an assertion may be made for: what a client signs for one of the endpoints is meant for the provider (RFC 9126
/// section 2, CIBA section 7.1).
fn audiences(issuer: &Issuer) -> [String; 4] {
    [issuer.as_str().to_owned(), issuer.at("/token"), issuer.at("/par"), issuer.at("/backchannel")]
}

/// Whom an assertion speaks of, before it is known to be genuine.
fn issuer_of(token: &str) -> Option<String> {
    let claims = vettid_wire::base64::decode_url(token.split('.').nth(1)?).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&claims).ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}

/// The id of an assertion and its end, if it counts now, for this client and this provider.
fn checked<'c>(
    now: Timestamp,
    claims: &'c Map<String, Value>,
    client_id: &str,
    mine: &[String],
) -> Option<(&'c str, Timestamp)> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let seconds = |name: &str| claims.get(name).and_then(Value::as_f64).map(|at| at as i64);
    let is_mine = |value: &Value| value.as_str().is_some_and(|value| mine.iter().any(|mine| mine == value));
    let audience = match claims.get("aud")? {
        Value::Array(all) => !all.is_empty() && all.iter().all(is_mine),
        one => is_mine(one),
    };
    let (now, ends) = (now.unix_seconds(), seconds("exp")?);
    let in_time = (now - SKEW_SECONDS < ends) && ends <= now + MAX_ASSERTION_SECONDS;
    let begun = [seconds("nbf"), seconds("iat")].into_iter().flatten().all(|at| at <= now + SKEW_SECONDS);
    let same = text("iss") == Some(client_id) && text("sub") == Some(client_id);
    let id = text("jti").filter(|id| (1..=256).contains(&id.len()))?;
    let until = Timestamp::from_unix_ms((ends + SKEW_SECONDS).saturating_mul(1000));
    (audience && in_time && begun && same).then_some((id, until))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use serde_json::json;

    fn now() -> Timestamp {
        Timestamp::from_unix_ms(1_800_000_000_000)
    }

    fn claims() -> Value {
        json!({"iss": "c", "sub": "c", "aud": "https://id.example", "jti": "1", "exp": 1_800_000_060, "iat": 1_800_000_000})
    }

    fn counts(claims: &Value) -> bool {
        checked(now(), claims.as_object().unwrap(), "c", &audiences(&Issuer::new("https://id.example"))).is_some()
    }

    #[test]
    fn an_assertion_is_for_this_provider_in_time_and_of_this_client() {
        assert!(counts(&claims()));
        for (name, value, right) in [
            ("aud", json!(["https://id.example/token"]), true),
            ("aud", json!("https://id.example/par"), true),
            ("aud", json!("https://id.example/backchannel"), true),
            ("aud", json!("https://id.example/revoke"), false),
            ("aud", json!("https://id.example/"), false),
            ("aud", json!(["https://id.example", "https://other.example"]), false),
            ("aud", json!([]), false),
            ("exp", json!(1_799_999_900), false),
            ("exp", json!(1_800_000_601), false),
            ("exp", json!("1800000060"), false),
            ("iat", json!(1_800_000_100), false),
            ("nbf", json!(1_800_000_100), false),
            ("iss", json!("d"), false),
            ("sub", json!("d"), false),
            ("jti", json!(""), false),
            ("jti", json!(null), false),
        ] {
            let mut changed = claims();
            changed[name] = value.clone();
            assert_eq!(counts(&changed), right, "{name}: {value}");
        }
    }

    #[test]
    fn one_way_at_a_time() {
        let with = |value: &'static str| HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
        let form = |text: &str| Parameters::read(text.as_bytes()).unwrap();
        // c:s and c:s%2B
        assert!(matches!(shown(&with("Basic Yzpz"), &form("")), Ok(Shown::Secret { secret, .. }) if *secret == "s"));
        assert!(
            matches!(shown(&with("basic YzpzJTJC"), &form("client_id=c")), Ok(Shown::Secret { secret, .. }) if *secret == "s+")
        );
        assert!(matches!(shown(&HeaderMap::new(), &form("client_id=c")), Ok(Shown::Nothing { .. })));
        for (headers, text) in [
            (with("Basic Yzpz"), "client_secret=s"),
            (with("Basic Yzpz"), "client_id=d"),
            (with("Bearer x"), "client_id=c"),
            (with("Basic !!!"), ""),
            (HeaderMap::new(), "client_id=c&client_secret=s&client_assertion=x"),
            (HeaderMap::new(), "client_id=c&client_assertion=x"),
            (HeaderMap::new(), "client_secret=s"),
            (HeaderMap::new(), ""),
        ] {
            assert!(shown(&headers, &form(text)).is_err(), "{text}");
        }
    }
}
