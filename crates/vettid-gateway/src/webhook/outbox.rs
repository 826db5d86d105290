//! What is still to be sent: a queue for each webhook and connection, of which only the first is tried; and what was set
//! aside. Pure and bounded; the state holds the same, so a restart makes it anew.

use super::{Delivery, DeliveryView, MOST_SET_ASIDE, WebhookId};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use vettid_wire::id::ConnectionId;
use vettid_wire::time::Timestamp;

/// Attempts at once for one webhook.
const MOST_AT_ONCE: usize = 8;

/// What arrives in its order: the events of a connection at a webhook.
type Lane = (WebhookId, Option<ConnectionId>);

/// The queues.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lanes: HashMap<Lane, VecDeque<Arc<Delivery>>>,
    /// The first of each queue that is not being tried, by when it is due.
    heads: BTreeSet<(Timestamp, u64, Lane)>,
    flying: HashMap<WebhookId, usize>,
    set_aside: HashMap<WebhookId, BTreeMap<u64, Arc<Delivery>>>,
}

fn lane(delivery: &Delivery) -> Lane {
    (delivery.webhook_id, delivery.connection_id)
}

impl Outbox {
    /// Adds a delivery that is durable. Gives back what has to go to make room among those set aside.
    pub(crate) fn add(&mut self, delivery: Arc<Delivery>) -> Option<Arc<Delivery>> {
        if delivery.set_aside_at.is_some() {
            return self.put_aside(delivery);
        }
        let (lane, head) = (lane(&delivery), (delivery.next_at, delivery.sequence));
        let queue = self.lanes.entry(lane).or_default();
        if queue.is_empty() {
            self.heads.insert((head.0, head.1, lane));
        }
        queue.push_back(delivery);
        None
    }

    fn put_aside(&mut self, delivery: Arc<Delivery>) -> Option<Arc<Delivery>> {
        let aside = self.set_aside.entry(delivery.webhook_id).or_default();
        aside.insert(delivery.sequence, delivery);
        if aside.len() > MOST_SET_ASIDE { aside.pop_first().map(|(_, oldest)| oldest) } else { None }
    }

    /// What is due now, at most `most`; each is tried by whoever takes it, who says [`taken`](Self::taken),
    /// [`again`](Self::again) or [`aside`](Self::aside) afterwards.
    pub(crate) fn due(&mut self, now: Timestamp, most: usize) -> Vec<Arc<Delivery>> {
        let mut due = Vec::new();
        let mut chosen = Vec::new();
        for head in self.heads.iter().take_while(|(at, ..)| *at <= now) {
            if due.len() == most {
                break;
            }
            let flying = self.flying.entry(head.2.0).or_default();
            if *flying < MOST_AT_ONCE
                && let Some(delivery) = self.lanes.get(&head.2).and_then(VecDeque::front)
            {
                *flying += 1;
                due.push(Arc::clone(delivery));
                chosen.push(*head);
            }
        }
        for head in chosen {
            self.heads.remove(&head);
        }
        due
    }

