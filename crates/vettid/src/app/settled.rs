//! What became of an earlier command whose answer was missed: told once, beside the result of the present one.

use crate::output::{Page, Show, minute};
use serde::Serialize;
use vettid_client::intent::{Outcome, Settled};
use vettid_wire::event::EventType;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// As it is shown.
#[derive(Serialize)]
pub(super) struct View {
    /// The earlier command.
    earlier: EventType,
    /// When it was given.
    started_at: Timestamp,
    /// `done`, `refused`, `not_carried_out` or `unreadable`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<RefusalCode>,
}

impl From<Settled> for View {
    fn from(settled: Settled) -> Self {
        let (outcome, code) = match settled.outcome {
            Outcome::CarriedOut => ("done", None),
            Outcome::Refused(code) => ("refused", Some(code)),
            Outcome::NotCarriedOut => ("not_carried_out", None),
            Outcome::Unreadable => ("unreadable", None),
        };
        Self { earlier: settled.event_type, started_at: settled.started_at, outcome, code }
    }
}

impl Show for View {
    fn show(&self, page: &mut Page) {
        let outcome = match (self.outcome, self.code) {
            ("done", _) => "was carried out".to_owned(),
            (_, Some(code)) => format!("had no effect ({code})"),
            ("not_carried_out", _) => "had no effect".to_owned(),
            _ => "was answered in a form that this program does not know".to_owned(),
        };
        page.line(format!("Your earlier command {} of {} {outcome}.", self.earlier, minute(self.started_at)));
    }
}
