//! A handler, and the typed form in which first-party handlers are written.

use crate::event::{Context, Event};
use crate::host::Host;
use crate::reply::{Fault, HandlerError, Question, Reply};
use serde::Serialize;
use std::marker::PhantomData;
use vettid_wire::event::EventRow;
use vettid_wire::id::RequestId;
use vettid_wire::json;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::request::Ask;
use vettid_wire::time::Timestamp;

/// The program for one or more event types. It keeps nothing between two events but what it puts into its store.
pub trait Handler: Send + Sync {
    /// Handles one event. `host` is all that it can act with.
    fn handle(&self, host: &mut dyn Host, event: &Event) -> Result<Reply, HandlerError>;
}

/// The typed answer of a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<R> {
    /// Done, with this reply.
    Reply(R),
    /// Done; nothing is answered.
    Done,
    /// The owner must be asked first.
    Ask {
        /// The request, as its sender named it.
        request_id: RequestId,
        /// What is asked.
        ask: Ask,
        /// Unanswered until then, it counts as denied.
        expires_at: Timestamp,
        /// A reply for now.
        interim: Option<R>,
    },
}

/// A function over the request and reply types of a row, shown as a handler.
pub(crate) struct Typed<R, F> {
    function: F,
    row: PhantomData<fn() -> R>,
}

impl<R, F> Typed<R, F> {
    pub(crate) fn new(function: F) -> Self {
        Self { function, row: PhantomData }
    }
}

impl<R, F> Handler for Typed<R, F>
where
    R: EventRow,
    F: Fn(&mut dyn Host, &Context, R::Request) -> Result<Outcome<R::Reply>, HandlerError> + Send + Sync,
{
    fn handle(&self, host: &mut dyn Host, event: &Event) -> Result<Reply, HandlerError> {
        if event.payload.len() > R::ROW.cap_bytes {
            return Err(RefusalCode::InvalidRequest.into());
        }
        let request = json::read(&event.payload).map_err(|_| RefusalCode::InvalidRequest)?;
        untyped((self.function)(host, &event.context, request)?)
    }
}

fn untyped<R: Serialize>(outcome: Outcome<R>) -> Result<Reply, HandlerError> {
    Ok(match outcome {
        Outcome::Reply(reply) => Reply::Body(body(&reply)?),
        Outcome::Done => Reply::None,
        Outcome::Ask { request_id, ask, expires_at, interim } => {
            let interim = interim.as_ref().map(body).transpose()?;
            Reply::Ask(Question { request_id, ask, expires_at, interim })
        }
    })
}

fn body(reply: &impl Serialize) -> Result<Vec<u8>, HandlerError> {
    json::canonical(reply).map_err(|_| HandlerError::Fault(Fault::Reply))
}
