//! What `vettid app request` and `vettid app transaction` have in common: proposing, answering and exporting. Terms are approved
//! by their hash, and only after they were shown.

use super::Client;
use super::advice;
use super::credential::failure as credential_failure;
use super::password::PasswordInput;
use crate::failure::{Exit, Failure};
use crate::output::Output;
use clap::Args;
use show::Reviewed;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use terms::Template;
use vettid_client::command::CommandError;
use vettid_wire::agreement::{
    AgreementKind, AgreementList, AgreementRef, AgreementSide, AgreementView, AnswerTerms, CounterTerms,
    ListAgreements, MAX_LISTED, Need, PermitTerms, Propose, Standing, Stepped, Terms,
};
use vettid_wire::auth::Decision;
use vettid_wire::digest::Digest;
use vettid_wire::event::{
    AgreementAnswer, AgreementCounter, AgreementGet, AgreementList as ListRow, AgreementPropose, AgreementWithdraw,
};
use vettid_wire::id::{AgreementId, ConnectionId};
use vettid_wire::refusal::RefusalCode;

mod show;
mod terms;

pub(super) use terms::{document, whole_minute};

#[derive(Debug, Args)]
pub(super) struct New {
    /// The connection
    #[arg(value_name = "CONNECTION")]
    connection: ConnectionId,
    /// An id of your own: the same one with the same terms is one proposal, however often it is sent
    #[arg(long, value_name = "ID")]
    id: Option<AgreementId>,
    #[command(flatten)]
    within: Within,
    #[command(flatten)]
    password: PasswordInput,
    #[command(subcommand)]
    template: Template,
}

#[derive(Debug, Args)]
struct Within {
    /// How long the terms wait for an answer, such as 30m or 48h, at most 2160h
    #[arg(long, value_name = "TIME", default_value = "168h", value_parser = super::input::seconds)]
    answer_within: u32,
}

#[derive(Debug, Args)]
pub(super) struct Counter {
    /// The request
    #[arg(value_name = "ID")]
    id: AgreementId,
    #[command(flatten)]
    within: Within,
    #[command(flatten)]
    password: PasswordInput,
    #[command(subcommand)]
    template: Template,
}

#[derive(Debug, Args)]
pub(super) struct Approve {
    /// The request or transaction
    #[arg(value_name = "ID")]
    pub(super) id: AgreementId,
    /// The terms that you saw, by the hash that `show` prints; without it they are shown and you are asked
    #[arg(long, value_name = "HASH", allow_hyphen_values = true)]
    pub(super) terms: Option<Digest>,
    /// For a login from a browser that nobody knows: the number that the page shows
    #[arg(long, value_name = "NUMBER")]
    pub(super) number: Option<u8>,
    /// For a login: this browser is known from now on
    #[arg(long)]
    pub(super) remember: bool,
    /// Where several fields are asked for: say yes to this one
    #[arg(long = "field", value_name = "FIELD")]
    pub(super) fields: Vec<String>,
    #[command(flatten)]
    pub(super) password: PasswordInput,
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// The request or transaction
    #[arg(value_name = "ID")]
    pub(super) id: AgreementId,
}

impl Within {
    fn ms(&self) -> i64 {
        i64::from(self.answer_within) * 1000
    }
}

pub(super) async fn list(app: &Client, kind: Option<AgreementKind>) -> Result<AgreementList, Failure> {
    let asked = ListAgreements { kind, limit: MAX_LISTED };
    app.command::<ListRow>(asked).await.map_err(advice::command)
}

pub(super) async fn show(app: &Client, output: Output, id: AgreementId) -> Result<(), Failure> {
    Ok(output.result(&Reviewed::of(get(app, id).await?))?)
}

async fn get(app: &Client, id: AgreementId) -> Result<AgreementView, Failure> {
    app.command::<AgreementGet>(AgreementRef { agreement_id: id }).await.map_err(advice::command)
}

/// The agreement of this id, if there is one.
pub(super) async fn find(app: &Client, id: AgreementId) -> Result<Option<AgreementView>, Failure> {
    match app.command::<AgreementGet>(AgreementRef { agreement_id: id }).await {
        Ok(view) => Ok(Some(view)),
        Err(CommandError::Refused { code: RefusalCode::NotFound, .. }) => Ok(None),
        Err(error) => Err(advice::command(error)),
    }
}

pub(super) async fn new(app: &Client, output: Output, kind: AgreementKind, new: New) -> Result<(), Failure> {
    let propose = Propose {
        agreement_id: new.id.unwrap_or_else(|| app.fresh_agreement_id()),
        connection_id: new.connection,
        kind,
        terms: new.template.terms(AgreementSide::Proposer)?,
        expires_at: app.after_ms(new.within.ms()),
    };
    let send = async || app.command::<AgreementPropose>(propose.clone()).await.map_err(advice::command);
    let view = with_password(app, (propose.agreement_id, &propose.terms), &new.password, send).await?;
    Ok(output.result(&Reviewed::of(view))?)
}

