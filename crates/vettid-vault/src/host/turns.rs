//! Turns of services at a host: a service that asks very many members at once must not make the members of the others wait. Alone
//! it may have as much under way as it likes; beside others it has a share, and what is beyond waits its turn or comes again.
//! Must never hold an event of one service because of another one for longer than what is under way takes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use vettid_wire::id::ServiceId;

/// Events of one service that may be under way in all vaults of the host while other services are there, too.
const SHARE: usize = 2;
/// The same once [`LONG`] of its events wait.
const SHARE_OF_LONG: usize = 1;
/// A line that is so long belongs to a service that asks more than its share.
const LONG: usize = 32;
/// The same while it is alone.
const ALONE: usize = 512;
/// A service counts as there for this long after its last event.
const THERE: Duration = Duration::from_secs(1);
/// Events of all services that may wait for their turn: about half of what the inbox hands out.
const WAITING: usize = 1_024;
/// Events of one service that may wait.
const WAITING_OF_ONE: usize = 256;
/// Services that are remembered before those that left are forgotten.
const REMEMBERED: usize = 1_024;

/// The lines of all services, with what waits in them.
#[derive(Debug)]
pub(super) struct Turns<T> {
    lines: HashMap<ServiceId, Line<T>>,
    waiting: usize,
    ends: Arc<Ends>,
}

#[derive(Debug)]
struct Line<T> {
    under_way: usize,
    waiting: VecDeque<T>,
    last: Instant,
}

/// An event is under way as long as this lives.
#[derive(Debug)]
pub struct Turn {
    service: ServiceId,
    ends: Arc<Ends>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.ends.add(self.service.clone());
    }
}

/// The turns that ended and were not looked at. The host is woken for them only while something waits: for every event it would cost a
/// thread more than the turn itself.
#[derive(Debug, Default)]
struct Ends {
    list: Mutex<List>,
    news: Notify,
}

#[derive(Debug, Default)]
struct List {
    of: VecDeque<ServiceId>,
    is_awaited: bool,
}

impl Ends {
    fn list(&self) -> MutexGuard<'_, List> {
        // Whoever panicked with it left a list that is whole.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, service: ServiceId) {
        let is_awaited = {
            let mut list = self.list();
            list.of.push_back(service);
            list.is_awaited
        };
        if is_awaited {
            self.news.notify_one();
        }
    }

    /// From now on each end is news, or none is. Those that came before count as news, too.
    fn await_them(&self, is_awaited: bool) {
        let mut list = self.list();
        list.is_awaited = is_awaited;
        if is_awaited && !list.of.is_empty() {
            self.news.notify_one();
        }
    }
}

/// What becomes of an event that arrived.
#[derive(Debug)]
pub(super) enum Given<T> {
    /// It goes to its vault.
    Goes(T, Turn),
    /// It waits here.
    Waits,
    /// More waits already than there is room for.
    TooMany(T),
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { lines: HashMap::new(), waiting: 0, ends: Arc::default() }
    }
}

impl<T> Turns<T> {
    /// Something of a service arrived.
    pub(super) fn arrived(&mut self, now: Instant, service: &ServiceId, event: T) -> Given<T> {
        self.count_ends();
        self.forget_who_left(now);
        let line = self.lines.entry(service.clone());
        line.or_insert_with(|| Line { under_way: 0, waiting: VecDeque::new(), last: now }).last = now;
        let (most, room) = (self.most(now, service), self.room());
        let Some(line) = self.lines.get_mut(service) else { return Given::TooMany(event) };
        if line.waiting.is_empty() && line.under_way < most {
            line.under_way += 1;
            return Given::Goes(event, Turn { service: service.clone(), ends: self.ends.clone() });
        }
        if line.waiting.len() >= room || self.waiting >= WAITING {
            return Given::TooMany(event);
        }
        line.waiting.push_back(event);
        self.waiting += 1;
        self.ends.await_them(true);
        Given::Waits
    }

