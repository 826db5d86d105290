//! Pairs of members who write to each other, all at once: each side sends its next message when its last one has arrived in the
//! other's app.

use crate::app::{Member, Watching};
use crate::figures::Samples;
use crate::parties::{connect, enrolled};
use crate::stack::Stack;
use anyhow::Result;
use futures_util::future::try_join_all;
use std::time::{Duration, Instant};
use vettid_wire::event::{MessagingSend, MessagingText};
use vettid_wire::id::ConnectionId;
use vettid_wire::messaging::SendText;

const TEXT_BYTES: usize = 1024;

/// One direction of a pair.
struct Direction {
    from: Member,
    connection: ConnectionId,
    at_receiver: Watching,
}

/// Both directions of every pair.
pub(crate) struct Pairs(Vec<Direction>);

impl Pairs {
    /// Makes so many pairs, all of whose vaults live on the one host.
    pub(crate) async fn meet(stack: &Stack, pairs: usize) -> Result<Self> {
        let mut directions = Vec::new();
        for pair in 0..pairs {
            let (one, other) = (format!("one-{pair}"), format!("other-{pair}"));
            let (one, other) = (enrolled(stack, &one).await?, enrolled(stack, &other).await?);
            let connection = connect(&one, &other).await?;
            let (at_one, at_other) = (one.watch::<MessagingText>().await?, other.watch::<MessagingText>().await?);
            directions.push(Direction { from: one, connection, at_receiver: at_other });
            directions.push(Direction { from: other, connection, at_receiver: at_one });
        }
        Ok(Self(directions))
    }

    /// Each side sends so many messages.
    pub(crate) async fn both_ways(&mut self, times: usize) -> Result<Samples> {
        let begin = Instant::now();
        let each = try_join_all(self.0.iter_mut().map(|direction| direction.in_turn(times))).await?;
        Ok(Samples::overlapping(each.concat(), begin.elapsed()))
    }

    /// Ends what listens.
    pub(crate) async fn part(self) {
        for direction in self.0 {
            direction.at_receiver.end().await;
        }
    }
}

impl Direction {
    async fn in_turn(&mut self, times: usize) -> Result<Vec<Duration>> {
        let mut each = Vec::with_capacity(times);
        for _ in 0..times {
            let begin = Instant::now();
            self.from.command::<MessagingSend>(SendText::new(self.connection, "z".repeat(TEXT_BYTES))).await?;
            each.push(self.at_receiver.next().await?.saturating_duration_since(begin));
        }
        Ok(each)
    }
}
