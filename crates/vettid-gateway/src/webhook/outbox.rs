//! What is still to be sent: a queue for each webhook and connection, of which only the first is tried; and what was set
//! aside. Pure and bounded; the state holds the same, so a restart makes it anew.

use super::{Delivery, DeliveryView, WebhookId};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use vettid_wire::id::{ConnectionId, RequestId};
use vettid_wire::time::Timestamp;

/// Attempts at once for one webhook.
const MOST_AT_ONCE: usize = 8;

/// What arrives in its order: the events of a connection.
type Lane = Option<ConnectionId>;

/// The queues of all webhooks.
#[derive(Debug)]
pub(crate) struct Outbox {
    queues: HashMap<WebhookId, Queue>,
    /// The first that is due of each webhook that has a place free.
    ready: BTreeSet<(Timestamp, u64, WebhookId)>,
    /// Deliveries of one webhook that may wait before it is full, and that may be set aside.
    most: usize,
}

/// What there is for one webhook.
#[derive(Debug, Default)]
struct Queue {
    lanes: HashMap<Lane, VecDeque<Arc<Delivery>>>,
    /// The first of each lane that is not being tried, by when it is due.
    heads: BTreeSet<(Timestamp, u64, Lane)>,
    /// Where it stands among those that are ready.
    ready: Option<(Timestamp, u64)>,
    flying: usize,
    waiting: usize,
    /// Those that wait and were not set aside before.
    fresh: usize,
    set_aside: BTreeMap<u64, Arc<Delivery>>,
}

impl Queue {
    fn push(&mut self, delivery: Arc<Delivery>) {
        self.waiting += 1;
        self.fresh += usize::from(delivery.is_fresh());
        let lane = self.lanes.entry(delivery.connection_id).or_default();
        if lane.is_empty() {
            self.heads.insert((delivery.next_at, delivery.sequence, delivery.connection_id));
        }
        lane.push_back(delivery);
    }

    fn put_aside(&mut self, delivery: Arc<Delivery>, most: usize) -> Option<Arc<Delivery>> {
        self.set_aside.insert(delivery.sequence, delivery);
        if self.set_aside.len() > most { self.set_aside.pop_first().map(|(_, oldest)| oldest) } else { None }
    }

    fn left(&mut self, delivery: &Delivery) {
        self.waiting = self.waiting.saturating_sub(1);
        self.fresh = self.fresh.saturating_sub(usize::from(delivery.is_fresh()));
    }

    fn land(&mut self) {
        self.flying = self.flying.saturating_sub(1);
    }

    /// Takes the delivery that was being tried out of its lane; `false`: it is not there any more.
    fn leave(&mut self, delivery: &Delivery) -> bool {
        let lane = delivery.connection_id;
        let Some(queue) = self.lanes.get_mut(&lane) else {
            return false;
        };
        if queue.front().is_none_or(|front| front.sequence != delivery.sequence) {
            return false;
        }
        queue.pop_front();
        match queue.front() {
            Some(next) => drop(self.heads.insert((next.next_at, next.sequence, lane))),
            None => drop(self.lanes.remove(&lane)),
        }
        self.left(delivery);
        true
    }

    fn take_waiting(&mut self) -> Vec<Arc<Delivery>> {
        let first: HashSet<Lane> = self.heads.iter().map(|(_, _, lane)| *lane).collect();
        let mut out = Vec::new();
        for (lane, queue) in &mut self.lanes {
            let flying = usize::from(!first.contains(lane)).min(queue.len());
            out.extend(queue.split_off(flying));
        }
        self.lanes.retain(|_, queue| !queue.is_empty());
        self.heads.clear();
        out.iter().for_each(|delivery| self.left(delivery));
        out.sort_by_key(|delivery| delivery.sequence);
        out
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Delivery>> {
        self.lanes.values().flatten().chain(self.set_aside.values())
    }
}

impl Outbox {
    /// Nothing to send. A webhook is full when more than `most` wait, and no more than that are set aside.
    pub(crate) fn new(most: usize) -> Self {
        Self { queues: HashMap::new(), ready: BTreeSet::new(), most }
    }