    /// While nothing waits, turns that ended are only counted.
    fn count_ends(&mut self) {
        if self.waiting > 0 {
            return;
        }
        let ended = std::mem::take(&mut self.ends.list().of);
        for service in ended {
            if let Some(line) = self.lines.get_mut(&service) {
                line.under_way = line.under_way.saturating_sub(1);
            }
        }
    }

    /// Waits until an event of a service has ended; while nothing waits, that may be told late.
    pub(super) async fn ended(&self) -> ServiceId {
        loop {
            if let Some(service) = self.ends.list().of.pop_front() {
                return service;
            }
            self.ends.news.notified().await;
        }
    }

    /// An event of this service has ended: the next ones that may go.
    pub(super) fn next(&mut self, now: Instant, service: &ServiceId) -> Vec<(T, Turn)> {
        let most = self.most(now, service);
        let Some(line) = self.lines.get_mut(service) else { return Vec::new() };
        line.under_way = line.under_way.saturating_sub(1);
        let mut going = Vec::new();
        while line.under_way < most {
            let Some(event) = line.waiting.pop_front() else { break };
            line.under_way += 1;
            self.waiting -= 1;
            going.push((event, Turn { service: service.clone(), ends: self.ends.clone() }));
        }
        self.ends.await_them(self.waiting > 0);
        going
    }

    /// How much of this service may be under way now.
    fn most(&self, now: Instant, service: &ServiceId) -> usize {
        let is_there = |line: &Line<T>| line.under_way > 0 || now.saturating_duration_since(line.last) < THERE;
        let has_company = self.lines.iter().any(|(other, line)| other != service && is_there(line));
        let is_long = self.lines.get(service).is_some_and(|line| line.waiting.len() >= LONG);
        match (has_company, is_long) {
            (false, _) => ALONE,
            (true, false) => SHARE,
            (true, true) => SHARE_OF_LONG,
        }
    }

    /// How many events of one service may wait.
    fn room(&self) -> usize {
        let lines = self.lines.values().filter(|line| !line.waiting.is_empty()).count();
        WAITING_OF_ONE.min(WAITING / lines.max(1))
    }

    fn forget_who_left(&mut self, now: Instant) {
        if self.lines.len() >= REMEMBERED {
            self.lines.retain(|_, line| line.under_way > 0 || now.saturating_duration_since(line.last) < THERE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn service(name: &str) -> ServiceId {
        name.parse().unwrap()
    }

    fn goes<T>(given: Given<T>) -> Option<Turn> {
        match given {
            Given::Goes(_, turn) => Some(turn),
            _ => None,
        }
    }

    #[tokio::test]
    async fn alone_a_service_is_not_held_back() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        let under_way: Vec<_> = (0..200).map(|n| goes(turns.arrived(now, &service("shop"), n)).unwrap()).collect();
        assert_eq!(under_way.len(), 200);
    }

    #[tokio::test]
    async fn beside_another_one_it_has_its_share_and_the_rest_follows_in_order() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        let (shop, flood) = (service("shop"), service("flood"));
        let honest = goes(turns.arrived(now, &shop, 0)).unwrap();
        let mut under_way: Vec<_> = (0..SHARE).map(|n| goes(turns.arrived(now, &flood, n)).unwrap()).collect();
        assert!(matches!(turns.arrived(now, &flood, 10), Given::Waits));
        assert!(matches!(turns.arrived(now, &flood, 11), Given::Waits));
        assert!(goes(turns.arrived(now, &shop, 1)).is_some(), "the other one is not held back");

        drop(under_way.pop());
        // Two of the shop and one of the flood ended, in any order.
        drop(honest);
        let mut gone = Vec::new();
        for _ in 0..3 {
            let ended = turns.ended().await;
            gone.extend(turns.next(now, &ended));
        }
        assert_eq!(gone.iter().map(|(event, _)| *event).collect::<Vec<_>>(), [10]);
    }

    #[tokio::test]
    async fn while_nothing_waits_an_end_wakes_nobody_and_counts_all_the_same() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        let (shop, flood) = (service("shop"), service("flood"));
        let _honest = goes(turns.arrived(now, &shop, 0)).unwrap();
        for n in 0..10 * SHARE {
            assert!(goes(turns.arrived(now, &flood, n)).is_some(), "the one before has ended");
        }
        assert!(turns.ends.news.notified().now_or_never().is_none());

        let under_way: Vec<_> = (0..SHARE).map(|n| goes(turns.arrived(now, &flood, n)).unwrap()).collect();
        assert!(matches!(turns.arrived(now, &flood, SHARE), Given::Waits));
        drop(under_way);
        assert!(turns.ends.news.notified().now_or_never().is_some(), "now somebody is waiting for it");
        let ended = turns.ended().await;
        assert_eq!(turns.next(now, &ended).len(), 1);
    }

