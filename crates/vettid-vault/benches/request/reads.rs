//! A member with a field of 1 KB, and a service that reads it again and again under its contract.

use crate::core_time;
use crate::node::{ENDPOINT, clocks};
use crate::town::{ALICE, Town};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::time::Duration;
use vettid_core::allowance::{Limit, Limits};
use vettid_vault::manager::{Event, Handled};
use vettid_wire::contract::Rate;
use vettid_wire::id::RequestId;
use vettid_wire::subject::Subject;

const FIELD: &str = "address";
const VALUE_BYTES: usize = 1024;
const STORAGE_KEYS: [[u8; 32]; 2] = [[1; 32], [2; 32]];
/// More than anybody reads in a run.
const UNLIMITED: Rate = Rate { count: 1_000_000_000, per_seconds: 1 };

/// The member and the service.
pub(crate) struct Reads {
    town: Town,
    value: String,
}

/// What one read took, and how large what left the vault was.
pub(crate) struct Read {
    /// From the sealed event to the sealed commit and answer.
    pub(crate) handled: Duration,
    /// The commit made the state.
    pub(crate) applied: Duration,
    pub(crate) question_bytes: usize,
    /// Each message that left.
    pub(crate) post_bytes: Vec<usize>,
    pub(crate) commit_bytes: usize,
}

impl Reads {
    pub(crate) fn new() -> Self {
        let now = "2026-11-21T00:00:00.000Z".parse().unwrap();
        let mut town = Town::at(StdRng::seed_from_u64(7), now, ENDPOINT, STORAGE_KEYS);
        town.settle();
        let contract = &mut town.shop.contract;
        contract.rate = UNLIMITED;
        contract.fields.retain(|field| [FIELD, "phone"].contains(&field.field.as_str()));
        contract.fields.iter_mut().for_each(|field| field.rate = None);
        town.connect_shop();
        let value: String = (0..VALUE_BYTES).map(|_| char::from(town.rng.random_range(b'a'..=b'z'))).collect();
        let _: Value = town.ask(ALICE, "data.set", json!({"field": FIELD, "value": value})).unwrap();
        let limit = Limit { messages: UNLIMITED, bytes: None, uncommitted: Limit::SESSION.uncommitted };
        town.nodes[ALICE].limit(Limits { connection: limit, session: limit });
        Self { town, value }
    }

    /// One read, and what came of it.
    pub(crate) fn one(&mut self) -> Read {
        let request_id = RequestId::v7(self.town.now, self.town.rng.random());
        let body = self.town.shop.data_request(FIELD, request_id);
        let Town { nodes, shop, now, rng, .. } = &mut self.town;
        let (_, (subject, bytes)) = shop.seal("data.request", body, *now, rng);
        let question_bytes = bytes.len();
        let (node, events) = (&mut nodes[ALICE], [Event::Message { subject, bytes }]);

        let begin = core_time();
        let batch = node.vault.handle(clocks(*now), rng, &events);
        let handled = core_time() - begin;
        let prepared = batch.commit.unwrap();
        let begin = core_time();
        node.vault.committed(&prepared).unwrap();
        let applied = core_time() - begin;
        let begin = core_time();
        let told = node.vault.handle(clocks(*now), rng, &batch.afterwards);
        // Now and then the channel reserves sequences.
        told.commit.iter().for_each(|prepared| node.vault.committed(prepared).unwrap());
        let told_in = core_time() - begin;

        assert_eq!((batch.handled, told.handled), (vec![Handled::Done], vec![Handled::Done]));
        assert!(told.posts.len() == 1 && told.afterwards.is_empty());
        let post_bytes = batch.posts.iter().chain(&told.posts).map(|post| post.bytes.as_bytes().len()).collect();
        for post in &batch.posts {
            if matches!(&post.subject, Subject::ForOwner(to, ..) if *to == shop.guid) {
                shop.receive(&post.subject, post.bytes.as_bytes(), *now, rng);
            }
        }
        self.check();
        Read { handled: handled + told_in, applied, question_bytes, post_bytes, commit_bytes: prepared.sealed.len() }
    }

    /// The service got the value and its proof, once.
    fn check(&mut self) {
        let (name, body, _) = self.town.shop.got.pop().unwrap();
        assert_eq!((name.as_str(), &body["outcome"]["served"]["value"]), ("data.response", &json!(self.value)));
        self.town.shop.check_proof(&body);
        assert!(self.town.shop.got.is_empty());
    }
}
