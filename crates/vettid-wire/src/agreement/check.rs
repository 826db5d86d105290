//! What terms must be beyond their grammar: bounded, visible to the last character, and with one way to write each.

use super::{
    DataTerms, DocumentTerms, MAX_DURATION_MINUTES, MAX_FIELDS, MAX_NAME_BYTES, MAX_NOTE_BYTES, MeetingTerms,
    MoneyTerms, Terms, is_visible,
};
use crate::data::is_field_name;

const MINUTE_MS: i64 = 60_000;

/// Why terms are not sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTerms {
    /// A text is empty, too long, or hides something.
    #[error("the {0} is empty, too long, or has characters that cannot be shown")]
    Text(&'static str),
    /// Nothing to pay.
    #[error("the amount is zero")]
    Amount,
    /// Not a time that can be shown in full.
    #[error("a meeting begins on a full minute and takes 1 minute to 14 days")]
    Meeting,
    /// The names of fields.
    #[error("fields are named once each, in order, 1 to 32 of them")]
    Fields,
}

impl Terms {
    /// Checks what the grammar alone cannot.
    ///
    /// # Errors
    /// [`InvalidTerms`].
    pub fn check(&self) -> Result<(), InvalidTerms> {
        match self {
            Self::Money(terms) => money(terms),
            Self::Document(DocumentTerms { name, .. }) => text("name of the document", name, MAX_NAME_BYTES),
            Self::Meeting(terms) => meeting(terms),
            Self::Data(terms) => data(terms),
        }
    }
}

fn text(what: &'static str, text: &str, max_bytes: usize) -> Result<(), InvalidTerms> {
    if is_visible(text, max_bytes) { Ok(()) } else { Err(InvalidTerms::Text(what)) }
}

fn money(terms: &MoneyTerms) -> Result<(), InvalidTerms> {
    text("payee", &terms.payee, MAX_NAME_BYTES)?;
    terms.note.as_ref().map_or(Ok(()), |note| text("note", note, MAX_NOTE_BYTES))?;
    if terms.amount.ten_thousandths() == 0 { Err(InvalidTerms::Amount) } else { Ok(()) }
}

fn meeting(terms: &MeetingTerms) -> Result<(), InvalidTerms> {
    text("subject", &terms.subject, MAX_NAME_BYTES)?;
    text("place", &terms.place, MAX_NAME_BYTES)?;
    let timed =
        terms.starts_at.unix_ms() % MINUTE_MS == 0 && (1..=MAX_DURATION_MINUTES).contains(&terms.duration_minutes);
    if timed { Ok(()) } else { Err(InvalidTerms::Meeting) }
}

fn data(terms: &DataTerms) -> Result<(), InvalidTerms> {
    text("purpose", &terms.purpose, MAX_NOTE_BYTES)?;
    let named = (1..=MAX_FIELDS).contains(&terms.fields.len()) && terms.fields.iter().all(|name| is_field_name(name));
    let ordered = terms.fields.iter().zip(terms.fields.iter().skip(1)).all(|(one, next)| one < next);
    if named && ordered { Ok(()) } else { Err(InvalidTerms::Fields) }
}
