//! Verifies events as they arrive at a webhook (Standard Webhooks). What is not verified is not read; whoever handles an event
//! remembers its id, because an event may arrive more than once.

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use vettid_crypto::kdf::hmac;
use vettid_crypto::secret::Secret32;
use vettid_wire::base64::decode;
use vettid_wire::id::EventId;
use vettid_wire::time::Timestamp;
use zeroize::Zeroizing;

/// An event may be this much older or newer than the clock of the receiver, in seconds.
const TOLERANCE_SECONDS: u64 = 300;
/// What the text of a secret begins with.
const SECRET_PREFIX: &str = "whsec_";
/// What a signature begins with: HMAC-SHA256.
const SIGNATURE_PREFIX: &str = "v1,";

/// Verifies the events of one webhook.
#[derive(Debug)]
pub struct WebhookVerifier {
    secrets: Vec<Secret32>,
}

/// An event of a gateway, once it was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEvent {
    /// Names the event; the same each time it arrives.
    pub id: EventId,
    /// What it is about, such as `request.answered`.
    pub kind: String,
    /// When it happened.
    pub happened_at: Timestamp,
    /// Ids and states.
    pub content: Value,
}

/// The text is not the secret of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the secret of a webhook: whsec_ and 32 bytes in base64, as the gateway told it")]
pub struct InvalidSecret;

