//! What a user may publish and subscribe to, as it stands in the template of a scoped signing key.
//! Must never let a template carry a placeholder other than the whole token `{{name()}}`.

use serde::{Deserialize, Serialize};
use vettid_wire::subject::NAME_TEMPLATE;

use super::token::TokenError;

/// No limit, in the words of the server.
pub const NO_LIMIT: i64 = -1;

/// Allowed subjects. An empty list in [`Permissions`] would mean "everything", so it is refused there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subjects {
    /// Allowed subjects, wildcards included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Subjects taken out again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

impl Subjects {
    /// These and no others. An empty list becomes "deny everything".
    #[must_use]
    pub fn only(allow: Vec<String>) -> Self {
        let deny = if allow.is_empty() { vec![">".to_owned()] } else { Vec::new() };
        Self { allow, deny }
    }
}

/// Leave to answer a request on whatever reply subject it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Responses {
    /// Answers to one request.
    pub max: i64,
    /// How long after the request, in nanoseconds.
    #[serde(rename = "ttl")]
    pub within_ns: i64,
}

impl Responses {
    /// One answer, within `within_ms` milliseconds.
    #[must_use]
    pub fn one_within(within_ms: i64) -> Self {
        Self { max: 1, within_ns: within_ms.saturating_mul(1_000_000) }
    }
}

/// How a user may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ConnectionType {
    /// TCP with TLS.
    Standard,
    /// WebSocket.
    Websocket,
    /// Leaf node of a server at home.
    Leafnode,
}

/// Everything that the users of one scoped signing key may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permissions {
    /// Where to publish.
    #[serde(rename = "pub")]
    pub publish: Subjects,
    /// Where to subscribe.
    #[serde(rename = "sub")]
    pub subscribe: Subjects,
    /// Answers to requests.
    #[serde(default, rename = "resp", skip_serializing_if = "Option::is_none")]
    pub responses: Option<Responses>,
    /// Subscriptions of one connection.
    #[serde(rename = "subs")]
    pub subscriptions: i64,
    /// Bytes; the server does not enforce it.
    pub data: i64,
    /// Largest message in bytes.
    #[serde(rename = "payload")]
    pub payload_bytes: i64,
    /// The token alone is enough to connect: its holder has no key yet (invitation).
    #[serde(default, rename = "bearer_token", skip_serializing_if = "std::ops::Not::not")]
    pub bearer: bool,
    /// Ways to connect; empty would mean any, so it is refused.
    pub allowed_connection_types: Vec<ConnectionType>,
}

impl Permissions {
    pub(super) fn check(&self) -> Result<(), TokenError> {
        for list in [&self.publish, &self.subscribe] {
            if list.allow.is_empty() && list.deny.is_empty() {
                return Err(TokenError::InvalidClaim("a role without a list of subjects may do everything"));
            }
            if !list.allow.iter().chain(&list.deny).all(|subject| is_template(subject)) {
                return Err(TokenError::InvalidClaim("malformed subject in a role"));
            }
        }
        if self.allowed_connection_types.is_empty() {
            return Err(TokenError::InvalidClaim("a role without a way to connect"));
        }
        Ok(())
    }
}

/// A subject, with wildcards where the server allows them.
pub(super) fn is_subject(text: &str) -> bool {
    let count = text.split('.').count();
    text.split('.').enumerate().all(|(place, token)| is_token(token, place + 1 == count))
}

fn is_token(token: &str, last: bool) -> bool {
    match token {
        "*" => true,
        ">" => last,
        _ => {
            !token.is_empty() && !token.bytes().any(|b| matches!(b, b'*' | b'>' | b'{' | b'}') || !b.is_ascii_graphic())
        }
    }
}

/// A subject that may carry the placeholder for the user's name, each time as a whole token.
fn is_template(text: &str) -> bool {
    is_subject(
        &text.split('.').map(|token| if token == NAME_TEMPLATE { "name" } else { token }).collect::<Vec<_>>().join("."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_stand_alone_or_not_at_all() {
        for right in ["a.b", "a.*.c", "a.>", ">", "*", "a.{{name()}}.>", "{{name()}}", "$JS.API.INFO", "a._r.x"] {
            assert!(is_template(right), "{right}");
        }
        for wrong in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a.>.b",
            "a.b*",
            "a b",
            "a.{{tag(guid)}}",
            "a.{{subject()}}.b",
            "a.x{{name()}}",
            "a.{{name()}}x",
            "a.{{ name() }}",
            "a.{{",
            "a\n.b",
            "a.\u{e9}",
        ] {
            assert!(!is_template(wrong), "{wrong}");
        }
        assert!(!is_subject("a.{{name()}}"));
    }

    #[test]
    fn nothing_allowed_becomes_everything_denied() {
        assert_eq!(Subjects::only(vec![]).deny, [">"]);
        assert!(Subjects::only(vec!["a".into()]).deny.is_empty());
    }
}
