//! Events, replies and notes between the form that handlers see and their WIT form. Decides nothing.

use crate::bindings::vettid::handler::{exchange as wit, feed, log};
use vettid_handler::event::{Answer, Context, Event, Peer, Service};
use vettid_handler::feed::{FeedNote, Level};
use vettid_handler::host::HostError;
use vettid_handler::reply::{Fault, HandlerError, Question, Reply};
use vettid_wire::auth::{Decision, Display};
use vettid_wire::contract::{Permission, Tier};
use vettid_wire::event::Lane;
use vettid_wire::feed::{Outcome, Severity};
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::Ask;
use vettid_wire::time::Timestamp;

macro_rules! mirror {
    ($function:ident: $from:ty => $to:ty { $($case:ident),* }) => {
        pub(crate) fn $function(value: $from) -> $to {
            match value { $(<$from>::$case => <$to>::$case,)* }
        }
    };
}

mirror!(from_lane: Lane => wit::Lane { Bootstrap, Owner, App, Invite, Connection, Service, Member, Services });
mirror!(from_tier: Tier => wit::Tier { Required, Optional, OnDemand, Consent });
mirror!(from_permission: Permission => wit::Permission {
    RequestAuthentication, RequestPayment, SendMessages, StoreData, Call, RequestConsent, RequestSignature, RequestProof
});
mirror!(from_decision: Decision => wit::Decision { Approve, Deny });
mirror!(to_refusal: wit::RefusalCode => RefusalCode {
    UnsupportedEvent, InvalidRequest, NotAllowed, NotConnected, NotInContract, ContractMismatch, RateLimited, Denied,
    Expired, NotAvailable, NotFound, Conflict, Locked, Unavailable, OnHold, Spent, NoRoom,
    RetentionTooLong, ContractFrozen
});
mirror!(from_host_error: HostError => wit::HostError { Denied, Invalid, Quota, NotConnected, Unavailable });
mirror!(to_severity: feed::Severity => Severity { Info, Notice, Warning, Alarm });
mirror!(to_level: log::Level => Level { Debug, Info, Warn, Error });

pub(crate) fn from_time(time: Timestamp) -> u64 {
    u64::try_from(time.unix_ms()).unwrap_or(0)
}

/// `None` outside the years of the wire.
fn to_time(unix_ms: u64) -> Option<Timestamp> {
    let unix_ms = i64::try_from(unix_ms).ok()?;
    Some(Timestamp::from_unix_ms(unix_ms)).filter(|time| time.unix_ms() == unix_ms)
}

pub(crate) fn from_event(event: &Event) -> wit::Event {
    wit::Event { context: from_context(&event.context), payload: event.payload.clone() }
}

fn from_context(context: &Context) -> wit::Context {
    wit::Context {
        event_id: context.event_id.to_string(),
        event_type: context.event_type.to_string(),
        lane: from_lane(context.lane),
        occurred_at: from_time(context.occurred_at),
        peer: context.peer.as_ref().map(from_peer),
        answer: context.answer.as_ref().map(from_answer),
    }
}

fn from_peer(peer: &Peer) -> wit::Peer {
    wit::Peer {
        connection_id: peer.connection_id.to_string(),
        display_name: peer.display_name.clone(),
        service: peer.service.as_ref().map(from_service),
    }
}

fn from_service(service: &Service) -> wit::Service {
    wit::Service {
        service_id: service.service_id.to_string(),
        contract_hash: service.contract_hash.to_string(),
        permissions: service.permissions.iter().copied().map(from_permission).collect(),
        origins: service.origins.clone(),
        tier: service.tier.map(from_tier),
    }
}

fn from_answer(answer: &Answer) -> wit::Answer {
    match answer {
        Answer::Decided(decided) => wit::Answer::Decided(wit::Decided {
            decision: from_decision(decided.decision),
            decided_at: from_time(decided.decided_at),
            method: decided.method.clone(),
        }),
        Answer::Expired => wit::Answer::Expired,
    }
}

/// What the component answered; an id or a time of the wrong form is its fault.
pub(crate) fn to_result(answer: Result<wit::Reply, wit::HandlerError>) -> Result<Reply, HandlerError> {
    match answer {
        Ok(wit::Reply::Body(body)) => Ok(Reply::Body(body)),
        Ok(wit::Reply::None) => Ok(Reply::None),
        Ok(wit::Reply::Ask(question)) => to_question(question).map(Reply::Ask).ok_or(HandlerError::Fault(Fault::Reply)),
        Err(wit::HandlerError::Refuse(code)) => Err(HandlerError::Refuse(to_refusal(code))),
        Err(wit::HandlerError::Retry(reason)) => Err(HandlerError::Retry(reason)),
    }
}

fn to_question(question: wit::Question) -> Option<Question> {
    Some(Question {
        request_id: question.request_id.parse().ok()?,
        ask: to_ask(question.ask),
        expires_at: to_time(question.expires_at)?,
        interim: question.interim,
    })
}

fn to_ask(ask: wit::Ask) -> Ask {
    match ask {
        wit::Ask::Data(wit::DataAsk { field, purpose }) => Ask::Data { field, purpose },
        wit::Ask::Login(wit::LoginAsk { origin, display }) => {
            let wit::Browser { browser, city, ip_prefix } = display;
            Ask::Login { origin, display: Display { browser, city, ip_prefix } }
        }
    }
}

/// `None` if the request id does not have the form of one.
pub(crate) fn to_note(note: feed::FeedNote) -> Option<FeedNote> {
    let outcome = match note.outcome {
        feed::Outcome::Done => Outcome::Done,
        feed::Outcome::Pending => Outcome::Pending,
        feed::Outcome::Approved => Outcome::Approved,
        feed::Outcome::Denied => Outcome::Denied,
        feed::Outcome::Refused(code) => Outcome::Refused(to_refusal(code)),
    };
    let request_id = match note.request_id {
        Some(id) => Some(id.parse().ok()?),
        None => None,
    };
    Some(FeedNote { severity: to_severity(note.severity), outcome, summary: note.summary, request_id })
}
