//! `vettid app request`: what waits for the member's decision, and requests between members.

mod fields;

use super::Client;
use super::advice::command;
use super::agreement::{self, Approve, Counter, New, One};
use super::authorisation::{self, Approving};
use super::badge;
use super::credential::failure as credential_failure;
use super::login;
use super::transaction::Limit;
use crate::failure::{Exit, Failure};
use crate::output::{Output, Page, Show, count, minute};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;
use vettid_client::clock::{Clock, SystemClock};
use vettid_client::command::CommandError;
use vettid_client::directory::Badge;
use vettid_wire::agreement::{AgreementKind, AgreementList, AgreementSummary, FreePayments};
use vettid_wire::auth::Decision;
use vettid_wire::event::{Nothing, RequestDecide, RequestList as ListRow};
use vettid_wire::id::{AgreementId, RequestId};
use vettid_wire::login::{LoginCheck, LoginLevel, PermitLogin};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::{Ask, Decide, Decided, PendingRequest, RequestList};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Propose terms to a connected member, who may propose others instead
    #[command(after_help = "\
Examples:
  vettid app request new CONNECTION meeting --subject Lease --at 2026-12-01T09:30 --minutes 30 \\
    --place 'The station'
  vettid app request new CONNECTION data --giver them --field address \\
    --purpose 'to send the lease'
  vettid app request new CONNECTION document lease.pdf

CONNECTION is from `vettid app connection list`. For terms that cannot be changed: vettid app transaction new")]
    New(New),
    /// List what waits for you, oldest first, and the requests between you and other members
    #[command(after_help = "Example:\n  vettid app request list")]
    List,
    /// Show one request of a member: exactly what is signed
    #[command(after_help = "Example:\n  vettid app request show ID")]
    Show(One),
    /// Propose other terms instead of those that you were shown
    #[command(after_help = "\
Example:
  vettid app request counter ID meeting --subject Lease --at 2026-12-01T10:30 --minutes 30 \\
    --place 'The station'")]
    Counter(Counter),
    /// Say yes
    #[command(after_help = "\
Examples:
  vettid app request approve ID
  vettid app request approve ID --terms HASH
  vettid app request approve ID --document lease.pdf
  vettid app request approve ID --terms HASH --password-stdin < password.txt
  vettid app request approve ID --remember
  vettid app request approve ID --number 42
  vettid app request approve ID --field address --field email

Where several fields are asked for, you say yes to each that you name with --field, or to the ones that you are asked about
here; the others are denied. --remember and --number are for logins. After a login on this device, open the address that is printed in the browser
that waits.")]
    Approve(ApproveRequest),
    /// Say no
    #[command(after_help = "Example:\n  vettid app request deny ID")]
    Deny(One),
    /// Take your terms back, while nobody approved them
    #[command(after_help = "Example:\n  vettid app request withdraw ID")]
    Withdraw(One),
    /// List what you answered services that wanted your word: payments, consent, documents, proofs
    #[command(after_help = "Example:\n  vettid app request answered")]
    Answered,
    /// Say up to how much a payment that a service asks for needs no password
    #[command(after_help = "\
Examples:
  vettid app request limit --currency EUR --at-most 20
  vettid app request limit --currency EUR --none

At first every payment needs it. You are asked about each one all the same.")]
    Limit(Limit),
}

#[derive(Debug, Args)]
pub(super) struct ApproveRequest {
    #[command(flatten)]
    approve: Approve,
    /// The document as you have it: nothing is approved if it is not the one to be signed
    #[arg(long, value_name = "FILE")]
    document: Option<PathBuf>,
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Command::New(new) => agreement::new(app, output, AgreementKind::Request, new).await,
        Command::List => list(app, output).await,
        Command::Show(One { id }) => agreement::show(app, output, id).await,
        Command::Counter(counter) => agreement::counter(app, output, counter).await,
        Command::Approve(approve) => approve_one(app, output, approve).await,
        Command::Deny(One { id }) => match decide(app, id, no(id)).await? {
            Some(decided) => Ok(output.result(&decided)?),
            None => agreement::deny(app, output, id).await,
        },
        Command::Withdraw(One { id }) => agreement::withdraw(app, output, id).await,
        Command::Answered => Ok(output.result(&authorisation::list(app, None).await?)?),
        Command::Limit(Limit { currency, at_most, password, .. }) => {
            let limit = FreePayments { currency, at_most };
            let set = app.free_requests(limit, &mut password.present()?).await.map_err(credential_failure)?;
            Ok(output.result(&set)?)
        }
    }
}

