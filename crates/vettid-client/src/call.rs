//! Calls for the app: an id for a new one, and a watch over the one that is on.

use crate::app::{App, Ports};
use crate::clock::Clock as _;
use crate::command::CommandError;
use crate::line::Line;
use crate::random;
use crate::watch::{Came, Pushes};
use std::collections::VecDeque;
use vettid_wire::call::{CallDetail, CallRef, CallState, ListCalls};
use vettid_wire::event::{CallChanged, CallGet, CallList, EventRow as _};
use vettid_wire::id::CallId;

/// What a watch over calls saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallWatched {
    /// It is connected (again).
    Connected,
    /// How a call stands now, with everything that the other side's app said.
    Call(Box<CallDetail>),
    /// It is not connected.
    Away {
        /// Why.
        error: String,
        /// When it tries again.
        retry_ms: i64,
    },
}

/// A watch over calls. It begins with the call that is on, if one is.
pub struct CallWatch<'a, P: Ports> {
    pushes: Pushes<'a, P>,
    waiting: VecDeque<CallDetail>,
}

impl<P: Ports> App<P> {
    /// An id for a new call.
    pub fn fresh_call_id(&self) -> CallId {
        CallId::v7(self.ports.clock().now(), random::bytes(&mut self.ports.random()))
    }

    /// Starts to watch calls.
    pub fn watch_calls(&self) -> CallWatch<'_, P> {
        CallWatch { pushes: Pushes::of(self, CallChanged::ROW), waiting: VecDeque::new() }
    }
}

impl<P: Ports> CallWatch<'_, P> {
    /// Waits for the next thing to tell.
    ///
    /// # Errors
    /// [`CommandError`] that waiting cannot mend.
    pub async fn next(&mut self) -> Result<CallWatched, CommandError> {
        if let Some(detail) = self.waiting.pop_front() {
            return Ok(CallWatched::Call(Box::new(detail)));
        }
        let came = match self.pushes.next::<CallDetail>().await? {
            Came::NotConnected => {
                let waiting = &mut self.waiting;
                self.pushes.connect(async |line| catch_up(line, waiting).await).await?
            }
            came => came,
        };
        Ok(match came {
            Came::NotConnected => CallWatched::Connected,
            Came::Pushed(detail) => CallWatched::Call(Box::new(detail)),
            Came::Away { error, retry_ms } => CallWatched::Away { error, retry_ms },
        })
    }
}

/// The call that is on; of those that are over the list tells.
async fn catch_up<P: Ports>(line: &mut Line<'_, P>, waiting: &mut VecDeque<CallDetail>) -> Result<(), CommandError> {
    let newest = line.ask::<CallList>(&ListCalls { connection_id: None, limit: 1 }).await?;
    for call in newest.calls.into_iter().filter(|call| call.state != CallState::Ended) {
        waiting.push_back(line.ask::<CallGet>(&CallRef { call_id: call.call_id }).await?);
    }
    Ok(())
}