    /// Changes the queue of a webhook.
    fn change<T>(&mut self, id: WebhookId, change: impl FnOnce(&mut Queue, usize) -> T) -> T {
        let queue = self.queues.entry(id).or_default();
        let outcome = change(queue, self.most);
        let first =
            queue.heads.first().filter(|_| queue.flying < MOST_AT_ONCE).map(|(at, sequence, _)| (*at, *sequence));
        if queue.ready != first {
            if let Some((at, sequence)) = std::mem::replace(&mut queue.ready, first) {
                self.ready.remove(&(at, sequence, id));
            }
            if let Some((at, sequence)) = first {
                self.ready.insert((at, sequence, id));
            }
        }
        outcome
    }

    /// The same if there is anything of the webhook.
    fn change_known<T>(&mut self, id: WebhookId, change: impl FnOnce(&mut Queue, usize) -> T) -> Option<T> {
        self.queues.contains_key(&id).then(|| self.change(id, change))
    }

    /// Adds a delivery that is durable. Gives back what has to go to make room among those set aside.
    pub(crate) fn add(&mut self, delivery: Arc<Delivery>) -> Option<Arc<Delivery>> {
        self.change(delivery.webhook_id, |queue, most| {
            if delivery.set_aside_at.is_some() {
                return queue.put_aside(delivery, most);
            }
            queue.push(delivery);
            None
        })
    }

    /// Whether so many wait for a webhook that it is to be paused. What is sent again after it was set aside does not count.
    pub(crate) fn is_full(&self, id: WebhookId) -> bool {
        self.queues.get(&id).is_some_and(|queue| queue.fresh > self.most)
    }

    /// What is due now, at most `most`; each is tried by whoever takes it, who says [`taken`](Self::taken),
    /// [`again`](Self::again) or [`aside`](Self::aside) afterwards. Looks at nothing that cannot be taken.
    pub(crate) fn due(&mut self, now: Timestamp, most: usize) -> Vec<Arc<Delivery>> {
        let mut due = Vec::new();
        while due.len() < most
            && let Some((_, _, id)) = self.ready.first().filter(|(at, ..)| *at <= now).copied()
        {
            due.extend(self.change(id, |queue, _| {
                let (_, _, lane) = queue.heads.pop_first()?;
                queue.flying += 1;
                queue.lanes.get(&lane).and_then(VecDeque::front).cloned()
            }));
        }
        due
    }

    /// When the next one is due that can be taken and was not.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.ready.first().map(|(at, ..)| *at)
    }

    /// The receiver has it.
    pub(crate) fn taken(&mut self, delivery: &Delivery) {
        self.change_known(delivery.webhook_id, |queue, _| {
            queue.land();
            queue.leave(delivery);
        });
    }

    /// It is tried again; nothing behind it overtakes it.
    pub(crate) fn again(&mut self, delivery: Arc<Delivery>) {
        self.change_known(delivery.webhook_id, |queue, _| {
            queue.land();
            let lane = delivery.connection_id;
            if let Some(front) = queue.lanes.get_mut(&lane).and_then(VecDeque::front_mut)
                && front.sequence == delivery.sequence
            {
                queue.heads.insert((delivery.next_at, delivery.sequence, lane));
                *front = delivery;
            }
        });
    }

    /// It is set aside. Gives back what has to go to make room.
    pub(crate) fn aside(&mut self, delivery: Arc<Delivery>) -> Option<Arc<Delivery>> {
        let id = delivery.webhook_id;
        let set_aside = |queue: &mut Queue, most| {
            queue.land();
            if queue.leave(&delivery) { queue.put_aside(delivery, most) } else { None }
        };
        self.change_known(id, set_aside).flatten()
    }

    /// Everything of a webhook, waiting and set aside, in order.
    pub(crate) fn of(&self, id: WebhookId) -> Vec<Arc<Delivery>> {
        let mut all: Vec<_> = self.queues.get(&id).into_iter().flat_map(Queue::all).cloned().collect();
        all.sort_by_key(|delivery| delivery.sequence);
        all
    }

