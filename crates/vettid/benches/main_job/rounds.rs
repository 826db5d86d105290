//! The rounds: each measures a little of every work, so that whatever else the machine does hits all of them.

use crate::arguments::Arguments;
use crate::busy;
use crate::figures::{Collected, Samples, Work};
use crate::pairs::Pairs;
use crate::parties::{Parties, Shop};
use crate::raw::Raw;
use crate::raw_post::RawPost;
use crate::report;
use crate::sealing::Pair;
use crate::stack::Stack;
use anyhow::Result;

/// How often each work is done in one round.
const SEALS: usize = 500;
const RAW: usize = 250;
const READS: usize = 250;
const READS_AT_ONCE: usize = 960;
const MESSAGES: usize = 40;
/// Of each of the pairs.
const MESSAGES_EACH_WAY: usize = 20;
const SECRETS: usize = 9;
const AT_ONCE: usize = 32;

struct Round<'a> {
    stack: &'a Stack,
    parties: Parties,
    shop: Shop,
    raw: Raw,
    raw_post: RawPost,
    pairs: Pairs,
    pair: Pair,
    only: Option<Work>,
}

/// Plays one round that does not count, and then those that do.
pub(crate) async fn play(stack: &Stack, parties: Parties, raw: Raw, arguments: &Arguments) -> Result<Collected> {
    let shop = parties.shop();
    let raw_post = RawPost::open(stack).await?;
    let pairs = Pairs::meet(stack, AT_ONCE / 2).await?;
    let mut round = Round { stack, parties, shop, raw, raw_post, pairs, pair: Pair::new()?, only: arguments.only };
    report::say(&format!("warming up, then {} rounds …", arguments.rounds))?;
    round.play(&mut Collected::default()).await?;
    let mut collected = Collected::default();
    for _ in 0..arguments.rounds {
        round.play(&mut collected).await?;
    }
    round.parties.part().await;
    round.pairs.part().await;
    round.raw_post.close().await;
    round.raw.close().await;
    Ok(collected)
}

impl Round<'_> {
    async fn play(&mut self, collected: &mut Collected) -> Result<()> {
        for work in Work::ALL {
            if self.only.is_none_or(|only| only == work) {
                self.one(work, collected).await?;
            }
        }
        Ok(())
    }

    async fn one(&mut self, work: Work, collected: &mut Collected) -> Result<()> {
        let gateway = self.stack.gateway();
        let samples: Samples = match work {
            Work::SealOpen => self.pair.round(SEALS)?,
            Work::RawRequest => self.raw.requests(RAW).await?,
            Work::RawPublish => self.raw.publishes(RAW, 1).await?,
            Work::RawPublish32 => self.raw.publishes(READS_AT_ONCE, AT_ONCE).await?,
            Work::DataRequest => self.shop.reads(gateway, READS, 1).await?,
            Work::DataRequest32 => self.shop.reads(gateway, READS_AT_ONCE, AT_ONCE).await?,
            Work::RawMessage => {
                let before = busy::so_far()?;
                self.raw_post.one_way(RAW).await?.busy(busy::since(before)?)
            }
            Work::RawMessage32 => {
                let before = busy::so_far()?;
                self.raw_post.both_ways(READS_AT_ONCE, AT_ONCE).await?.busy(busy::since(before)?)
            }
            Work::MessageFromCommand => {
                let before = busy::so_far()?;
                let (from_command, from_accepted) = self.parties.messages(MESSAGES).await?;
                collected.add(Work::MessageFromAccepted, from_accepted);
                from_command.busy(busy::since(before)?)
            }
            Work::Messages32 => {
                let before = busy::so_far()?;
                self.pairs.both_ways(MESSAGES_EACH_WAY).await?.busy(busy::since(before)?)
            }
            Work::CredentialUse => {
                let (confirmed, told) = self.parties.secrets(SECRETS).await?;
                collected.add(Work::CredentialResult, told);
                confirmed
            }
            // Come with the messages and the operations.
            Work::MessageFromAccepted | Work::CredentialResult => return Ok(()),
        };
        collected.add(work, samples);
        Ok(())
    }
}
