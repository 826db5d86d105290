//! The channels in memory. They are the authority on which sequences were used; the stored form only says how far
//! sequences are reserved, so a channel that was read again goes on above everything it may have used.

use crate::projection::{Draft, UnreadableState};
use std::collections::HashMap;
use std::fmt;
use vettid_core::channel::Channel;
use vettid_wire::id::{ConnectionId, SessionKeyId};

/// Names a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelName {
    /// A session of the app.
    Session(SessionKeyId),
    /// A connection.
    Connection(ConnectionId),
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(id) => write!(f, "channel/session/{id}"),
            Self::Connection(id) => write!(f, "channel/connection/{id}"),
        }
    }
}

/// The channels that were used since the vault started.
#[derive(Debug, Default)]
pub struct Channels {
    loaded: HashMap<ChannelName, Channel>,
}

impl Channels {
    /// The channel of this name, if there is one.
    pub fn get(&mut self, draft: &Draft<'_>, name: ChannelName) -> Result<Option<&mut Channel>, UnreadableState> {
        let key = name.to_string();
        if !draft.has(&key) {
            self.loaded.remove(&name);
            return Ok(None);
        }
        if !self.loaded.contains_key(&name) {
            let Some(channel) = draft.get(&key)? else {
                return Ok(None);
            };
            self.loaded.insert(name, channel);
        }
        Ok(self.loaded.get_mut(&name))
    }

    /// Adds a new channel.
    pub fn add(
        &mut self,
        draft: &mut Draft<'_>,
        name: ChannelName,
        mut channel: Channel,
    ) -> Result<(), UnreadableState> {
        channel.stored();
        draft.put(name.to_string(), &channel)?;
        self.loaded.insert(name, channel);
        Ok(())
    }

    /// Stores what must survive: the window, and how far sequences are reserved.
    pub fn store(&mut self, draft: &mut Draft<'_>, name: ChannelName) -> Result<(), UnreadableState> {
        let Some(channel) = self.loaded.get_mut(&name) else {
            return Ok(());
        };
        channel.stored();
        draft.put(name.to_string(), channel)
    }

    /// Whether a channel used sequences that its stored form does not reserve yet.
    #[must_use]
    pub fn must_store(&self, name: ChannelName) -> bool {
        self.loaded.get(&name).is_some_and(Channel::must_store)
    }

    /// Wipes a channel and its keys.
    pub fn wipe(&mut self, draft: &mut Draft<'_>, name: ChannelName) {
        draft.remove(&name.to_string());
        self.loaded.remove(&name);
    }
}
