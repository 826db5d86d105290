//! The channels in memory. They are the authority on which sequences were used; the stored form only says how far
//! sequences are reserved, so a channel that was read again goes on above everything it may have used.

use crate::projection::{Draft, UnreadableState};
use std::collections::{HashMap, HashSet};
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
    /// The keys of a connection before one side came back from an earlier state.
    Former(ConnectionId),
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(id) => write!(f, "channel/session/{id}"),
            Self::Connection(id) => write!(f, "channel/connection/{id}"),
            Self::Former(id) => write!(f, "channel/former/{id}"),
        }
    }
}

/// The channels that were used since the vault started.
#[derive(Debug, Default)]
pub struct Channels {
    loaded: HashMap<ChannelName, Channel>,
    /// Stored by the present step, which may still be taken back.
    stored: HashSet<ChannelName>,
    /// Stored by a step that was taken back: the commit does not have what memory counts on.
    unsaved: HashSet<ChannelName>,
}

impl Channels {
    /// The channel of this name, if there is one.
    pub fn get(&mut self, draft: &Draft<'_>, name: ChannelName) -> Result<Option<&mut Channel>, UnreadableState> {
        let key = name.to_string();
        if !draft.has(&key) {
            self.loaded.remove(&name);
            return Ok(None);
        }
        if let std::collections::hash_map::Entry::Vacant(e) = self.loaded.entry(name) {
            let Some(channel) = draft.get(&key)? else {
                return Ok(None);
            };
            e.insert(channel);
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
        self.note_stored(name);
        Ok(())
    }

    /// Stores what must survive: the window, and how far sequences are reserved.
    pub fn store(&mut self, draft: &mut Draft<'_>, name: ChannelName) -> Result<(), UnreadableState> {
        let Some(channel) = self.loaded.get_mut(&name) else {
            return Ok(());
        };
        channel.stored();
        draft.put(name.to_string(), channel)?;
        self.note_stored(name);
        Ok(())
    }

    fn note_stored(&mut self, name: ChannelName) {
        self.unsaved.remove(&name);
        self.stored.insert(name);
    }

    /// The present step is part of the commit.
    pub fn keep(&mut self) {
        self.stored.clear();
    }

    /// The present step is taken back, and with it the stored forms that it made.
    pub fn roll_back(&mut self) {
        self.unsaved.extend(self.stored.drain());
    }

    /// Whether a channel used sequences that its stored form does not reserve yet.
    #[must_use]
    pub fn must_store(&self, name: ChannelName) -> bool {
        self.unsaved.contains(&name) || self.loaded.get(&name).is_some_and(Channel::must_store)
    }

    /// Puts a channel under another name, in the place of whatever is there.
    pub fn rename(&mut self, draft: &mut Draft<'_>, from: ChannelName, to: ChannelName) -> Result<(), UnreadableState> {
        if self.get(draft, from)?.is_none() {
            return Ok(());
        }
        self.wipe(draft, to);
        if let Some(channel) = self.loaded.remove(&from) {
            self.add(draft, to, channel)?;
        }
        self.wipe(draft, from);
        Ok(())
    }

    /// Wipes a channel and its keys.
    pub fn wipe(&mut self, draft: &mut Draft<'_>, name: ChannelName) {
        draft.remove(&name.to_string());
        self.loaded.remove(&name);
        self.unsaved.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projection::Projection;
    use rand::SeedableRng;
    use rand::rngs::StdRng;
    use vettid_core::channel::Keys;
    use vettid_crypto::secret::Secret32;
    use vettid_crypto::suite::{KemSecretKey, Suite};
    use vettid_wire::id::Fingerprint;

    /// What a step that was taken back had reserved is not in the commit: the next message must not leave without it.
    #[test]
    fn a_reservation_that_was_taken_back_is_made_again() {
        let kem = |seed| KemSecretKey::generate(Suite::X25519, &mut StdRng::seed_from_u64(seed)).unwrap();
        let channel = Channel::new(Keys {
            key_id: SessionKeyId::from_bytes([3; 16]),
            own: Fingerprint::from_bytes([1; 32]),
            peer: Fingerprint::from_bytes([2; 32]),
            own_incarnation: 1,
            peer_incarnation: 1,
            epoch_key: Secret32::from_bytes([4; 32]),
            own_kem: kem(1),
            peer_kem: kem(2).public_key().typed(),
        });
        let name = ChannelName::Session(channel.key_id());
        let (state, mut channels) = (Projection::default(), Channels::default());
        let mut draft = Draft::new(&state);
        channels.add(&mut draft, name, channel).unwrap();
        draft.keep_step();
        channels.keep();
        assert!(!channels.must_store(name));
        channels.store(&mut draft, name).unwrap();
        draft.drop_step();
        channels.roll_back();
        assert!(channels.must_store(name));
        channels.store(&mut draft, name).unwrap();
        channels.keep();
        assert!(!channels.must_store(name));
    }
}
