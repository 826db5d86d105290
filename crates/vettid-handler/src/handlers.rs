//! The table of handlers: which program answers which event type on which lane. Linked-in handlers and packages stand in the
//! same table; an event type with two handlers, or a handler outside its manifest's limits, does not get in.

use crate::event::{Context, Event};
use crate::guard::Guard;
use crate::handler::{Handler, Outcome, Typed};
use crate::host::Host;
use crate::manifest::Manifest;
use crate::reply::{Fault, HandlerError, MAX_REPLY_BYTES, Reply};
use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;
use vettid_wire::event::{EventRow, EventType, Lane};

/// A handler in the table, held to its manifest.
#[derive(Clone)]
pub struct Registered {
    manifest: Arc<Manifest>,
    handler: Arc<dyn Handler>,
    is_linked: bool,
}

impl Registered {
    /// Rows of one handler share its name; a package never takes the name, and with it the store, of a linked-in handler.
    fn clashes_with(&self, other: &Self) -> bool {
        let same = self.is_linked == other.is_linked && self.manifest == other.manifest;
        self.manifest.name == other.manifest.name && !same
    }

    /// What the handler may do; its name also names its private store.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Handles one event through a [`Guard`]: host calls outside the manifest are denied, and a call beyond the bounds of
    /// one event, or a reply that is too large, is a fault.
    pub fn handle(&self, host: &mut dyn Host, event: &Event) -> Result<Reply, HandlerError> {
        let mut guard = Guard::new(host, &self.manifest, &event.context);
        let reply = self.handler.handle(&mut guard, event)?;
        if guard.is_overdrawn() {
            return Err(HandlerError::Fault(Fault::Output));
        }
        if largest_body(&reply) > MAX_REPLY_BYTES { Err(HandlerError::Fault(Fault::Reply)) } else { Ok(reply) }
    }
}

impl std::fmt::Debug for Registered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Registered({})", self.manifest.name)
    }
}

fn largest_body(reply: &Reply) -> usize {
    match reply {
        Reply::Body(body) => body.len(),
        Reply::None => 0,
        Reply::Ask(question) => question.interim.as_ref().map_or(0, Vec::len),
    }
}

/// Why handlers do not fit into one table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Two handlers want the same event type on the same lane.
    #[error("{event_type} on lane {lane:?} is wanted by both {first} and {second}")]
    TwoHandlers {
        /// The event type.
        event_type: EventType,
        /// The lane.
        lane: Lane,
        /// The handler that stands there.
        first: String,
        /// The handler that wanted to.
        second: String,
    },
    /// Two handlers of one name would share one private store.
    #[error("two handlers are named {0}")]
    SharedName(String),
}

type Table = BTreeMap<(Lane, EventType), Registered>;

/// A table in the making.
#[derive(Debug, Default)]
pub struct HandlersBuilder {
    table: Table,
    error: Option<BuildError>,
}

impl HandlersBuilder {
    /// Adds a linked-in function for a row: its request and reply types are those of the row.
    #[must_use]
    pub fn on<R: EventRow + 'static>(
        self,
        manifest: &Manifest,
        function: impl Fn(&mut dyn Host, &Context, R::Request) -> Result<Outcome<R::Reply>, HandlerError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let handler = Arc::new(Typed::<R, _>::new(function));
        let registered = Registered { manifest: Arc::new(manifest.clone()), handler, is_linked: true };
        self.add(R::ROW.lane, R::ROW.event_type(), registered)
    }

    /// Adds a handler of a package.
    #[must_use]
    pub fn register(
        self,
        lane: Lane,
        event_type: EventType,
        manifest: Arc<Manifest>,
        handler: Arc<dyn Handler>,
    ) -> Self {
        self.add(lane, event_type, Registered { manifest, handler, is_linked: false })
    }

    fn add(mut self, lane: Lane, event_type: EventType, registered: Registered) -> Self {
        if self.table.values().any(|other| other.clashes_with(&registered)) {
            self.error.get_or_insert(BuildError::SharedName(registered.manifest.name.to_string()));
        }
        match self.table.entry((lane, event_type.clone())) {
            Entry::Vacant(place) => {
                place.insert(registered);
            }
            Entry::Occupied(taken) => {
                let first = taken.get().manifest.name.to_string();
                let second = registered.manifest.name.to_string();
                self.error.get_or_insert(BuildError::TwoHandlers { event_type, lane, first, second });
            }
        }
        self
    }

    /// The table, unless two handlers want the same event or the same store.
    pub fn build(self) -> Result<Handlers, BuildError> {
        match self.error {
            Some(error) => Err(error),
            None => Ok(Handlers { table: self.table }),
        }
    }
}

/// The table of handlers.
#[derive(Debug, Clone)]
pub struct Handlers {
    table: Table,
}

impl Handlers {
    /// An empty table to add to.
    #[must_use]
    pub fn builder() -> HandlersBuilder {
        HandlersBuilder::default()
    }

    /// The handler of an event type on a lane; `None` means unsupported.
    #[must_use]
    pub fn find(&self, lane: Lane, event_type: &EventType) -> Option<&Registered> {
        self.table.get(&(lane, event_type.clone()))
    }

    /// Every lane and event type with its handler, in order.
    pub fn rows(&self) -> impl Iterator<Item = (Lane, &EventType, &Registered)> {
        self.table.iter().map(|((lane, event_type), registered)| (*lane, event_type, registered))
    }

    /// The names of all handled event types, in order, each once.
    #[must_use]
    pub fn event_types(&self) -> Vec<EventType> {
        let names: BTreeSet<_> = self.table.keys().map(|(_, event_type)| event_type.clone()).collect();
        names.into_iter().collect()
    }
}