    /// When the next one is due that is not due at `now`, or that could not be taken then.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.heads.first().map(|(at, ..)| *at)
    }

    fn land(&mut self, delivery: &Delivery) {
        if let Some(flying) = self.flying.get_mut(&delivery.webhook_id) {
            *flying = flying.saturating_sub(1);
        }
    }

    /// Takes the delivery out of its queue; `false`: its webhook is gone.
    fn leave(&mut self, delivery: &Delivery) -> bool {
        self.land(delivery);
        let lane = lane(delivery);
        let Some(queue) = self.lanes.get_mut(&lane) else {
            return false;
        };
        if queue.front().is_none_or(|front| front.sequence != delivery.sequence) {
            return false;
        }
        queue.pop_front();
        match queue.front() {
            Some(next) => {
                self.heads.insert((next.next_at, next.sequence, lane));
            }
            None => {
                self.lanes.remove(&lane);
            }
        }
        true
    }

    /// The receiver has it.
    pub(crate) fn taken(&mut self, delivery: &Delivery) {
        self.leave(delivery);
    }

    /// It is tried again; nothing behind it overtakes it.
    pub(crate) fn again(&mut self, delivery: Arc<Delivery>) {
        self.land(&delivery);
        let lane = lane(&delivery);
        if let Some(front) = self.lanes.get_mut(&lane).and_then(VecDeque::front_mut)
            && front.sequence == delivery.sequence
        {
            self.heads.insert((delivery.next_at, delivery.sequence, lane));
            *front = delivery;
        }
    }

    /// It is set aside. Gives back what has to go to make room.
    pub(crate) fn aside(&mut self, delivery: Arc<Delivery>) -> Option<Arc<Delivery>> {
        if self.leave(&delivery) { self.put_aside(delivery) } else { None }
    }

    /// Everything of a webhook, waiting and set aside, in order.
    pub(crate) fn of(&self, id: WebhookId) -> Vec<Arc<Delivery>> {
        let waiting = self.lanes.iter().filter(|((webhook, _), _)| *webhook == id).flat_map(|(_, queue)| queue);
        let aside = self.set_aside.get(&id).into_iter().flat_map(BTreeMap::values);
        let mut all: Vec<_> = waiting.chain(aside).cloned().collect();
        all.sort_by_key(|delivery| delivery.sequence);
        all
    }

    /// Takes out everything of a webhook.
    pub(crate) fn remove(&mut self, id: WebhookId) -> Vec<Arc<Delivery>> {
        let all = self.of(id);
        self.lanes.retain(|(webhook, _), _| *webhook != id);
        self.heads.retain(|(_, _, (webhook, _))| *webhook != id);
        self.set_aside.remove(&id);
        all
    }

    /// What of a webhook waits and is not being tried right now; taken out of its queues.
    pub(crate) fn take_waiting(&mut self, id: WebhookId) -> Vec<Arc<Delivery>> {
        let first: HashSet<Lane> = self.heads.iter().map(|(_, _, lane)| *lane).collect();
        let mut out = Vec::new();
        for (lane, queue) in self.lanes.iter_mut().filter(|((webhook, _), _)| *webhook == id) {
            let flying = usize::from(!first.contains(lane)).min(queue.len());
            out.extend(queue.split_off(flying));
        }
        self.lanes.retain(|_, queue| !queue.is_empty());
        let lanes = &self.lanes;
        self.heads.retain(|(_, _, lane)| lanes.contains_key(lane));
        out.sort_by_key(|delivery| delivery.sequence);
        out
    }

    /// Takes out what was set aside for a webhook, or one event of it.
    pub(crate) fn take_aside(&mut self, id: WebhookId, wanted: impl Fn(&Delivery) -> bool) -> Vec<Arc<Delivery>> {
        let Some(aside) = self.set_aside.get_mut(&id) else {
            return Vec::new();
        };
        aside.extract_if(.., |_, delivery| wanted(delivery)).map(|(_, delivery)| delivery).collect()
    }

    /// How many wait and how many are set aside.
    pub(crate) fn counts(&self, id: WebhookId) -> (usize, usize) {
        let waiting = self.lanes.iter().filter(|((webhook, _), _)| *webhook == id).map(|(_, queue)| queue.len()).sum();
        (waiting, self.set_aside.get(&id).map_or(0, BTreeMap::len))
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
        let mut outbox = Outbox::default();
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
        let mut outbox = Outbox::default();
        for number in 0..20 {
            outbox.add(delivery(number, 1, u8::try_from(number).unwrap()));
        }
        outbox.add(delivery(20, 2, 1));
        assert_eq!(numbers(&outbox.due(at(0), 100)), [0, 1, 2, 3, 4, 5, 6, 7, 20]);
    }

    #[test]
    fn what_is_removed_while_it_is_tried_does_not_come_back() {
        let mut outbox = Outbox::default();
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
        let mut outbox = Outbox::default();
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
        let mut outbox = Outbox::default();
        let aside = |number| Arc::new(Delivery { set_aside_at: Some(at(0)), ..(*delivery(number, 1, 1)).clone() });
        let dropped: Vec<_> = (0..=MOST_SET_ASIDE as u64).filter_map(|number| outbox.add(aside(number))).collect();
        assert_eq!(numbers(&dropped), [0]);
        assert_eq!(outbox.take_aside(WebhookId::from_bytes([1; 16]), |one| one.sequence == 7).len(), 1);
    }
}
