//! What a request must be beyond its grammar: bounded, visible to the last character, and with one way to write each.

use super::{
    Amount, AuthorisationRequest, Consent, Document, MAX_ACTION_BYTES, MAX_LINES, MAX_NAME_BYTES, MAX_ORIGIN_BYTES,
    MAX_SHORT_BYTES, MAX_TEXT_BYTES, Payee, Proof, Wanted,
};
use crate::agreement::is_visible;

const NONCE_BYTES: usize = 32;

/// Why a request is not sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRequest {
    /// A text is empty, too long, or hides something.
    #[error("the {0} is empty, too long, or has characters that cannot be shown")]
    Text(&'static str),
    /// Nothing to pay, or a payee without an amount.
    #[error("the amount is zero or missing")]
    Amount,
    /// The lines of a consent.
    #[error("a consent says what it is for, on 1 to {MAX_LINES} lines that differ")]
    Lines,
    /// A consent that ends before it could be given.
    #[error("the consent ends before the request does")]
    Until,
    /// Not a media type.
    #[error("not a media type such as application/pdf")]
    MediaType,
    /// The claims of a proof.
    #[error("claims are named once each, in order, 1 to {MAX_LINES} of them")]
    Claims,
    /// Not scheme and host.
    #[error("the origin is not a scheme and a host")]
    Origin,
    /// Not 32 bytes.
    #[error("the nonce does not have {NONCE_BYTES} bytes")]
    Nonce,
    /// It ends before it begins, or lives too long.
    #[error("the request lives too long, or not at all")]
    Life,
}

impl AuthorisationRequest {
    /// Checks what the grammar alone cannot.
    ///
    /// # Errors
    /// [`InvalidRequest`].
    pub fn check(&self) -> Result<(), InvalidRequest> {
        let life_ms = self.expires_at.since_ms(self.issued_at);
        if !(1..=self.wanted.max_life_ms()).contains(&life_ms) {
            return Err(InvalidRequest::Life);
        }
        if let Wanted::Consent(Consent { until: Some(until), .. }) = &self.wanted
            && *until <= self.expires_at
        {
            return Err(InvalidRequest::Until);
        }
        self.wanted.check()
    }
}

impl Wanted {
    /// Checks what the grammar alone cannot.
    ///
    /// # Errors
    /// [`InvalidRequest`].
    pub fn check(&self) -> Result<(), InvalidRequest> {
        match self {
            Self::Payment(wanted) => {
                money(&wanted.action, &wanted.reference, Some(&wanted.amount), Some(&wanted.payee))
            }
            Self::Transaction(wanted) => {
                money(&wanted.action, &wanted.reference, wanted.amount.as_ref(), wanted.payee.as_ref())
            }
            Self::Consent(wanted) => consent(wanted),
            Self::Document(wanted) => document(wanted),
            Self::Proof(wanted) => proof(wanted),
        }
    }
}

fn text(what: &'static str, text: &str, max_bytes: usize) -> Result<(), InvalidRequest> {
    if is_visible(text, max_bytes) { Ok(()) } else { Err(InvalidRequest::Text(what)) }
}

fn money(action: &str, reference: &str, amount: Option<&Amount>, payee: Option<&Payee>) -> Result<(), InvalidRequest> {
    text("action", action, MAX_ACTION_BYTES)?;
    text("reference", reference, MAX_TEXT_BYTES)?;
    if let Some(payee) = payee {
        text("payee", &payee.name, MAX_NAME_BYTES)?;
        text("account", &payee.account_masked, MAX_SHORT_BYTES)?;
    }
    let is_paid = amount.is_some_and(|amount| amount.value.ten_thousandths() > 0);
    if is_paid || (amount.is_none() && payee.is_none()) { Ok(()) } else { Err(InvalidRequest::Amount) }
}

fn consent(wanted: &Consent) -> Result<(), InvalidRequest> {
    text("purpose", &wanted.purpose, MAX_TEXT_BYTES)?;
    wanted.what.iter().try_for_each(|line| text("line of the consent", line, MAX_TEXT_BYTES))?;
    let differ = wanted.what.iter().enumerate().all(|(index, line)| !wanted.what.iter().take(index).any(|l| l == line));
    if (1..=MAX_LINES).contains(&wanted.what.len()) && differ { Ok(()) } else { Err(InvalidRequest::Lines) }
}

fn document(wanted: &Document) -> Result<(), InvalidRequest> {
    text("name of the document", &wanted.name, MAX_NAME_BYTES)?;
    if is_media_type(&wanted.media_type) { Ok(()) } else { Err(InvalidRequest::MediaType) }
}

fn is_media_type(text: &str) -> bool {
    let plain = |part: &str| {
        let sound = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'+');
        !part.is_empty() && part.bytes().all(sound)
    };
    text.len() <= MAX_SHORT_BYTES && text.split_once('/').is_some_and(|(kind, name)| plain(kind) && plain(name))
}

fn proof(wanted: &Proof) -> Result<(), InvalidRequest> {
    text("purpose", &wanted.purpose, MAX_TEXT_BYTES)?;
    if wanted.nonce.as_bytes().len() != NONCE_BYTES {
        return Err(InvalidRequest::Nonce);
    }
    if !is_origin(&wanted.origin) {
        return Err(InvalidRequest::Origin);
    }
    let ordered = wanted.claims.iter().zip(wanted.claims.iter().skip(1)).all(|(one, next)| one < next);
    if (1..=MAX_LINES).contains(&wanted.claims.len()) && ordered { Ok(()) } else { Err(InvalidRequest::Claims) }
}

/// Scheme and host, no path.
fn is_origin(origin: &str) -> bool {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
    origin.len() <= MAX_ORIGIN_BYTES && host.is_some_and(|host| !host.is_empty() && host.bytes().all(plain))
}
