//! Commands of the owner, by the noun that they are about: which function carries out which. Decides nothing itself.

use super::{Outcomes, run};
use crate::failure::Failure;
use crate::service::message;
use crate::step::Step;
use crate::{agreement, authorisation, call, contract, feed, file, location, login, rule, stored};
use serde_json::Value;
use vettid_wire::event::{self, Row};
use vettid_wire::refusal::RefusalCode;

/// Contracts with services.
pub(super) fn of_contract(step: &mut Step<'_>, row: &Row, body: &Value) -> Result<Outcomes, Failure> {
    match row.name {
        "contract.list" => run::<event::ContractList>(body, |_| contract::list(step)),
        "contract.get" => run::<event::ContractGet>(body, |asked| contract::get(step, asked.connection_id)),
        "contract.statement.export" => run::<event::ContractStatement>(body, |asked| contract::statement(step, &asked)),
        "contract.test" => run::<event::ContractTest>(body, |asked| contract::test(step, &asked)),
        "contract.decide" => run::<event::ContractDecide>(body, |asked| contract::decide(step, &asked)),
        _ => Ok(Err(RefusalCode::UnsupportedEvent)),
    }
}

/// What services stored with the owner.
pub(super) fn of_stored(step: &mut Step<'_>, row: &Row, body: &Value) -> Result<Outcomes, Failure> {
    match row.name {
        "stored.list" => run::<event::StoredList>(body, |asked| stored::owner::list(step, &asked)),
        "stored.get" => run::<event::StoredGet>(body, |asked| stored::owner::get(step, &asked)),
        "stored.delete" => run::<event::StoredDelete>(body, |asked| stored::owner::delete(step, &asked)),
        _ => Ok(Err(RefusalCode::UnsupportedEvent)),
    }
}

/// The owner's rules.
pub(super) fn of_rule(step: &mut Step<'_>, row: &Row, body: &Value) -> Result<Outcomes, Failure> {
    match row.name {
        "rule.set" => run::<event::RuleSet>(body, |request| rule::set(step, request)),
        "rule.list" => run::<event::RuleList>(body, |_| rule::list(step)),
        "rule.remove" => run::<event::RuleRemove>(body, |request| rule::remove(step, &request)),
        "rule.test" => run::<event::RuleTest>(body, |request| rule::past::test(step, request)),
        _ => Ok(Err(RefusalCode::UnsupportedEvent)),
    }
}

/// Logins at services.
pub(super) fn of_login(step: &mut Step<'_>, row: &Row, body: &Value) -> Result<Outcomes, Failure> {
    match row.name {
        "login.open" => run::<event::LoginOpen>(body, |request| login::open(step, &request)),
        "login.settings" => run::<event::LoginSettings>(body, |request| login::set(step, &request)),
        "browser.list" => run::<event::BrowserList>(body, |_| login::list(step)),
        "browser.forget" => run::<event::BrowserForget>(body, |request| login::forget_browser(step, &request)),
        _ => Ok(Err(RefusalCode::UnsupportedEvent)),
    }
}

/// Carries out a command about files that needs no store.
pub(super) fn of_file(step: &mut Step<'_>, row: &Row, body: &Value) -> Result<Outcomes, Failure> {
    match row.name {
        "file.begin" => run::<event::FileBegin>(body, |request| file::owner::begin(step, request)),
        "file.list" => run::<event::FileList>(body, |request| file::owner::list(step, &request)),
        "file.status" => run::<event::FileStatus>(body, |request| file::owner::status(step, &request)),
        "file.get" => run::<event::FileGet>(body, |request| file::owner::get(step, &request)),
        "file.fetch" => run::<event::FileFetch>(body, |request| file::owner::fetch(step, &request)),
        _ => Ok(Err(RefusalCode::UnsupportedEvent)),
    }
}

/// Carries out a command about requests and transactions.
pub(super) fn of_agreement(step: &mut Step<'_>, row: &Row, body: &Value) -> Result<Outcomes, Failure> {
    use agreement::command;
    match row.name {
        "agreement.propose" => run::<event::AgreementPropose>(body, |request| command::propose(step, request)),
        "agreement.counter" => run::<event::AgreementCounter>(body, |request| command::counter(step, request)),
        "agreement.answer" => run::<event::AgreementAnswer>(body, |request| command::answer(step, &request)),
        "agreement.withdraw" => run::<event::AgreementWithdraw>(body, |request| command::withdraw(step, &request)),
        "agreement.list" => run::<event::AgreementList>(body, |request| agreement::list(step, &request)),
        "agreement.get" => run::<event::AgreementGet>(body, |request| agreement::get(step, &request)),
        "agreement.export" => run::<event::AgreementExport>(body, |request| agreement::export(step, &request)),
        _ => Ok(Err(RefusalCode::UnsupportedEvent)),
    }
}

