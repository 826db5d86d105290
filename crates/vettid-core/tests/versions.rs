//! Every way in which versions of a contract can be published, offered, accepted, rejected and asked under, searched to the end with
//! the shipped steps: messages come late, twice and in any order, and the service once comes back from an earlier state.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;
use vettid_core::contract::versions::{
    AcceptanceTaken, OfferTaken, agree, is_offer_due, not_frozen, reject, take_acceptance, take_offer,
};
use vettid_core::contract::{AcceptedContract, Buckets, Grant, Reading, Spent, contract_hash, read_field};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::contract::{Acceptance, Contract};
use vettid_wire::id::{ConnectionId, Fingerprint};
use vettid_wire::json;
use vettid_wire::offer::OfferedContract;
use vettid_wire::refusal::RefusalCode;
use vettid_wire::time::Timestamp;

/// A version with one of two texts: after the service came back from an earlier state it writes another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Text {
    version: u8,
    other: bool,
}

/// What was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Terms {
    text: Text,
    sequence: u8,
    with_city: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Service {
    published: BTreeSet<Text>,
    accepted: Terms,
    offered: Option<u8>,
    is_over: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct State {
    in_force: Terms,
    waiting: Option<Text>,
    is_over: bool,
    signed: BTreeSet<Terms>,
    service: Service,
    came_back: bool,
    offers: BTreeSet<Text>,
    acceptances: BTreeSet<Terms>,
    notice: bool,
}

const VERSIONS: u8 = 3;
const SEQUENCES: u8 = 3;
const FIRST: Text = Text { version: 1, other: false };

static TEXTS: LazyLock<HashMap<Text, (Contract, Base64Url)>> = LazyLock::new(|| {
    let all = (1..=VERSIONS).flat_map(|version| [false, true].map(|other| Text { version, other }));
    all.map(|text| (text, made(text))).collect()
});

fn made(text: Text) -> (Contract, Base64Url) {
    let contract: Contract = json::read(
        format!(
            r#"{{"service_id":"demo-shop","contract_version":{},"description":"{}","fields":[
            {{"field":"email","tier":"required","purpose":"p","retention":"session"}},
            {{"field":"city","tier":"optional","purpose":"p","retention":"session"}}],
            "permissions":[],"rate":{{"count":9,"per_seconds":60}},"terms_url":"t","privacy_url":"p"}}"#,
            text.version, text.other
        )
        .as_bytes(),
    )
    .unwrap();
    let hash = contract_hash(&contract).unwrap();
    (contract, hash)
}

fn hash(text: Text) -> &'static Base64Url {
    &TEXTS[&text].1
}

fn accepted(terms: Terms) -> AcceptedContract {
    let (contract, contract_hash) = TEXTS[&terms.text].clone();
    AcceptedContract { acceptance: acceptance(terms), contract, contract_hash, counter_signature: None }
}

fn acceptance(terms: Terms) -> Acceptance {
    let fingerprint = Fingerprint::from_bytes([1; 32]);
    Acceptance {
        contract_hash: hash(terms.text).clone(),
        contract_version: u64::from(terms.text.version),
        service_id: "demo-shop".parse().unwrap(),
        service_fp: fingerprint,
        member_fp: fingerprint,
        connection_id: ConnectionId::from_bytes([2; 16]),
        optional_fields_accepted: choice(terms.with_city),
        accepted_at: Timestamp::default(),
        sequence: u64::from(terms.sequence),
        key_id: "k_utkd2ec6y33ntxd64zqbcj2x5a".parse().unwrap(),
        signature: Base64::default(),
    }
}

fn choice(with_city: bool) -> Vec<String> {
    with_city.then(|| "city".to_owned()).into_iter().collect()
}

fn offered(text: Text) -> OfferedContract {
    let (contract, contract_hash) = TEXTS[&text].clone();
    OfferedContract { contract, contract_hash, received_at: Timestamp::default() }
}

