//! What services want the member's word for: shown in full, approved only by the hash of what was shown, and after a document
//! that the member has was compared with the one that is to be signed.

use super::Client;
use super::advice;
use super::agreement::{confirm, document};
use super::credential::failure as credential_failure;
use super::password::PasswordInput;
use crate::failure::{Exit, Failure};
use crate::output::{Output, Page, Show, minute};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use vettid_wire::agreement::{AnswerMethod, Need};
use vettid_wire::auth::Decision;
use vettid_wire::authorisation::{
    Answered, AnsweredList, AnsweredRef, AuthorisationRecord, AuthorisationView, Document, ListAnswered, MAX_LISTED,
    PermitRequest, WantedKind,
};
use vettid_wire::digest::Digest;
use vettid_wire::event::{
    AuthorisationExport, AuthorisationList, ConsentWithdraw, Nothing, RequestDecide, RequestList as ListRow,
};
use vettid_wire::id::RequestId;
use vettid_wire::request::{Ask, Decide, Decided, PendingRequest, RequestList};

/// How the member approves.
pub(super) struct Approving<'a> {
    /// The request, as the member saw it.
    pub(super) terms: Option<Digest>,
    /// The document, as the member has it.
    pub(super) document: Option<PathBuf>,
    pub(super) password: &'a PasswordInput,
}

#[derive(Debug, Subcommand)]
pub(super) enum Consent {
    /// List the consents that you gave to services or refused, newest first
    #[command(after_help = "Example:\n  vettid app consent list")]
    List,
    /// Take a consent back; the service is told with your signature
    #[command(after_help = "Example:\n  vettid app consent withdraw ID\n\nID is from `vettid app consent list`.")]
    Withdraw(Withdraw),
}

#[derive(Debug, Args)]
pub(super) struct Withdraw {
    /// The consent
    #[arg(value_name = "ID")]
    id: RequestId,
}

pub(super) async fn consent(wanted: Consent, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Consent::List => Ok(output.result(&list(app, Some(WantedKind::Consent)).await?)?),
        Consent::Withdraw(Withdraw { id }) => {
            let Some(named) = find(app, id).await? else {
                return Err(Failure::new(Exit::Refused, "there is no such consent").next("vettid app consent list"));
            };
            let withdrawn = app.command::<ConsentWithdraw>(named).await.map_err(advice::command)?;
            Ok(output.result(&withdrawn)?)
        }
    }
}

/// Answered requests, newest first.
pub(super) async fn list(app: &Client, kind: Option<WantedKind>) -> Result<AnsweredList, Failure> {
    let asked = ListAnswered { kind, limit: MAX_LISTED };
    app.command::<AuthorisationList>(asked).await.map_err(advice::command)
}

async fn find(app: &Client, id: RequestId) -> Result<Option<AnsweredRef>, Failure> {
    let AnsweredList { answered } = list(app, None).await?;
    let found = answered.into_iter().find(|one| one.request_id == id);
    Ok(found.map(|one| AnsweredRef { connection_id: one.connection_id, request_id: id }))
}

/// The record of an answered request of this id, if there is one.
pub(super) async fn record(app: &Client, id: RequestId) -> Result<Option<AuthorisationRecord>, Failure> {
    match find(app, id).await? {
        Some(named) => app.command::<AuthorisationExport>(named).await.map(Some).map_err(advice::command),
        None => Ok(None),
    }
}

/// The open request of this id, if it wants the member's word.
pub(super) async fn open(app: &Client, id: RequestId) -> Result<Option<(PendingRequest, AuthorisationView)>, Failure> {
    let RequestList { requests } = app.command::<ListRow>(Nothing {}).await.map_err(advice::command)?;
    let found = requests.into_iter().find(|pending| pending.request_id == id);
    Ok(found.and_then(|pending| match pending.ask.clone() {
        Ask::Authorisation(view) => Some((pending, *view)),
        Ask::Data { .. } | Ask::DataBatch { .. } | Ask::Login { .. } => None,
    }))
}