    /// Takes out everything of a webhook.
    pub(crate) fn remove(&mut self, id: WebhookId) -> Vec<Arc<Delivery>> {
        let all = self.of(id);
        if let Some((at, sequence)) = self.queues.remove(&id).and_then(|queue| queue.ready) {
            self.ready.remove(&(at, sequence, id));
        }
        all
    }

    /// What of a webhook waits and is not being tried right now; taken out of its queues.
    pub(crate) fn take_waiting(&mut self, id: WebhookId) -> Vec<Arc<Delivery>> {
        self.change_known(id, |queue, _| queue.take_waiting()).unwrap_or_default()
    }

    /// Takes out what was set aside for a webhook, or one event of it.
    pub(crate) fn take_aside(&mut self, id: WebhookId, wanted: impl Fn(&Delivery) -> bool) -> Vec<Arc<Delivery>> {
        let Some(queue) = self.queues.get_mut(&id) else {
            return Vec::new();
        };
        queue.set_aside.extract_if(.., |_, delivery| wanted(delivery)).map(|(_, delivery)| delivery).collect()
    }

    /// How many wait and how many are set aside.
    pub(crate) fn counts(&self, id: WebhookId) -> (usize, usize) {
        self.queues.get(&id).map_or((0, 0), |queue| (queue.waiting, queue.set_aside.len()))
    }

    /// The requests that something tells of which was not taken yet.
    pub(crate) fn requests(&self) -> HashSet<RequestId> {
        self.queues.values().flat_map(Queue::all).filter_map(|delivery| delivery.request_id).collect()
    }

    /// Everything of a webhook as programs see it.
    pub(crate) fn views(&self, id: WebhookId) -> Vec<(u64, DeliveryView)> {
        self.of(id).iter().map(|delivery| (delivery.sequence, DeliveryView::from(&**delivery))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::EventKind;

    const MOST: usize = 100;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000 + ms)
    }

    fn delivery(sequence: u64, webhook: u8, connection: u8) -> Arc<Delivery> {
        Arc::new(Delivery {
            sequence,
            webhook_id: WebhookId::from_bytes([webhook; 16]),
            event_id: WebhookId::from_bytes([9; 16]),
            kind: EventKind::ConnectionActive,
            connection_id: Some(ConnectionId::from_bytes([connection; 16])),
            request_id: None,
            payload: String::new(),
            made_at: at(0),
            tried_since: at(0),
            attempts: 0,
            next_at: at(0),
            failure: None,
            set_aside_at: None,
        })
    }

    fn later(delivery: &Delivery, ms: i64) -> Arc<Delivery> {
        Arc::new(Delivery { next_at: at(ms), attempts: delivery.attempts + 1, ..delivery.clone() })
    }

    fn numbers(due: &[Arc<Delivery>]) -> Vec<u64> {
        due.iter().map(|delivery| delivery.sequence).collect()
    }

    #[test]
    fn events_of_a_connection_keep_their_order_and_others_do_not_wait_for_them() {
        let mut outbox = Outbox::new(MOST);
        for (sequence, connection) in [(1, 1), (2, 1), (3, 2), (4, 1)] {
            outbox.add(delivery(sequence, 1, connection));
        }
        let due = outbox.due(at(0), 10);
        assert_eq!(numbers(&due), [1, 3]);
        assert!(outbox.due(at(0), 10).is_empty(), "both are being tried");
        outbox.again(later(&due[0], 50));
        outbox.taken(&due[1]);
        assert!(outbox.due(at(49), 10).is_empty());
        assert_eq!(outbox.next_at(), Some(at(50)));
        let due = outbox.due(at(50), 10);
        assert_eq!((numbers(&due), due[0].attempts), (vec![1], 1));
        outbox.taken(&due[0]);
        let due = outbox.due(at(50), 10);
        assert_eq!(numbers(&due), [2]);
        outbox.aside(Arc::clone(&due[0]));
        assert_eq!(numbers(&outbox.due(at(50), 10)), [4]);
        assert_eq!(outbox.counts(WebhookId::from_bytes([1; 16])), (1, 1));
    }

    #[test]
    fn one_webhook_does_not_take_the_room_of_another() {
        let mut outbox = Outbox::new(MOST);
        for number in 0..20 {
            outbox.add(delivery(number, 1, u8::try_from(number).unwrap()));
        }
        outbox.add(delivery(20, 2, 1));
        assert_eq!(numbers(&outbox.due(at(0), 100)), [0, 1, 2, 3, 4, 5, 6, 7, 20]);
    }