impl State {
    fn first() -> Self {
        let terms = Terms { text: FIRST, sequence: 1, with_city: false };
        Self {
            in_force: terms,
            waiting: None,
            is_over: false,
            signed: BTreeSet::from([terms]),
            service: Service { published: BTreeSet::from([FIRST]), accepted: terms, offered: None, is_over: false },
            came_back: false,
            offers: BTreeSet::new(),
            acceptances: BTreeSet::new(),
            notice: false,
        }
    }

    fn newest(&self) -> Text {
        *self.service.published.last().unwrap()
    }

    /// Everything that may happen next.
    fn next(&self) -> Vec<Self> {
        let mut next = Vec::new();
        self.service_acts(&mut next);
        self.owner_acts(&mut next);
        self.arrivals(&mut next);
        next
    }

    fn service_acts(&self, next: &mut Vec<Self>) {
        if self.newest().version < VERSIONS {
            let mut state = self.clone();
            state.service.published.insert(Text { version: self.newest().version + 1, other: self.came_back });
            next.push(state);
        }
        let Service { accepted, offered, is_over, .. } = self.service;
        if !is_over && is_offer_due(self.newest().version.into(), accepted.text.version.into(), offered.map(u64::from))
        {
            let mut state = self.clone();
            state.service.offered = Some(self.newest().version);
            state.offers.insert(self.newest());
            next.push(state);
        }
        if !self.came_back {
            next.push(Self { service: Self::first().service, came_back: true, ..self.clone() });
        }
    }

    fn owner_acts(&self, next: &mut Vec<Self>) {
        if self.is_over {
            return;
        }
        let (in_force, waiting) = (accepted(self.in_force), self.waiting.map(offered));
        for text in TEXTS.keys() {
            for with_city in [false, true] {
                let agreed = agree(&in_force, waiting.as_ref(), hash(*text), &choice(with_city));
                let is_read = *text == self.waiting.unwrap_or(self.in_force.text);
                assert_eq!(agreed.is_ok(), is_read, "what was not read was decided: {self:?} {text:?}");
                let Ok(agreed) = agreed else { continue };
                if self.in_force.sequence == SEQUENCES {
                    continue;
                }
                let terms = Terms { text: *text, sequence: u8::try_from(agreed.sequence).unwrap(), with_city };
                let mut state = Self { in_force: terms, waiting: None, ..self.clone() };
                state.signed.insert(terms);
                state.acceptances.insert(terms);
                next.push(state);
            }
            let rejected = reject(waiting.as_ref(), hash(*text)).is_ok();
            assert_eq!(rejected, self.waiting == Some(*text));
            if rejected {
                next.push(Self { is_over: true, waiting: None, notice: true, ..self.clone() });
            }
        }
    }

    /// Each message arrives and is gone, or arrives and comes again.
    fn arrivals(&self, next: &mut Vec<Self>) {
        for text in &self.offers {
            let mut state = self.clone();
            state.take_offer(*text);
            next.push(state.clone());
            state.offers.remove(text);
            next.push(state);
        }
        for terms in &self.acceptances {
            let mut state = self.clone();
            state.take_acceptance(*terms);
            next.push(state.clone());
            state.acceptances.remove(terms);
            next.push(state);
        }
        if self.notice {
            let mut state = Self { notice: false, ..self.clone() };
            state.service.is_over = true;
            next.push(state);
        }
    }

    fn take_offer(&mut self, text: Text) {
        if self.is_over {
            return;
        }
        match take_offer(&accepted(self.in_force), self.waiting.map(offered).as_ref(), &offered(text)) {
            Ok(OfferTaken::Frozen) => self.waiting = Some(text),
            Ok(OfferTaken::InForce) => drop(self.acceptances.insert(self.in_force)),
            Ok(OfferTaken::Waiting) | Err(_) => {}
        }
    }

