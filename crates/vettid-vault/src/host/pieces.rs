//! Does what a vault wants done with stored pieces of files, a bounded number of things at once, and brings back what came of
//! each. What it cannot take now it says so at once: nobody waits for nothing.

use crate::pieces::{Done, Found, Then, Wish};
use bytes::Bytes;
use std::collections::VecDeque;
use tokio::task::JoinSet;
use vettid_nats::pieces::{PieceError, Pieces};
use vettid_wire::id::MemberId;

/// Things that are done at the same time for one vault, at most.
const AT_ONCE: usize = 16;

/// The store as one vault uses it.
pub(super) struct Store {
    guid: MemberId,
    pieces: Pieces,
    running: JoinSet<Option<Done>>,
    refused: VecDeque<Done>,
}

impl Store {
    pub(super) fn new(guid: MemberId, pieces: Pieces) -> Self {
        Self { guid, pieces, running: JoinSet::new(), refused: VecDeque::new() }
    }

    /// Begins with a wish.
    pub(super) fn begin(&mut self, wish: Wish) {
        if self.running.len() >= AT_ONCE && !matches!(wish, Wish::Erase { .. }) {
            self.refused.extend(not_done(wish));
            return;
        }
        self.running.spawn(carry_out(self.pieces.clone(), self.guid, wish));
    }

    /// What came of a wish; waits for ever if nothing is under way.
    pub(super) async fn next(&mut self) -> Done {
        loop {
            if let Some(done) = self.refused.pop_front() {
                return done;
            }
            match self.running.join_next().await {
                Some(Ok(Some(done))) => return done,
                Some(Ok(None)) => {}
                Some(Err(error)) => tracing::error!(%error, "a piece of a file was lost on its way to the store"),
                None => std::future::pending().await,
            }
        }
    }

    /// Finishes what was begun.
    pub(super) async fn finish(&mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

fn not_done(wish: Wish) -> Option<Done> {
    match wish {
        Wish::Keep { then, .. } | Wish::Read { then, .. } | Wish::List { then, .. } => {
            Some(Done::For(then, Found::Failed))
        }
        Wish::Erase { .. } | Wish::Sweep => None,
    }
}

async fn carry_out(pieces: Pieces, guid: MemberId, wish: Wish) -> Option<Done> {
    match wish {
        Wish::Keep { store, index, bytes, then } => {
            let kept = pieces.put(guid, store, index, Bytes::from(bytes)).await;
            Some(found(then, kept.map(|()| Found::Kept)))
        }
        Wish::Read { store, index, then } => {
            let read = pieces.get(guid, store, index).await;
            Some(found(then, read.map(|bytes| bytes.map_or(Found::Missing, |bytes| Found::Bytes(bytes.into())))))
        }
        Wish::List { store, then } => Some(found(then, pieces.list(guid, store).await.map(Found::Listed))),
        Wish::Erase { store } => {
            if let Err(error) = pieces.erase(guid, store).await {
                tracing::warn!(%error, "pieces of a file stay until the store is looked through");
            }
            None
        }
        Wish::Sweep => match pieces.files(guid).await {
            Ok(stores) => Some(Done::Stores(stores)),
            Err(error) => {
                tracing::warn!(%error, "the store of files was not looked through");
                None
            }
        },
    }
}

fn found(then: Then, outcome: Result<Found, PieceError>) -> Done {
    let found = outcome.unwrap_or_else(|error| match error {
        PieceError::NoRoom => Found::NoRoom,
        error @ PieceError::Api(_) => {
            tracing::warn!(%error, "the store of files failed");
            Found::Failed
        }
    });
    Done::For(then, found)
}