    #[tokio::test]
    async fn an_end_between_looking_and_waiting_is_told() {
        let ends = Ends::default();
        ends.add(service("shop"));
        ends.await_them(true);
        assert!(ends.news.notified().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_service_whose_line_is_long_has_less_until_it_is_short_again() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        let (shop, flood) = (service("shop"), service("flood"));
        drop(goes(turns.arrived(now, &shop, 0)));
        let mut under_way: Vec<_> = (0..SHARE).map(|n| goes(turns.arrived(now, &flood, n)).unwrap()).collect();
        (0..LONG + 2).for_each(|n| assert!(matches!(turns.arrived(now, &flood, SHARE + n), Given::Waits)));
        // Two of the flood ended: one of it may go.
        under_way.clear();
        let mut gone = Vec::new();
        for _ in 0..SHARE {
            let ended = turns.ended().await;
            gone.extend(turns.next(now, &ended));
        }
        assert_eq!(gone.iter().map(|(event, _)| *event).collect::<Vec<_>>(), [SHARE]);
        // The second of these leaves the line short.
        for expected in [1, 1, 2] {
            drop(std::mem::take(&mut gone));
            let ended = turns.ended().await;
            gone = turns.next(now, &ended);
            assert_eq!(gone.len(), expected);
        }
    }

    #[tokio::test]
    async fn when_the_others_have_left_everything_that_waits_goes() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        let (shop, flood) = (service("shop"), service("flood"));
        drop(goes(turns.arrived(now, &shop, 0)));
        let ended = turns.ended().await;
        assert!(turns.next(now, &ended).is_empty());
        let under_way: Vec<_> = (0..SHARE).map(|n| goes(turns.arrived(now, &flood, n)).unwrap()).collect();
        for n in 0..50 {
            assert!(matches!(turns.arrived(now, &flood, n), Given::Waits));
        }
        drop(under_way);
        let ended = turns.ended().await;
        assert_eq!(turns.next(now + THERE, &ended).len(), 50);
    }

    #[tokio::test]
    async fn what_waits_has_an_end_for_one_and_for_all() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        let mut kept = Vec::new();
        for name in 0..20 {
            let flood = service(&format!("flood-{name}"));
            let mut too_many = 0;
            for n in 0..ALONE + 2 * WAITING_OF_ONE {
                match turns.arrived(now, &flood, n) {
                    Given::Goes(_, turn) => kept.push(turn),
                    Given::Waits => {}
                    Given::TooMany(_) => too_many += 1,
                }
            }
            assert!(too_many > 0);
        }
        assert!(turns.waiting <= WAITING, "{}", turns.waiting);
    }

    #[tokio::test]
    async fn services_that_left_are_forgotten() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        for n in 0..2 * REMEMBERED {
            let at = now + THERE * u32::try_from(n).unwrap();
            drop(goes(turns.arrived(at, &service(&format!("s{n}")), ())));
            let ended = turns.ended().await;
            turns.next(at, &ended);
        }
        assert!(turns.lines.len() <= REMEMBERED);
    }
}
