//! Requests and transactions on the screen.

use super::{noun, waits};
use crate::output::{Page, Show, minute};
use serde::Serialize;
use vettid_client::look_alike::{self, LookAlike};
use vettid_wire::agreement::{AgreementList, AgreementView, Need, Standing};

/// What stands in the terms or in the name of the other side and may be read as something else.
pub(super) fn warnings(other_side: &str, displayed: &[String]) -> Vec<LookAlike> {
    let texts = std::iter::once(other_side).chain(displayed.iter().map(String::as_str));
    let mut found: Vec<LookAlike> = vec![];
    for warning in texts.flat_map(|text| look_alike::warnings(text.split_once(": ").map_or(text, |(_, value)| value))) {
        if !found.contains(&warning) {
            found.push(warning);
        }
    }
    found
}

/// An agreement with warnings about its words.
#[derive(Debug, Serialize)]
pub(super) struct Reviewed {
    #[serde(flatten)]
    view: AgreementView,
    /// Absent if there is nothing to warn of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<LookAlike>,
}

impl Reviewed {
    pub(super) fn of(view: AgreementView) -> Self {
        Self { warnings: warnings(&view.display_name, &view.displayed), view }
    }
}

impl Show for Reviewed {
    fn show(&self, page: &mut Page) {
        page.line(format!("With {}:", self.view.display_name));
        page.block(&self.view.displayed.join("\n"));
        for warning in &self.warnings {
            page.line(format!("CAREFUL: {warning}."));
        }
        self.view.show(page);
    }
}

impl Show for AgreementView {
    fn show(&self, page: &mut Page) {
        page.gap();
        page.line(sentence(self.standing));
        for need in &self.needs {
            page.line(match need {
                Need::Verification => "Before you can approve: verify the connection.",
                Need::Credential => "Before you can approve: make your Vault Credential.",
                Need::Password => "To approve, your password is asked for.",
            });
        }
        page.field("round", self.round.to_string());
        page.field("terms", self.terms_hash.to_string());
        page.field("id", self.agreement_id.to_string());
        let (noun, id) = (noun(self.kind), self.agreement_id);
        if waits(self.standing) {
            page.next("To answer", &format!("vettid app {noun} approve {id}   or   vettid app {noun} deny {id}"));
        }
        if self.has_record {
            page.next("To keep the record", &format!("vettid app record export {id} --to FILE"));
        }
    }
}

fn sentence(standing: Standing) -> &'static str {
    match standing {
        Standing::ToAnswer => "You are to answer.",
        Standing::Waits => "The other side is to answer.",
        Standing::Answered => "You answered; the other side has to confirm that it came in time.",
        Standing::Over => "The time for an answer is over.",
        Standing::Approved => "Both sides approved.",
        Standing::Denied => "Denied.",
        Standing::Expired => "Nobody answered in time.",
        Standing::Withdrawn => "Taken back.",
    }
}

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::ToAnswer => "for you",
        Standing::Waits => "for them",
        Standing::Answered => "answered",
        Standing::Over => "over",
        Standing::Approved => "approved",
        Standing::Denied => "denied",
        Standing::Expired => "expired",
        Standing::Withdrawn => "taken back",
    }
}

impl Show for AgreementList {
    fn show(&self, page: &mut Page) {
        if self.agreements.is_empty() {
            page.line("There are none.");
            return;
        }
        let rows: Vec<[String; 5]> = self
            .agreements
            .iter()
            .map(|one| {
                let standing = word(one.standing).to_owned();
                let (title, id) = (one.title.clone(), one.agreement_id.to_string());
                [standing, one.display_name.clone(), title, minute(one.expires_at), id]
            })
            .collect();
        page.table(["STANDING", "WITH", "WHAT", "ANSWER BEFORE", "ID"], &rows);
    }
}
