//! What the record of an answered request of a service says.

use crate::output::{Page, Show, minute};
use serde::Serialize;
use vettid_crypto::authorisation::AuthorisationReport;
use vettid_wire::agreement::AnswerMethod;
use vettid_wire::auth::Decision;
use vettid_wire::authorisation::{ProvenClaim, WantedKind};
use vettid_wire::digest::Digest;
use vettid_wire::id::{Fingerprint, RequestId, ServiceId};
use vettid_wire::time::Timestamp;

/// What a record that holds says.
#[derive(Serialize)]
pub(super) struct View {
    request_id: RequestId,
    kind: WantedKind,
    decision: Decision,
    displayed: Vec<String>,
    request_hash: Digest,
    service_id: ServiceId,
    service: Fingerprint,
    member: Fingerprint,
    answered_at: Timestamp,
    answered_by: AnswerMethod,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    claims: Vec<ProvenClaim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    withdrawn_at: Option<Timestamp>,
    parties_compared: usize,
}

impl From<AuthorisationReport> for View {
    fn from(report: AuthorisationReport) -> Self {
        let AuthorisationReport { record, request_hash, service, member, compared } = report;
        Self {
            request_id: record.request.request_id,
            kind: record.request.wanted.kind(),
            decision: record.answer.decision,
            displayed: record.request.display(),
            request_hash,
            service_id: record.request.service_id,
            service,
            member,
            answered_at: record.answer.answered_at,
            answered_by: record.answer.method,
            claims: record.answer.claims,
            withdrawn_at: record.withdrawal.map(|withdrawal| withdrawal.withdrawn_at),
            parties_compared: compared,
        }
    }
}

impl Show for View {
    fn show(&self, page: &mut Page) {
        page.line(match self.decision {
            Decision::Approve => "The record holds: the member said yes to exactly this.",
            Decision::Deny => "The record holds: the member said no to exactly this.",
        });
        page.block(&self.displayed.join("\n"));
        page.gap();
        for proven in &self.claims {
            page.field("the vault says", format!("{} = {}", proven.claim, proven.value));
        }
        page.field("service", self.service.to_string());
        page.field("member", self.member.to_string());
        let method = match self.answered_by {
            AnswerMethod::Owner => "in person",
            AnswerMethod::Password => "in person, with the password",
            AnswerMethod::Rule => "by a rule",
        };
        page.field("answer", format!("given {method}, {}", minute(self.answered_at)));
        if let Some(at) = self.withdrawn_at {
            page.field("taken back", minute(at));
        }
        page.field("request hash", self.request_hash.to_string());
        if self.parties_compared < 2 {
            page.gap();
            page.line("Compare the fingerprints with those that the app shows, or pass them with --party.");
        }
    }
}
