//! Events and replies between their WIT form and the form that handlers see. Decides nothing.

use crate::bindings::vettid::handler::exchange as wit;
use vettid_handler::event::{Answer, Context, Decided, Event, Peer, Service};
use vettid_handler::reply::{Fault, HandlerError, Question, Reply};
use vettid_wire::auth::Decision;
use vettid_wire::contract::{Permission, Tier};
use vettid_wire::event::Lane;
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

mirror!(to_lane: wit::Lane => Lane { Bootstrap, Owner, App, Invite, Connection, Service, Member, Services });
mirror!(to_tier: wit::Tier => Tier { Required, Optional, OnDemand, Consent });
mirror!(to_permission: wit::Permission => Permission {
    RequestAuthentication, RequestPayment, SendMessages, StoreData, Call, RequestConsent, RequestSignature, RequestProof
});
mirror!(to_decision: wit::Decision => Decision { Approve, Deny });
mirror!(from_refusal: RefusalCode => wit::RefusalCode {
    UnsupportedEvent, InvalidRequest, NotAllowed, NotConnected, NotInContract, ContractMismatch, RateLimited, Denied,
    Expired, NotAvailable, NotFound, Conflict, Locked, Unavailable, OnHold, Spent, NoRoom,
    RetentionTooLong, ContractFrozen
});

pub(crate) fn to_time(unix_ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(i64::try_from(unix_ms).unwrap_or(i64::MAX))
}

fn from_time(time: Timestamp) -> u64 {
    u64::try_from(time.unix_ms()).unwrap_or(0)
}

/// `None` if an id does not have the form that the host promised.
pub(crate) fn to_event(event: wit::Event) -> Option<Event> {
    let wit::Context { event_id, event_type, lane, occurred_at, peer, answer } = event.context;
    let peer = match peer {
        Some(peer) => Some(to_peer(peer)?),
        None => None,
    };
    let context = Context {
        event_id: event_id.parse().ok()?,
        event_type: event_type.parse().ok()?,
        lane: to_lane(lane),
        occurred_at: to_time(occurred_at),
        peer,
        answer: answer.map(to_answer),
    };
    Some(Event { context, payload: event.payload })
}

fn to_peer(peer: wit::Peer) -> Option<Peer> {
    let service = match peer.service {
        Some(service) => Some(to_service(service)?),
        None => None,
    };
    Some(Peer { connection_id: peer.connection_id.parse().ok()?, display_name: peer.display_name, service })
}

fn to_service(service: wit::Service) -> Option<Service> {
    Some(Service {
        service_id: service.service_id.parse().ok()?,
        contract_hash: service.contract_hash.parse().ok()?,
        permissions: service.permissions.into_iter().map(to_permission).collect(),
        origins: service.origins,
        tier: service.tier.map(to_tier),
    })
}

fn to_answer(answer: wit::Answer) -> Answer {
    match answer {
        wit::Answer::Decided(decided) => Answer::Decided(Decided {
            decision: to_decision(decided.decision),
            decided_at: to_time(decided.decided_at),
            method: decided.method,
        }),
        wit::Answer::Expired => Answer::Expired,
    }
}

pub(crate) fn from_reply(reply: Reply) -> wit::Reply {
    match reply {
        Reply::Body(body) => wit::Reply::Body(body),
        Reply::None => wit::Reply::None,
        Reply::Ask(question) => wit::Reply::Ask(from_question(question)),
    }
}

fn from_question(question: Question) -> wit::Question {
    wit::Question {
        request_id: question.request_id.to_string(),
        ask: from_ask(question.ask),
        expires_at: from_time(question.expires_at),
        interim: question.interim,
    }
}

fn from_ask(ask: Ask) -> wit::Ask {
    match ask {
        Ask::Data { field, purpose } => wit::Ask::Data(wit::DataAsk { field, purpose }),
        Ask::Login { origin, display } => {
            let display = wit::Browser { browser: display.browser, city: display.city, ip_prefix: display.ip_prefix };
            wit::Ask::Login(wit::LoginAsk { origin, display })
        }
        // The vault asks for this itself; no handler does.
        Ask::Authorisation(_) | Ask::DataBatch { .. } => stop(Fault::Reply),
    }
}

/// A fault has no form across the border: the component stops, and its host sees a crash.
pub(crate) fn from_error(error: HandlerError) -> wit::HandlerError {
    match error {
        HandlerError::Refuse(code) => wit::HandlerError::Refuse(from_refusal(code)),
        HandlerError::Retry(reason) => wit::HandlerError::Retry(reason),
        HandlerError::Fault(fault) => stop(fault),
    }
}

#[expect(clippy::panic, reason = "a trap is how a component reports a fault")]
fn stop(fault: Fault) -> ! {
    panic!("{fault}")
}