    #[test]
    fn what_is_removed_while_it_is_tried_does_not_come_back() {
        let mut outbox = Outbox::new(MOST);
        outbox.add(delivery(1, 1, 1));
        let due = outbox.due(at(0), 1);
        assert_eq!(outbox.remove(WebhookId::from_bytes([1; 16])).len(), 1);
        outbox.again(later(&due[0], 0));
        assert!(outbox.due(at(0), 10).is_empty() && outbox.next_at().is_none());
        assert!(outbox.aside(Arc::clone(&due[0])).is_none());
        assert_eq!(outbox.counts(WebhookId::from_bytes([1; 16])), (0, 0));
    }

    #[test]
    fn what_is_being_tried_stays_when_the_rest_is_taken_out() {
        let mut outbox = Outbox::new(MOST);
        (1..=3).for_each(|number| drop(outbox.add(delivery(number, 1, 1))));
        outbox.add(delivery(4, 1, 2));
        let due = outbox.due(at(0), 1);
        assert_eq!(numbers(&due), [1]);
        assert_eq!(numbers(&outbox.take_waiting(WebhookId::from_bytes([1; 16]))), [2, 3, 4]);
        assert!(outbox.due(at(0), 10).is_empty());
        outbox.taken(&due[0]);
        assert_eq!(outbox.counts(WebhookId::from_bytes([1; 16])), (0, 0));
    }

    #[test]
    fn what_is_set_aside_is_bounded() {
        let mut outbox = Outbox::new(MOST);
        let aside = |number| Arc::new(Delivery { set_aside_at: Some(at(0)), ..(*delivery(number, 1, 1)).clone() });
        let dropped: Vec<_> = (0..=MOST as u64).filter_map(|number| outbox.add(aside(number))).collect();
        assert_eq!(numbers(&dropped), [0]);
        assert_eq!(outbox.take_aside(WebhookId::from_bytes([1; 16]), |one| one.sequence == 7).len(), 1);
    }

    #[test]
    fn a_webhook_is_full_when_more_wait_than_may_and_not_by_what_is_sent_again() {
        let (mut outbox, id) = (Outbox::new(3), WebhookId::from_bytes([1; 16]));
        let again = |number| Arc::new(Delivery { tried_since: at(5), ..(*delivery(number, 1, 1)).clone() });
        (0..4).for_each(|number| drop(outbox.add(again(number))));
        (4..7).for_each(|number| drop(outbox.add(delivery(number, 1, 2))));
        assert!(!outbox.is_full(id));
        outbox.add(delivery(7, 1, 3));
        assert!(outbox.is_full(id) && !outbox.is_full(WebhookId::from_bytes([2; 16])));
        let due = outbox.due(at(0), 10);
        assert_eq!(numbers(&due), [0, 4, 7]);
        outbox.taken(&due[1]);
        assert!(!outbox.is_full(id));
        assert_eq!(outbox.counts(id), (7, 0));
        assert_eq!(numbers(&outbox.take_waiting(id)), [1, 2, 3, 5, 6]);
        outbox.taken(&due[0]);
        outbox.taken(&due[2]);
        assert_eq!((outbox.counts(id), outbox.next_at()), ((0, 0), None));
    }

    #[test]
    fn what_is_due_of_a_webhook_without_a_place_is_not_looked_at() {
        let mut outbox = Outbox::new(usize::MAX);
        for number in 0..200_u8 {
            outbox.add(delivery(number.into(), 1, number));
        }
        let due = outbox.due(at(0), 100);
        assert_eq!(due.len(), MOST_AT_ONCE);
        assert!(outbox.ready.is_empty() && outbox.next_at().is_none(), "its places are taken");
        outbox.add(later(&delivery(200, 2, 1), 50));
        assert_eq!(outbox.next_at(), Some(at(50)), "the next that can be taken");
        outbox.taken(&due[3]);
        assert_eq!(numbers(&outbox.due(at(0), 100)), [8]);
    }
}
