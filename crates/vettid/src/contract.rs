//! What changed between two contracts, as the member's app and a service's own tools show it.

use crate::output::{Page, Show};
use vettid_core::contract::diff::{Change, Effect, Kind, Part};

/// Changes, those that give the service more first.
pub(crate) struct ShownChanges<'c>(pub(crate) &'c [Change]);

impl Show for ShownChanges<'_> {
    fn show(&self, page: &mut Page) {
        if self.0.is_empty() {
            page.line("  Nothing but its number.");
        }
        for change in self.0 {
            let effect = match change.effect {
                Effect::Wider => "WIDER   ",
                Effect::Words => "words   ",
                Effect::Narrower => "narrower",
            };
            page.line(format!("  {effect}  {}", sentence(change)));
        }
    }
}

fn sentence(change: &Change) -> String {
    let part = match change.part {
        Part::Field => "field",
        Part::Tier => "when",
        Part::Access => "how often",
        Part::Purpose => "what for",
        Part::Retention => "kept",
        Part::Rate => "rate",
        Part::Permission => "may",
        Part::Notifications => "messages",
        Part::Quota => "bytes it may store",
        Part::Category => "stored category",
        Part::Description => "description",
        Part::TermsUrl => "terms",
        Part::PrivacyUrl => "privacy",
    };
    let what = match change.field.as_ref().or(change.category.as_ref()) {
        Some(category) if change.part == Part::Category => format!("{part} {category}"),
        Some(field) if change.part == Part::Field => field.clone(),
        Some(field) => format!("{field}, {part}"),
        None => part.to_owned(),
    };
    let (before, after) = (change.before.as_deref(), change.after.as_deref());
    match change.kind {
        Kind::Added => format!("added: {what}: {}", after.unwrap_or_default()),
        Kind::Removed => format!("removed: {what}: {}", before.unwrap_or_default()),
        Kind::Changed => format!("{what}: {} -> {}", before.unwrap_or_default(), after.unwrap_or_default()),
    }
}
