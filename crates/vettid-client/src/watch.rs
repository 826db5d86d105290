//! Staying connected: each entry of the feed as it is made, none twice and none left out; and the way on which the vault tells
//! the app anything unasked.
//!
//! The state is held only while something is opened or asked, so other commands run beside a watch.

use crate::app::{App, ConnectionOf, Ports};
use crate::clock::Clock;
use crate::command::CommandError;
use crate::line::Line;
use crate::services::ServicesError;
use crate::state::{self, Member, State};
use crate::store::{Store, StoreError};
use crate::transport::{Connection, Delivery, Subscription, TransportError};
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::time::Duration;
use vettid_wire::event::{self, EventRow, FeedItem, Row};
use vettid_wire::feed::{FeedEntry, ListFeed, MAX_ENTRIES};
use vettid_wire::json;
use vettid_wire::subject::Pattern;

const FIRST_PAUSE_MS: i64 = 1_000;
const LONGEST_PAUSE_MS: i64 = 60_000;

/// What a watch saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// It is connected (again).
    Connected,
    /// A new entry.
    Entry(FeedEntry),
    /// It is not connected.
    Away {
        /// Why.
        error: String,
        /// When it tries again.
        retry_ms: i64,
    },
}

/// A watch. Entries from before its start are not shown.
pub struct Watch<'a, P: Ports> {
    pushes: Pushes<'a, P>,
    seen: Seen,
}

/// What a watch has seen of the feed.
#[derive(Default)]
struct Seen {
    /// Number of the newest entry that was seen.
    newest: Option<u64>,
    waiting: VecDeque<FeedEntry>,
}

/// The way on which the vault pushes the events of one row.
pub(crate) struct Pushes<'a, P: Ports> {
    app: &'a App<P>,
    row: Row,
    live: Option<Live<P>>,
    pause_ms: i64,
}

struct Live<P: Ports> {
    connection: ConnectionOf<P>,
    pushes: <ConnectionOf<P> as Connection>::Subscription,
    /// How long this connection may be used before it needs a fresh credential.
    good_for: tokio::time::Instant,
}

/// What came on that way.
pub(crate) enum Came<T> {
    /// It is not connected: what was missed has to be fetched with the next connection.
    NotConnected,
    /// The vault pushed this.
    Pushed(T),
    /// It is not connected, and there is a pause before the next try.
    Away {
        /// Why.
        error: String,
        /// When it tries again.
        retry_ms: i64,
    },
}

impl<P: Ports> App<P> {
    /// Starts to watch the feed.
    pub fn watch(&self) -> Watch<'_, P> {
        Watch { pushes: Pushes::of(self, FeedItem::ROW), seen: Seen::default() }
    }
}

impl<P: Ports> Watch<'_, P> {
    /// Waits for the next thing to tell.
    ///
    /// # Errors
    /// [`CommandError`] that waiting cannot mend.
    pub async fn next(&mut self) -> Result<Watched, CommandError> {
        loop {
            if let Some(entry) = self.seen.waiting.pop_front() {
                return Ok(Watched::Entry(entry));
            }
            let came = match self.pushes.next::<FeedEntry>().await? {
                Came::NotConnected => {
                    let seen = &mut self.seen;
                    self.pushes.connect(async |line| seen.catch_up(line).await).await?
                }
                Came::Pushed(entry) => {
                    self.take(entry).await;
                    continue;
                }
                away @ Came::Away { .. } => away,
            };
            return Ok(match came {
                Came::Away { error, retry_ms } => Watched::Away { error, retry_ms },
                Came::NotConnected | Came::Pushed(_) => Watched::Connected,
            });
        }
    }

    /// An entry that does not follow shows that others were lost: they are fetched with the next connection.
    async fn take(&mut self, entry: FeedEntry) {
        match self.seen.newest {
            Some(newest) if entry.number > newest + 1 => self.pushes.hang_up().await,
            _ => self.seen.see(entry),
        }
    }
}

impl Seen {
    /// What was made since the newest entry that was seen, oldest first.
    async fn catch_up<P: Ports>(&mut self, line: &mut Line<'_, P>) -> Result<(), CommandError> {
        let mut missed = VecDeque::new();
        let mut before = None;
        loop {
            let limit = if self.newest.is_some() { MAX_ENTRIES } else { 1 };
            let page = line.ask::<event::FeedList>(&ListFeed { before, limit }).await?.entries;
            let Some(newest) = self.newest else {
                self.newest = Some(page.first().map_or(0, |entry| entry.number));
                return Ok(());
            };
            let full = page.len() as u64 >= u64::from(limit);
            before = page.last().map(|entry| entry.number);
            page.into_iter().filter(|entry| entry.number > newest).for_each(|entry| missed.push_front(entry));
            if !full || before.is_none_or(|before| before <= newest + 1) {
                break;
            }
        }
        missed.into_iter().for_each(|entry| self.see(entry));
        Ok(())
    }

