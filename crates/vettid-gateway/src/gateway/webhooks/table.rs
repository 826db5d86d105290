//! All webhooks with what is on its way to them, and what follows changes of that. Values only; nothing here waits.

use crate::webhook::outbox::Outbox;
use crate::webhook::{Delivery, Webhook, WebhookId, WebhookView};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All webhooks, and what is on its way to them.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) webhooks: BTreeMap<WebhookId, Arc<Webhook>>,
    pub(super) outbox: Outbox,
    /// What has to go from the state.
    pub(super) surplus: Vec<Arc<Delivery>>,
    /// How many of that nobody will get although their webhook is there.
    pub(super) dropped: usize,
    /// Webhooks that are to be paused: too much waits for them.
    pub(super) full: BTreeSet<WebhookId>,
}

/// What follows changes of the table.
pub(super) struct LeftToDo {
    pub(super) surplus: Vec<Arc<Delivery>>,
    pub(super) dropped: usize,
    pub(super) full: BTreeSet<WebhookId>,
}

impl Table {
    pub(super) fn new(most: usize) -> Self {
        let (webhooks, surplus, full) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        Self { webhooks, outbox: Outbox::new(most), surplus, dropped: 0, full }
    }

    pub(super) fn drop_oldest(&mut self, dropped: Option<Arc<Delivery>>) {
        self.dropped += usize::from(dropped.is_some());
        self.surplus.extend(dropped);
    }

    pub(super) fn add(&mut self, delivery: Arc<Delivery>) {
        let Some(webhook) = self.webhooks.get(&delivery.webhook_id) else {
            return self.surplus.push(delivery);
        };
        let delivery = match (webhook.paused_at, delivery.set_aside_at) {
            (Some(at), None) => Arc::new(Delivery { set_aside_at: Some(at), ..(*delivery).clone() }),
            _ => delivery,
        };
        let id = delivery.webhook_id;
        let dropped = self.outbox.add(delivery);
        self.drop_oldest(dropped);
        if self.outbox.is_full(id) {
            self.full.insert(id);
        }
    }

    /// A delivery that was not taken is tried again, unless its webhook was paused or removed meanwhile.
    pub(super) fn again(&mut self, delivery: Arc<Delivery>) {
        match self.webhooks.get(&delivery.webhook_id).map(|webhook| webhook.paused_at) {
            Some(None) => self.outbox.again(delivery),
            Some(paused_at) => {
                let aside = Arc::new(Delivery { set_aside_at: paused_at, ..(*delivery).clone() });
                let dropped = self.outbox.aside(aside);
                self.drop_oldest(dropped);
            }
            None => self.surplus.push(delivery),
        }
    }

    pub(super) fn left_to_do(&mut self) -> LeftToDo {
        LeftToDo {
            surplus: std::mem::take(&mut self.surplus),
            dropped: std::mem::take(&mut self.dropped),
            full: std::mem::take(&mut self.full),
        }
    }

    pub(super) fn view(&self, webhook: &Webhook) -> WebhookView {
        let (waiting, set_aside) = self.outbox.counts(webhook.webhook_id);
        WebhookView {
            webhook_id: webhook.webhook_id,
            url: webhook.url.clone(),
            events: webhook.events.clone(),
            with_answers: webhook.with_answers,
            created_at: webhook.created_at,
            paused_at: webhook.paused_at,
            waiting,
            set_aside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::{Event, EventKind};
    use vettid_crypto::secret::Secret32;
    use vettid_wire::id::{ConnectionId, RequestId};
    use vettid_wire::time::Timestamp;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000 + ms)
    }

    fn webhook(paused_at: Option<Timestamp>) -> Webhook {
        Webhook {
            webhook_id: WebhookId::from_bytes([1; 16]),
            url: "https://shop.example/hook".to_owned(),
            events: BTreeSet::new(),
            with_answers: false,
            secret: Secret32::from_bytes([1; 32]),
            former_secret: None,
            secret_at: at(0),
            created_at: at(0),
            taken_at: None,
            paused_at,
        }
    }

    fn delivery(sequence: u64) -> Arc<Delivery> {
        let body = serde_json::json!({"request_id": RequestId::from_bytes([5; 16])});
        let id = ConnectionId::from_bytes([u8::try_from(sequence).unwrap(); 16]);
        let event = Event::of(EventKind::RequestAnswered, id, body);
        Arc::new(Delivery::of(&event, WebhookId::from_bytes([2; 16]), &webhook(None), sequence, at(0)))
    }

    fn table(most: usize, count: u64) -> Table {
        let mut table = Table::new(most);
        table.webhooks.insert(webhook(None).webhook_id, Arc::new(webhook(None)));
        (0..count).for_each(|sequence| table.add(delivery(sequence)));
        table
    }

    /// As the commit does that pauses it.
    fn pause(table: &mut Table) {
        let id = webhook(None).webhook_id;
        table.webhooks.insert(id, Arc::new(webhook(Some(at(1)))));
        table.outbox.take_waiting(id).into_iter().for_each(|one| table.add(one));
    }

    #[test]
    fn what_was_being_tried_when_its_webhook_was_paused_is_set_aside() {
        let (mut table, id) = (table(10, 3), webhook(None).webhook_id);
        let due = table.outbox.due(at(0), 2);
        pause(&mut table);
        assert_eq!(table.outbox.counts(id), (2, 1));
        table.again(Arc::new(Delivery { next_at: at(5), ..(*due[0]).clone() }));
        table.outbox.taken(&due[1]);
        assert_eq!((table.outbox.counts(id), table.outbox.next_at()), ((0, 2), None));
        table.webhooks.clear();
        table.again(Arc::clone(&due[0]));
        assert_eq!(table.left_to_do().surplus.len(), 1);
    }

    #[test]
    fn a_webhook_for_which_too_much_waits_is_named_and_what_it_is_left_with_is_counted() {
        let (mut table, id) = (table(10, 10), webhook(None).webhook_id);
        assert!(table.left_to_do().full.is_empty());
        table.add(delivery(10));
        assert_eq!(table.left_to_do().full, BTreeSet::from([id]));
        pause(&mut table);
        let left = table.left_to_do();
        assert_eq!((left.dropped, left.surplus.len(), left.surplus[0].sequence), (1, 1, 0), "the oldest one");
        assert_eq!(table.outbox.counts(id), (0, 10));
        assert!(!table.outbox.is_full(id));
    }

    #[test]
    fn a_delivery_of_an_earlier_version_is_told_its_request() {
        let before = Delivery { request_id: None, ..(*delivery(1)).clone() };
        assert_eq!(before.completed().request_id, Some(RequestId::from_bytes([5; 16])));
    }
}