pub(super) async fn approve(
    app: &Client,
    (pending, view): (&PendingRequest, &AuthorisationView),
    approving: Approving<'_>,
) -> Result<Decided, Failure> {
    compare(view.document.as_ref(), approving.document.as_deref())?;
    let shown = match approving.terms {
        Some(shown) => shown,
        None => {
            let next = "read it with: vettid app request list".to_owned();
            confirm(&format!("{} asks:", pending.display_name), &view.displayed, next)?;
            view.request_hash
        }
    };
    may_approve(&view.needs)?;
    if shown == view.request_hash && view.needs == [Need::Password] {
        let asked = PermitRequest { request_id: pending.request_id, shown };
        app.permit_request(asked, &mut approving.password.present()?).await.map_err(credential_failure)?;
    }
    let asked = Decide {
        request_id: pending.request_id,
        decision: Decision::Approve,
        shown: Some(shown),
        number: None,
        remember: false,
        fields: vec![],
    };
    app.command::<RequestDecide>(asked).await.map_err(advice::command)
}

/// A document that is not the one to be signed is never signed for it.
fn compare(asked: Option<&Document>, own: Option<&Path>) -> Result<(), Failure> {
    let (asked, own) = match (asked, own) {
        (Some(asked), Some(own)) => (asked, own),
        (None, Some(_)) => return Err(Failure::usage("this request is not about a document")),
        (_, None) => return Ok(()),
    };
    let own = document(own, None)?;
    if own.sha256 == asked.sha256 && own.size_bytes == asked.size_bytes {
        return Ok(());
    }
    Err(Failure::new(Exit::Refused, "your file is not the document that is to be signed; nothing was approved")
        .next("ask the service for the document, or say no: vettid app request deny ID"))
}

fn may_approve(needs: &[Need]) -> Result<(), Failure> {
    let refused = |text: &str| Failure::new(Exit::Refused, text);
    match needs.first() {
        Some(Need::Verification) => Err(refused("payments need a verified connection")
            .next("compare the safety number, then: vettid app connection verify ID")),
        Some(Need::Credential) => Err(refused("this needs the password of your Vault Credential, and you have none")
            .next("vettid app credential create")),
        Some(Need::Password) | None => Ok(()),
    }
}

pub(super) fn show(pending: &PendingRequest, view: &AuthorisationView, page: &mut Page) {
    page.line(format!("{} asks:", pending.display_name));
    page.block(&view.displayed.join("\n"));
    if view.kind == WantedKind::Proof {
        page.line("A yes is a signed record, which the service may keep for good.");
    }
    for need in &view.needs {
        page.line(match need {
            Need::Verification => "Before you can approve: verify the connection.",
            Need::Credential => "Before you can approve: make your Vault Credential.",
            Need::Password => "To approve, your password is asked for.",
        });
    }
    if view.document.is_some() {
        page.line("To compare it with your file: vettid app request approve ID --document FILE");
    }
    page.field("terms", view.request_hash.to_string());
}

impl Show for AnsweredList {
    fn show(&self, page: &mut Page) {
        if self.answered.is_empty() {
            page.line("There are none.");
            return;
        }
        let row = |one: &Answered| {
            let (at, id) = (minute(one.answered_at), one.request_id.to_string());
            [standing(one), one.display_name.clone(), one.title.clone(), at, id]
        };
        let rows: Vec<[String; 5]> = self.answered.iter().map(row).collect();
        page.table(["STANDING", "WITH", "WHAT", "ANSWERED", "ID"], &rows);
        page.gap();
        page.next("To keep a record", "vettid app record export ID --to FILE");
    }
}

impl Show for Answered {
    fn show(&self, page: &mut Page) {
        page.line(format!("{}: {}", self.display_name, self.title));
        page.field("standing", standing(self));
        page.field("answered", minute(self.answered_at));
        page.field("id", self.request_id.to_string());
    }
}

fn standing(one: &Answered) -> String {
    let decided = match (one.decision, one.method) {
        (Decision::Approve, _) => "approved",
        (Decision::Deny, AnswerMethod::Rule) => "denied by a rule",
        (Decision::Deny, _) => "denied",
    };
    match (one.withdrawn_at, one.in_force, one.until) {
        (Some(at), _, _) => format!("taken back {}", minute(at)),
        (None, true, Some(until)) => format!("in force until {}", minute(until)),
        (None, true, None) => "in force".to_owned(),
        (None, false, _) => decided.to_owned(),
    }
}