    fn see(&mut self, entry: FeedEntry) {
        if self.newest.is_none_or(|newest| entry.number > newest) {
            self.newest = Some(entry.number);
            self.waiting.push_back(entry);
        }
    }
}

impl<'a, P: Ports> Pushes<'a, P> {
    /// Of this row; not connected yet.
    pub(crate) fn of(app: &'a App<P>, row: Row) -> Self {
        Self { app, row, live: None, pause_ms: 0 }
    }

    /// Waits for the next push.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<Came<T>, CommandError> {
        loop {
            let Some(live) = self.live.as_mut() else { return Ok(Came::NotConnected) };
            let came = tokio::select! {
                biased;
                // The vault may have learned meanwhile that nobody hears it, and pushes again only after a command.
                () = live.connection.made_anew() => None,
                came = tokio::time::timeout_at(live.good_for, live.pushes.next()) => came.ok(),
            };
            match came {
                Some(Ok(delivery)) => {
                    if let Some(pushed) = self.open(&delivery).await? {
                        return Ok(Came::Pushed(pushed));
                    }
                }
                Some(Err(error)) => return self.away(error.into()).await,
                None => self.hang_up().await,
            }
        }
    }

    pub(crate) async fn hang_up(&mut self) {
        if let Some(live) = self.live.take() {
            drop(live.pushes);
            live.connection.close().await;
        }
    }

    /// Connects after the pause that is due, and fetches what was missed. Not connected afterwards means that it is, now.
    pub(crate) async fn connect<T>(
        &mut self,
        catch_up: impl AsyncFnOnce(&mut Line<'_, P>) -> Result<(), CommandError>,
    ) -> Result<Came<T>, CommandError> {
        tokio::time::sleep(milliseconds(self.pause_ms)).await;
        match self.try_connect(catch_up).await {
            Ok(()) => {
                self.pause_ms = 0;
                Ok(Came::NotConnected)
            }
            Err(error) => self.away(error).await,
        }
    }

    async fn away<T>(&mut self, error: CommandError) -> Result<Came<T>, CommandError> {
        self.hang_up().await;
        if !is_passing(&error) {
            return Err(error);
        }
        self.pause_ms = (self.pause_ms * 2).clamp(FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
        Ok(Came::Away { error: error.to_string(), retry_ms: self.pause_ms })
    }

    async fn try_connect(
        &mut self,
        catch_up: impl AsyncFnOnce(&mut Line<'_, P>) -> Result<(), CommandError>,
    ) -> Result<(), CommandError> {
        let mut line = self.app.open().await?;
        line.renew_credential().await?;
        if line.credential_is_fresh {
            // The connection still stands on the old credential, which dies before the new one is half gone.
            line.close().await;
            line = self.app.open().await?;
        }
        let event_type = self.row.event_type();
        let pushes = line.connection.subscribe(&Pattern::ForApp(Some(line.member.guid), Some(event_type))).await?;
        catch_up(&mut line).await?;
        let now = self.app.ports.clock().now();
        let good_ms = line.member.credential.half_life().since_ms(now).max(LONGEST_PAUSE_MS);
        let good_for = tokio::time::Instant::now() + milliseconds(good_ms);
        self.live = Some(Live { connection: line.into_connection(), pushes, good_for });
        Ok(())
    }

    async fn open<T: DeserializeOwned>(&self, delivery: &Delivery) -> Result<Option<T>, CommandError> {
        let mut hold = match self.app.ports.store().hold().await {
            // Another command takes long; what is missed now is fetched later.
            Err(StoreError::Busy) => return Ok(None),
            hold => hold?,
        };
        let Some(State::Enrolled(mut member)) = state::load(&hold)? else {
            return Err(CommandError::NotEnrolled);
        };
        let Some(pushed) = open_push(&mut member, delivery) else {
            return Ok(None);
        };
        state::save_member(&mut hold, &member)?;
        Ok(Some(pushed))
    }
}

fn open_push<T: DeserializeOwned>(member: &mut Member, delivery: &Delivery) -> Option<T> {
    let opened = member.open(delivery)?;
    if opened.content.in_reply_to.is_some() {
        return None;
    }
    json::from_value(opened.content.body).ok()
}

/// Whether waiting may mend it.
fn is_passing(error: &CommandError) -> bool {
    matches!(
        error,
        CommandError::Transport(TransportError::Unreachable(_) | TransportError::Lost(_))
            | CommandError::Services(ServicesError::Unreachable(_))
            | CommandError::NoAnswer { .. }
            | CommandError::Store(StoreError::Busy)
    )
}

fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