async fn approve_one(app: &Client, output: Output, wanted: ApproveRequest) -> Result<(), Failure> {
    let ApproveRequest { approve, document } = wanted;
    if let Some((pending, view)) = authorisation::open(app, RequestId::from_bytes(approve.id.to_bytes())).await? {
        let approving = Approving { terms: approve.terms, document, password: &approve.password };
        let decided = authorisation::approve(app, (&pending, &view), approving).await?;
        return Ok(output.result(&decided)?);
    }
    if document.is_some() {
        return Err(Failure::usage("this request is not about a document of a service"));
    }
    match yes(app, &approve).await? {
        Some(decided) => Ok(output.result(&decided)?),
        None => agreement::approve(app, output, approve).await,
    }
}

async fn list(app: &Client, output: Output) -> Result<(), Failure> {
    let RequestList { requests } = app.command::<ListRow>(Nothing {}).await.map_err(command)?;
    let AgreementList { agreements } = agreement::list(app, Some(AgreementKind::Request)).await?;
    let badges = badge::of(requests.iter().map(|pending| pending.connection_id).collect(), app).await?;
    let badged = |pending: PendingRequest| {
        let badge = badges.get(&pending.connection_id).cloned();
        Waiting { pending, badge }
    };
    Ok(output.result(&Listed { requests: requests.into_iter().map(badged).collect(), agreements })?)
}

/// Says yes to a question that waits; `None` if none has this id.
async fn yes(app: &Client, approve: &Approve) -> Result<Option<Decided>, Failure> {
    let request_id = RequestId::from_bytes(approve.id.to_bytes());
    let RequestList { requests } = app.command::<ListRow>(Nothing {}).await.map_err(command)?;
    let found = requests.into_iter().find(|pending| pending.request_id == request_id);
    let fields = fields::chosen(found.as_ref(), &approve.fields)?;
    let check = found.and_then(|found| found.login);
    if let Some(check) = check.filter(|check| check.level == LoginLevel::Number) {
        unknown_browser(app, approve, request_id, &check).await?;
    }
    let Approve { number, remember, .. } = *approve;
    let asked = Decide { request_id, decision: Decision::Approve, number, remember, shown: None, fields };
    decide(app, approve.id, asked).await
}

/// A browser that nobody knows: not by a plain yes, but by the number of its page, the password, and not at once.
async fn unknown_browser(
    app: &Client,
    approve: &Approve,
    request_id: RequestId,
    check: &LoginCheck,
) -> Result<(), Failure> {
    let shown: Vec<_> = check.numbers.iter().map(ToString::to_string).collect();
    if !approve.number.is_some_and(|number| check.numbers.contains(&number)) {
        let text = format!("a browser that nobody knows asks: one of {} stands on its page", shown.join(", "));
        return Err(Failure::new(Exit::Refused, text)
            .next("if the page is in front of you: vettid app request approve ID --number N; if not: deny it"));
    }
    let mut password = approve.password.present()?;
    app.permit_login(PermitLogin { request_id }, &mut password).await.map_err(credential_failure)?;
    if let Some(not_before) = check.not_before {
        let left_ms = not_before.since_ms(SystemClock.now());
        tokio::time::sleep(Duration::from_millis(u64::try_from(left_ms).unwrap_or(0))).await;
    }
    Ok(())
}

fn no(id: AgreementId) -> Decide {
    let request_id = RequestId::from_bytes(id.to_bytes());
    Decide { request_id, decision: Decision::Deny, number: None, remember: false, shown: None, fields: vec![] }
}