/// Commands about what services want the owner's word for.
pub(super) fn of_authorisation(step: &mut Step<'_>, row: &Row, body: &Value) -> Result<Outcomes, Failure> {
    match row.name {
        "authorisation.list" => run::<event::AuthorisationList>(body, |asked| authorisation::list(step, &asked)),
        "authorisation.export" => run::<event::AuthorisationExport>(body, |asked| authorisation::export(step, &asked)),
        "consent.withdraw" => {
            run::<event::ConsentWithdraw>(body, |asked| authorisation::consent::withdraw(step, &asked))
        }
        _ => Ok(Err(RefusalCode::UnsupportedEvent)),
    }
}

/// Commands about messages of services.
pub(super) fn of_service_message(step: &mut Step<'_>, row: &Row, body: &Value) -> Result<Outcomes, Failure> {
    match row.name {
        "service_message.list" => run::<event::ServiceMessageList>(body, |asked| message::list(step, &asked)),
        "service_message.read" => run::<event::ServiceMessageRead>(body, |asked| message::read(step, &asked)),
        "service_message.remove" => run::<event::ServiceMessageRemove>(body, |asked| message::remove(step, &asked)),
        "service_message.mute" => run::<event::ServiceMute>(body, |asked| message::mute(step, &asked)),
        _ => Ok(Err(RefusalCode::UnsupportedEvent)),
    }
}

/// Commands about where the owner is.
pub(super) fn of_location(step: &mut Step<'_>, row: &Row, body: &Value) -> Result<Outcomes, Failure> {
    match row.name {
        "location.share" => run::<event::LocationShare>(body, |request| location::start(step, &request)),
        "location.stop" => run::<event::LocationStop>(body, |request| location::stop(step, &request)),
        "location.update" => run::<event::LocationUpdate>(body, |request| location::update(step, &request)),
        "location.list" => run::<event::LocationList>(body, |_| location::list(step)),
        _ => Ok(Err(RefusalCode::UnsupportedEvent)),
    }
}

/// Carries out a command about calls.
pub(super) fn of_call(step: &mut Step<'_>, row: &Row, body: &Value) -> Result<Outcomes, Failure> {
    use call::command;
    match row.name {
        "call.offer" => run::<event::PlaceCall>(body, |request| command::place(step, request)),
        "call.answer" => run::<event::TakeCall>(body, |request| command::take(step, request)),
        "call.decline" => run::<event::DeclineCall>(body, |request| command::hang_up(step, &request)),
        "call.hang_up" => run::<event::HangUpCall>(body, |request| command::hang_up(step, &request)),
        "call.candidates" => run::<event::AddCandidates>(body, |request| command::add_candidates(step, request)),
        "call.list" => run::<event::CallList>(body, |request| command::list(step, &request)),
        "call.get" => run::<event::CallGet>(body, |request| command::get(step, &request)),
        "call.settings" => run::<event::CallSettings>(body, |request| call::settings::set(step, &request)),
        _ => Ok(Err(RefusalCode::UnsupportedEvent)),
    }
}

/// Carries out a command on the feed.
pub(super) fn of_feed(step: &mut Step<'_>, row: &Row, body: &Value) -> Result<Outcomes, Failure> {
    match row.name {
        "feed.list" => run::<event::FeedList>(body, |request| Ok(Ok(feed::list(&step.draft, &request)?))),
        "feed.search" => run::<event::FeedSearch>(body, |request| Ok(feed::search(step.feed, &step.draft, &request)?)),
        "feed.get" => run::<event::FeedGet>(body, |request| {
            Ok(feed::get(&step.draft, request.number)?.ok_or(RefusalCode::NotFound))
        }),
        "feed.tag" => run::<event::FeedTag>(body, |request| Ok(feed::tag(&mut step.draft, &request)?)),
        "feed.archive" => {
            run::<event::FeedArchive>(body, |request| Ok(feed::archive(&mut step.draft, step.now, &request)?))
        }
        "feed.remove" => run::<event::FeedRemove>(body, |request| Ok(feed::remove(&mut step.draft, &request.numbers)?)),
        "feed.read" => run::<event::FeedRead>(body, |request| Ok(feed::read(&mut step.draft, &request)?)),
        "feed.unread" => run::<event::FeedUnread>(body, |_| Ok(Ok(feed::unread(step.feed, &step.draft)?))),
        "feed.policy" => run::<event::FeedPolicy>(body, |request| Ok(feed::policy(step, &request)?)),
        _ => Ok(Err(RefusalCode::UnsupportedEvent)),
    }
}