    fn take_acceptance(&mut self, terms: Terms) {
        if self.service.is_over {
            return;
        }
        let published = |version: u64| {
            let text = self.service.published.iter().find(|text| u64::from(text.version) == version)?;
            Some((&TEXTS[text].0, &TEXTS[text].1))
        };
        if let Ok(AcceptanceTaken::InForce(_)) =
            take_acceptance(&accepted(self.service.accepted), published, &acceptance(terms))
        {
            self.service.accepted = terms;
            self.service.offered = self.service.offered.filter(|offered| *offered > terms.text.version);
        }
    }

    /// What the vault says to a request under a text.
    fn asks(&self, text: Text, field: &str) -> Result<Grant, RefusalCode> {
        if self.is_over {
            return Err(RefusalCode::NotConnected);
        }
        not_frozen(self.waiting.map(offered).as_ref())?;
        let (mut buckets, spent) = (Buckets::default(), Spent::default());
        let in_force = accepted(self.in_force);
        let reading = Reading { quoted_hash: hash(text), field, retention: None };
        read_field(Timestamp::default(), &in_force, (&mut buckets, &spent), reading).map_err(|breach| breach.code())
    }

    /// What must hold wherever it stands.
    fn check(&self) {
        for (text, field) in TEXTS.keys().flat_map(|text| [(*text, "email"), (*text, "city")]) {
            let granted = self.asks(text, field);
            if self.waiting.is_some() && !self.is_over {
                assert_eq!(granted, Err(RefusalCode::ContractFrozen), "{self:?}");
            }
            if granted.is_ok() {
                let Terms { with_city, .. } = self.in_force;
                assert!(text == self.in_force.text && (field == "email" || with_city), "{self:?}");
                assert!(self.signed.contains(&self.in_force), "never signed: {self:?}");
            }
        }
        assert!(self.signed.contains(&self.service.accepted), "the service has what nobody signed: {self:?}");
        let numbers: BTreeSet<_> = self.signed.iter().map(|terms| terms.sequence).collect();
        assert_eq!(numbers.len(), self.signed.len(), "two acceptances have one number: {self:?}");
        let at_rest = self.offers.is_empty() && self.acceptances.is_empty() && !self.notice;
        if at_rest && !self.came_back {
            assert_eq!(self.is_over, self.service.is_over, "{self:?}");
            assert!(self.is_over || self.service.accepted == self.in_force, "they disagree for good: {self:?}");
        }
    }

    /// What must hold of one step to the next.
    fn follows(&self, before: &Self) {
        assert!(self.in_force.text.version >= before.in_force.text.version, "{before:?} -> {self:?}");
        assert!(self.in_force.sequence >= before.in_force.sequence, "{before:?} -> {self:?}");
        assert!(self.in_force == before.in_force || self.in_force.sequence > before.in_force.sequence);
        assert!(!before.is_over || self.is_over);
        let waited = before.waiting.filter(|_| !self.is_over);
        let decided = self.in_force != before.in_force;
        assert!(waited.is_none() || decided || self.waiting >= before.waiting, "{before:?} -> {self:?}");
        if self.came_back == before.came_back {
            assert!(self.service.accepted.text.version >= before.service.accepted.text.version);
        }
    }
}

#[test]
fn nobody_gets_what_was_not_accepted_searched_to_the_end() {
    let mut known = HashSet::from([State::first()]);
    let mut open = vec![State::first()];
    let (mut frozen, mut ended, mut second) = (0, 0, 0);
    while let Some(state) = open.pop() {
        state.check();
        frozen += u64::from(state.waiting.is_some());
        ended += u64::from(state.is_over);
        second += u64::from(state.in_force.text.other);
        for next in state.next() {
            next.follows(&state);
            if known.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    // Everything was really met: freezing, ending, and a text of after the service came back.
    assert!(known.len() > 10_000 && frozen > 1_000 && ended > 1_000 && second > 100, "{}", known.len());
}