pub(super) async fn counter(app: &Client, output: Output, counter: Counter) -> Result<(), Failure> {
    let before = get(app, counter.id).await?;
    let asked = CounterTerms {
        agreement_id: counter.id,
        shown: before.terms_hash,
        terms: counter.template.terms(before.side)?,
        expires_at: app.after_ms(counter.within.ms()),
    };
    let send = async || app.command::<AgreementCounter>(asked.clone()).await.map_err(advice::command);
    let view = with_password(app, (counter.id, &asked.terms), &counter.password, send).await?;
    Ok(output.result(&Reviewed::of(view))?)
}

pub(super) async fn approve(app: &Client, output: Output, approve: Approve) -> Result<(), Failure> {
    let view = get(app, approve.id).await?;
    let shown = match approve.terms {
        Some(shown) => shown,
        None => confirmed(&view)?,
    };
    if shown == view.terms_hash && view.needs == [Need::Password] {
        permit(app, approve.id, &view.terms, &approve.password).await?;
    }
    answer(app, output, approve.id, (shown, Decision::Approve)).await
}

pub(super) async fn deny(app: &Client, output: Output, id: AgreementId) -> Result<(), Failure> {
    let shown = get(app, id).await?.terms_hash;
    answer(app, output, id, (shown, Decision::Deny)).await
}

async fn answer(
    app: &Client,
    output: Output,
    id: AgreementId,
    (shown, decision): (Digest, Decision),
) -> Result<(), Failure> {
    let asked = AnswerTerms { agreement_id: id, shown, decision };
    let view = done(app.command::<AgreementAnswer>(asked).await.map_err(advice::command)?)?;
    Ok(output.result(&Reviewed::of(view))?)
}

pub(super) async fn withdraw(app: &Client, output: Output, id: AgreementId) -> Result<(), Failure> {
    let asked = AgreementRef { agreement_id: id };
    let view = done(app.command::<AgreementWithdraw>(asked).await.map_err(advice::command)?)?;
    Ok(output.result(&Reviewed::of(view))?)
}

/// Shows the terms at the terminal and asks; their hash, after a yes.
fn confirmed(view: &AgreementView) -> Result<Digest, Failure> {
    let next = format!("read them with: vettid app {} show {}", noun(view.kind), view.agreement_id);
    confirm(&format!("{} proposes:", view.display_name), &view.displayed, next)?;
    Ok(view.terms_hash)
}

/// Shows what is to be approved at the terminal and asks; `next` is what to do where there is no terminal.
pub(super) fn confirm(who: &str, displayed: &[String], next: String) -> Result<(), Failure> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::usage("say which terms you saw, with --terms HASH").next(next));
    }
    let mut screen = io::stderr();
    writeln!(screen, "{}", crate::output::printable(who))?;
    for line in displayed {
        writeln!(screen, "  {}", crate::output::printable(line))?;
    }
    for warning in show::warnings(who, displayed) {
        writeln!(screen, "CAREFUL: {}", crate::output::printable(&warning.to_string()))?;
    }
    write!(screen, "Approve exactly this? [y/N] ")?;
    let mut typed = String::new();
    io::stdin().lock().take(64).read_line(&mut typed)?;
    if typed.trim().eq_ignore_ascii_case("y") { Ok(()) } else { Err(Failure::new(Exit::Refused, "not approved")) }
}

/// The password for these terms.
/// Sends terms; if the vault wants the password for them, it is asked for, and they are sent again.
async fn with_password(
    app: &Client,
    (id, terms): (AgreementId, &Terms),
    input: &PasswordInput,
    send: impl AsyncFn() -> Result<Stepped, Failure>,
) -> Result<AgreementView, Failure> {
    match send().await? {
        Stepped::Missing(Need::Password) => {
            permit(app, id, terms, input).await?;
            done(send().await?)
        }
        stepped => done(stepped),
    }
}

async fn permit(app: &Client, id: AgreementId, terms: &Terms, input: &PasswordInput) -> Result<(), Failure> {
    let asked = PermitTerms { agreement_id: id, terms: terms.clone() };
    app.permit_terms(asked, &mut input.present()?).await.map(drop).map_err(credential_failure)
}

fn done(stepped: Stepped) -> Result<AgreementView, Failure> {
    let refused = |text: &str| Failure::new(Exit::Refused, text);
    match stepped {
        Stepped::Done(view) => Ok(*view),
        Stepped::Missing(Need::Verification) => Err(refused("payments need a verified connection")
            .next("compare the safety number, then: vettid app connection verify ID")),
        Stepped::Missing(Need::Credential) => {
            Err(refused("a payment needs the password of your Vault Credential, and you have none")
                .next("vettid app credential create"))
        }
        Stepped::Missing(Need::Password) => {
            Err(refused("the vault still wants the password for this payment").next("run the command again"))
        }
    }
}

/// What the kind is called on the command line.
fn noun(kind: AgreementKind) -> &'static str {
    match kind {
        AgreementKind::Request => "request",
        AgreementKind::Transaction => "transaction",
    }
}

/// Whether the owner is to do something.
pub(super) fn waits(standing: Standing) -> bool {
    standing == Standing::ToAnswer
}