/// Why an event is not believed. Answer it with 4xx, and do nothing.
#[derive(Debug, thiserror::Error)]
pub enum InvalidEvent {
    /// `webhook-id`, `webhook-timestamp` or `webhook-signature` is missing, there twice, or of another form.
    #[error("the event has no valid {0}")]
    Header(&'static str),
    /// Too old, or from the future: sent again by somebody, or one of the clocks is wrong.
    #[error("the event is more than {TOLERANCE_SECONDS} seconds off")]
    Time,
    /// None of the signatures is by one of the secrets.
    #[error("the event is not signed with a secret of this webhook")]
    Signature,
    /// It is signed and has another form.
    #[error("the event cannot be read: is the gateway newer?")]
    Unreadable(#[source] serde_json::Error),
}

#[derive(Deserialize)]
struct Body {
    #[serde(rename = "type")]
    kind: String,
    timestamp: Timestamp,
    data: Value,
}

impl WebhookVerifier {
    /// A verifier for a webhook with these secrets (`whsec_…`): one, or the former and the new one while they change. With none
    /// nothing is believed.
    ///
    /// # Errors
    /// [`InvalidSecret`].
    pub fn new(secrets: &[&str]) -> Result<Self, InvalidSecret> {
        let secrets = secrets.iter().map(|text| secret(text)).collect::<Result<_, _>>()?;
        Ok(Self { secrets })
    }

    /// Verifies an event and reads it. `body` is what arrived, byte for byte; `now` is the time of the receiver.
    ///
    /// # Errors
    /// See [`InvalidEvent`].
    pub fn verify(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<WebhookEvent, InvalidEvent> {
        let id = header(headers, "webhook-id")?;
        let time = header(headers, "webhook-timestamp")?;
        let signatures = header(headers, "webhook-signature")?;
        let seconds: i64 = time.parse().map_err(|_| InvalidEvent::Header("webhook-timestamp"))?;
        if seconds.abs_diff(now.unix_seconds()) > TOLERANCE_SECONDS {
            return Err(InvalidEvent::Time);
        }
        if !self.is_signed(&[id.as_bytes(), b".", time.as_bytes(), b".", body], signatures) {
            return Err(InvalidEvent::Signature);
        }
        let id = id.parse().map_err(|_| InvalidEvent::Header("webhook-id"))?;
        let Body { kind, timestamp, data } = serde_json::from_slice(body).map_err(InvalidEvent::Unreadable)?;
        Ok(WebhookEvent { id, kind, happened_at: timestamp, content: data })
    }

    /// Whether one of the signatures is by one of the secrets. Signatures of other forms are passed over. Compares in constant time.
    fn is_signed(&self, parts: &[&[u8]], signatures: &str) -> bool {
        let right: Vec<_> =
            self.secrets.iter().map(|secret| Secret32::from_bytes(hmac(secret.expose(), parts))).collect();
        let given = signatures.split(' ').filter_map(|one| decode(one.strip_prefix(SIGNATURE_PREFIX)?).ok());
        given.filter_map(|bytes| Secret32::from_slice(&bytes)).any(|given| right.contains(&given))
    }
}

fn secret(text: &str) -> Result<Secret32, InvalidSecret> {
    let text = text.strip_prefix(SECRET_PREFIX).ok_or(InvalidSecret)?;
    let bytes = Zeroizing::new(decode(text).map_err(|_| InvalidSecret)?);
    Secret32::from_slice(&bytes).ok_or(InvalidSecret)
}

/// A header that is there once.
fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, InvalidEvent> {
    let mut all = headers.get_all(name).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return Err(InvalidEvent::Header(name)) };
    value.to_str().map_err(|_| InvalidEvent::Header(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vettid_wire::base64::encode;

    const ID: &str = "018f6b1e-7c1a-7000-8000-000000000001";
    const BODY: &str =
        r#"{"type":"webhook.test","timestamp":"2026-11-21T00:00:00.000Z","data":{"webhook_id":"1","new":[2]}}"#;
    const SECONDS: i64 = 1_800_000_000;

    fn text(byte: u8) -> String {
        format!("whsec_{}", encode(&[byte; 32]))
    }

    fn signature(byte: u8, id: &str, seconds: i64, body: &str) -> String {
        format!("v1,{}", encode(&hmac(&[byte; 32], &[format!("{id}.{seconds}.{body}").as_bytes()])))
    }

    fn headers(id: &str, seconds: i64, signatures: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", id.parse().unwrap());
        headers.insert("webhook-timestamp", seconds.into());
        headers.insert("webhook-signature", signatures.parse().unwrap());
        headers
    }

    fn verified(secrets: &[u8], headers: &HeaderMap, body: &str, seconds: i64) -> Result<WebhookEvent, InvalidEvent> {
        let secrets: Vec<_> = secrets.iter().map(|byte| text(*byte)).collect();
        let verifier = WebhookVerifier::new(&secrets.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        verifier.verify(headers, body.as_bytes(), Timestamp::from_unix_ms(seconds * 1000))
    }

    #[test]
    fn an_event_that_is_signed_is_read() {
        let event = verified(&[1], &headers(ID, SECONDS, &signature(1, ID, SECONDS, BODY)), BODY, SECONDS).unwrap();
        assert_eq!((event.id.to_string().as_str(), event.kind.as_str()), (ID, "webhook.test"));
        assert_eq!(event.happened_at.to_string(), "2026-11-21T00:00:00.000Z");
        assert_eq!(event.content, serde_json::json!({"webhook_id": "1", "new": [2]}));
    }

    /// The example of the gateway's own test, made with another program.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let secret = encode(&std::array::from_fn::<u8, 32, _>(|place| u8::try_from(place).unwrap()));
        let verifier = WebhookVerifier::new(&[&format!("whsec_{secret}")]).unwrap();
        let parts: [&[u8]; 3] = [b"msg_1.1674087231.", b"{\"test\": ", b"2432232314}"];
        assert!(verifier.is_signed(&parts, "v1,hiSfYKchzkhTeg8BCiooMdjDn0ct8IPJUznfEFWq7Ao="));
    }

    #[test]
    fn while_secrets_change_either_of_them_verifies() {
        let both = format!("{} {}", signature(2, ID, SECONDS, BODY), signature(1, ID, SECONDS, BODY));
        for secrets in [&[1][..], &[2], &[1, 2], &[3, 1]] {
            assert!(verified(secrets, &headers(ID, SECONDS, &both), BODY, SECONDS).is_ok(), "{secrets:?}");
        }
        assert!(matches!(verified(&[3], &headers(ID, SECONDS, &both), BODY, SECONDS), Err(InvalidEvent::Signature)));
        let other_form = format!("v1a,AAAA {}", signature(1, ID, SECONDS, BODY));
        assert!(verified(&[1], &headers(ID, SECONDS, &other_form), BODY, SECONDS).is_ok());
    }

    #[test]
    fn what_was_changed_or_is_by_another_secret_is_not_believed() {
        let right = signature(1, ID, SECONDS, BODY);
        let other_id = ID.replace('1', "2");
        let cases = [
            (verified(&[2], &headers(ID, SECONDS, &right), BODY, SECONDS), "another secret"),
            (verified(&[], &headers(ID, SECONDS, &right), BODY, SECONDS), "no secret"),
            (verified(&[1], &headers(ID, SECONDS, &right), &format!("{BODY} "), SECONDS), "another body"),
            (verified(&[1], &headers(&other_id, SECONDS, &right), BODY, SECONDS), "another id"),
            (verified(&[1], &headers(ID, SECONDS + 1, &right), BODY, SECONDS), "another time"),
            (verified(&[1], &headers(ID, SECONDS, ""), BODY, SECONDS), "no signature"),
            (verified(&[1], &headers(ID, SECONDS, right.trim_end_matches('=')), BODY, SECONDS), "cut off"),
            (verified(&[1], &headers(ID, SECONDS, &right.replace("v1,", "v2,")), BODY, SECONDS), "another form"),
            (verified(&[1], &headers(ID, SECONDS, &right.replace("v1,", "")), BODY, SECONDS), "no form"),
        ];
        for (result, what) in cases {
            assert!(matches!(result, Err(InvalidEvent::Signature)), "{what}: {result:?}");
        }
    }

    #[test]
    fn what_is_too_old_or_too_new_is_not_believed() {
        let headers = headers(ID, SECONDS, &signature(1, ID, SECONDS, BODY));
        for (off, is_taken) in [(300, true), (-300, true), (301, false), (-301, false), (1_000_000, false)] {
            let result = verified(&[1], &headers, BODY, SECONDS + off);
            assert_eq!(result.is_ok(), is_taken, "{off}");
            assert!(is_taken || matches!(result, Err(InvalidEvent::Time)), "{off}");
        }
        for far in [i64::MIN, i64::MAX] {
            let headers = self::headers(ID, far, &signature(1, ID, far, BODY));
            assert!(matches!(verified(&[1], &headers, BODY, SECONDS), Err(InvalidEvent::Time)));
        }
    }

    #[test]
    fn each_header_is_there_once() {
        let right = headers(ID, SECONDS, &signature(1, ID, SECONDS, BODY));
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let (mut missing, mut twice) = (right.clone(), right.clone());
            missing.remove(name);
            twice.append(name, right[name].clone());
            for wrong in [missing, twice] {
                let result = verified(&[1], &wrong, BODY, SECONDS);
                assert!(matches!(result, Err(InvalidEvent::Header(said)) if said == name), "{result:?}");
            }
        }
    }

    #[test]
    fn what_is_no_secret_is_not_taken_for_one() {
        let right = text(1);
        assert!(WebhookVerifier::new(&[&right]).is_ok());
        let short = format!("whsec_{}", encode(&[1; 31]));
        for wrong in ["", "whsec_", &right[6..], right.trim_end_matches('='), &short] {
            assert_eq!(WebhookVerifier::new(&[&right, wrong]).err(), Some(InvalidSecret), "{wrong}");
        }
    }
}