/// Decides a question that waits; `None` if none has this id.
async fn decide(app: &Client, id: AgreementId, asked: Decide) -> Result<Option<Decided>, Failure> {
    match app.command::<RequestDecide>(asked).await {
        Ok(decided) => Ok(Some(decided)),
        Err(CommandError::Refused { code: RefusalCode::NotFound, .. }) if agreement::find(app, id).await?.is_some() => {
            Ok(None)
        }
        Err(error) => Err(command(error)),
    }
}

/// A question, with how well the service is known that asks.
#[derive(Serialize)]
struct Waiting {
    #[serde(flatten)]
    pending: PendingRequest,
    #[serde(skip_serializing_if = "Option::is_none")]
    badge: Option<Badge>,
}

/// Everything that is asked and proposed.
#[derive(Serialize)]
struct Listed {
    requests: Vec<Waiting>,
    agreements: Vec<AgreementSummary>,
}

impl Show for Listed {
    fn show(&self, page: &mut Page) {
        if self.agreements.is_empty() {
            return show_requests(&self.requests, page);
        }
        if !self.requests.is_empty() {
            show_requests(&self.requests, page);
            page.gap();
        }
        page.line("Between you and other members:");
        AgreementList { agreements: self.agreements.clone() }.show(page);
    }
}

fn show_requests(requests: &[Waiting], page: &mut Page) {
    if requests.is_empty() {
        page.line("Nothing waits for you.");
        return;
    }
    page.line(format!("{} for you:", count(requests.len() as u64, "request") + wait(requests.len())));
    for waiting in requests {
        page.gap();
        show(&waiting.pending, waiting.badge.as_ref(), page);
    }
    page.gap();
    page.next("To answer", "vettid app request approve ID   or   vettid app request deny ID");
}

fn wait(number: usize) -> &'static str {
    if number == 1 { " waits" } else { " wait" }
}

fn show(pending: &PendingRequest, badge: Option<&Badge>, page: &mut Page) {
    let who = &pending.display_name;
    match &pending.ask {
        Ask::Data { field, purpose } => {
            page.line(format!("{who} asks to read your {field}"));
            page.field("what for", purpose);
        }
        Ask::DataBatch { fields, purpose } => fields::show(who, fields, purpose, page),
        Ask::Login { origin, display } => {
            page.line(format!("{who} asks you to log in at {origin}"));
            page.field("browser", &display.browser);
            page.field("place", format!("{} ({}…), as {who} says", display.city, display.ip_prefix));
            page.field("careful", "approve only if you are logging in there yourself, right now");
            if let Some(check) = &pending.login {
                show_check(check, page);
            }
        }
        Ask::Authorisation(view) => authorisation::show(pending, view, page),
    }
    if let Some(badge) = badge {
        page.field("service", badge::words(badge));
    }
    page.field("asked", minute(pending.received_at));
    page.field("no answer", format!("counts as no from {}", minute(pending.expires_at)));
    page.field("id", pending.request_id.to_string());
}

fn show_check(check: &LoginCheck, page: &mut Page) {
    page.field("protection", login::protection(check));
    if check.level == LoginLevel::Number {
        let numbers: Vec<_> = check.numbers.iter().map(ToString::to_string).collect();
        page.field("STOP", "whoever sent you here may be logging in as you: deny it unless the page is before you");
        page.field("numbers", format!("{}; the page shows one of them", numbers.join("  ")));
        page.field("to approve", "--number N and your password, ten seconds after it came");
    }
    if check.can_remember {
        page.field("to remember", "approve with --remember, and this browser needs no link the next time");
    }
}

impl Show for Decided {
    fn show(&self, page: &mut Page) {
        page.line(match self.decision {
            Decision::Approve => "Approved.",
            Decision::Deny => "Denied.",
        });
        if let Some(return_to) = &self.return_to {
            page.gap();
            page.next("Now open this in the browser that waits, and give it to nobody", return_to);
        }
    }
}
