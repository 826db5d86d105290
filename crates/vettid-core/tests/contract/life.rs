//! Random contracts with what the member agreed to, and random acts of their service.

use rand::RngExt as _;
use rand::rngs::StdRng;
use vettid_core::contract::{AcceptedContract, contract_hash};
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::contract::{
    Acceptance, Access, Contract, ContractField, InvalidContract, MAX_QUOTA_BYTES, Permission, Rate, Retention,
    Storage, StorageCategory, Tier,
};
use vettid_wire::id::{ConnectionId, Fingerprint};
use vettid_wire::time::Timestamp;

const NAMES: [&str; 6] = ["address", "birth_date", "email", "phone", "ssn", "size"];
const PERMISSIONS: [Permission; 5] = [
    Permission::RequestAuthentication,
    Permission::RequestPayment,
    Permission::SendMessages,
    Permission::StoreData,
    Permission::Call,
];

const CATEGORIES: [&str; 3] = ["cards", "notes", "receipts"];

/// A contract, and the optional fields that the member agreed to.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) contract: Contract,
    pub(crate) optional: Vec<String>,
}

/// What a service tries.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// To read a field, quoting the accepted contract or another one.
    Read { field: String, quotes_own: bool, retention: Option<Retention> },
    /// Something that needs a permission, quoting the accepted contract or another one.
    Ask { permission: Permission, quotes_own: bool },
    /// A new version with a lower rate is accepted: that of the contract, or of this field.
    Lower { field: Option<String>, count_percent: u32, period_percent: u32 },
    /// To be sent a field unasked, because the member changed it.
    Push(String),
    /// To send a message, a new one or one that was let through before.
    Message { quotes_own: bool, is_known: bool },
    /// Something about what it stores, quoting the accepted contract or another one.
    Stored { what: OfStored, quotes_own: bool },
}

/// What a service tries with what it stores. A thing is named by a number within its category.
#[derive(Debug, Clone)]
pub(crate) enum OfStored {
    /// To store so many bytes.
    Put { category: String, name: u8, bytes: u64 },
    /// To read one thing.
    Get(String),
    /// To list a category, or all.
    List(Option<String>),
    /// To delete one thing.
    Delete { category: String, name: u8 },
}

impl Act {
    pub(crate) fn reads(&self, name: &str) -> bool {
        matches!(self, Self::Read { field, .. } if field == name)
    }

    pub(crate) fn is_message(&self) -> bool {
        matches!(self, Self::Message { .. })
    }

    /// What an accepted version makes of the contract; whether this act is one.
    pub(crate) fn accept(&self, contract: &mut Contract) -> bool {
        let Self::Lower { field, count_percent, period_percent } = self else { return false };
        let lowered = match field {
            None => Some(&mut contract.rate),
            Some(name) => {
                let declared = contract.fields.iter_mut().find(|declared| declared.field == *name);
                declared.and_then(|declared| declared.rate.as_mut())
            }
        };
        if let Some(rate) = lowered {
            let part = |of: u32, percent: u32| (of * percent / 100).max(1);
            let (count, per_seconds) = (part(rate.count, *count_percent), part(rate.per_seconds, *period_percent));
            // A smaller bucket that fills faster is not a lower rate.
            if u64::from(count) * u64::from(rate.per_seconds) <= u64::from(rate.count) * u64::from(per_seconds) {
                *rate = Rate { count, per_seconds };
            }
        }
        true
    }

    pub(crate) fn is_push_of(&self, name: &str) -> bool {
        matches!(self, Self::Push(field) if field == name)
    }
}

/// What a service tries, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) acts: Vec<(Timestamp, Act)>,
}

fn flip(rng: &mut StdRng, of: u32) -> bool {
    rng.random_range(0..of) == 0
}

fn rate(rng: &mut StdRng, most: u32) -> Rate {
    Rate { count: rng.random_range(1..=most), per_seconds: rng.random_range(1..=60) }
}

fn category(rng: &mut StdRng) -> String {
    CATEGORIES[rng.random_range(0..CATEGORIES.len())].to_owned()
}

fn storage_of(quota_bytes: u64, names: impl Iterator<Item = &'static str>) -> Option<Storage> {
    let categories: Vec<_> =
        names.map(|name| StorageCategory { category: name.to_owned(), purpose: "p".to_owned() }).collect();
    (!categories.is_empty()).then_some(Storage { quota_bytes, categories })
}

fn retention(rng: &mut StdRng) -> Retention {
    let all = [Retention::Session, Retention::TimeLimited { days: 2 }, Retention::TimeLimited { days: 9 }];
    all.get(rng.random_range(0..4)).copied().unwrap_or(Retention::UntilRevoked)
}

/// Makes a rate lower: a smaller bucket, a longer time, or both.
pub(crate) fn lower(rate: &mut Rate, rng: &mut StdRng) {
    rate.count = rng.random_range(1..=rate.count);
    rate.per_seconds = rng.random_range(rate.per_seconds..=2 * rate.per_seconds);
}

pub(crate) fn other_hash() -> Base64Url {
    Base64Url::new([7; 32])
}

impl Terms {
    pub(crate) fn random(rng: &mut StdRng) -> Self {
        let tiers = [Tier::Required, Tier::Optional, Tier::OnDemand, Tier::Consent];
        let mut fields = Vec::new();
        for name in NAMES {
            if flip(rng, 2) {
                fields.push(ContractField {
                    field: name.to_owned(),
                    tier: tiers[rng.random_range(0..tiers.len())],
                    access: [Access::OneTime, Access::OnDemand, Access::Snapshot][rng.random_range(0..3)],
                    purpose: "p".to_owned(),
                    retention: retention(rng),
                    rate: if flip(rng, 2) { Some(rate(rng, 4)) } else { None },
                });
            }
        }
        let is_optional = |field: &&ContractField| field.tier == Tier::Optional;
        let agreed: Vec<_> = fields.iter().filter(is_optional).map(|field| field.field.clone()).collect();
        let optional = agreed.into_iter().filter(|_| flip(rng, 2)).collect();
        let permissions = PERMISSIONS.into_iter().filter(|_| flip(rng, 2)).collect();
        let contract = Contract {
            service_id: "demo-shop".parse().unwrap(),
            contract_version: 1,
            description: "d".to_owned(),
            fields,
            permissions,
            storage: storage_of(rng.random_range(1..200), CATEGORIES.into_iter().filter(|_| flip(rng, 2))),
            rate: rate(rng, 12),
            terms_url: "t".to_owned(),
            privacy_url: "p".to_owned(),
            notifications_per_hour: if flip(rng, 4) { None } else { Some(rng.random_range(1..4)) },
        };
        // Consent and the end of a session go with no snapshot; what is refused for that is tried as well.
        assert!(matches!(contract.validate(), Ok(()) | Err(InvalidContract::Snapshot(_))));
        Self { contract, optional }
    }

    /// The same rate over a contract that allows everything at any time.
    pub(crate) fn all_allowed(&self) -> Self {
        let field = |name: &str| ContractField {
            field: name.to_owned(),
            tier: Tier::OnDemand,
            access: Access::OnDemand,
            purpose: "p".to_owned(),
            retention: Retention::UntilRevoked,
            rate: None,
        };
        let fields = NAMES.into_iter().map(field).collect();
        let storage = storage_of(MAX_QUOTA_BYTES, CATEGORIES.into_iter());
        let (permissions, notifications_per_hour) = (PERMISSIONS.to_vec(), Some(u32::MAX));
        let contract = Contract { fields, permissions, notifications_per_hour, storage, ..self.contract.clone() };
        Self { contract, optional: Vec::new() }
    }

    /// As the vault keeps it.
    pub(crate) fn accepted(&self) -> AcceptedContract {
        let contract_hash = contract_hash(&self.contract).unwrap();
        let fingerprint = Fingerprint::from_bytes([1; 32]);
        let acceptance = Acceptance {
            contract_hash: contract_hash.clone(),
            contract_version: 1,
            service_id: self.contract.service_id.clone(),
            service_fp: fingerprint,
            member_fp: fingerprint,
            connection_id: ConnectionId::from_bytes([2; 16]),
            optional_fields_accepted: self.optional.clone(),
            accepted_at: Timestamp::default(),
            sequence: 1,
            key_id: "k_utkd2ec6y33ntxd64zqbcj2x5a".parse().unwrap(),
            signature: Base64::default(),
        };
        AcceptedContract { contract: self.contract.clone(), contract_hash, acceptance, counter_signature: None }
    }
}

impl Life {
    /// The same acts, and now and then a lower rate is accepted between them.
    pub(crate) fn with_lower_rates(&self, terms: &Terms, rng: &mut StdRng) -> Self {
        let mut acts = Vec::new();
        for (at, act) in &self.acts {
            if flip(rng, 6) {
                let limited = terms.contract.fields.iter().filter(|field| field.rate.is_some());
                let names: Vec<_> = limited.map(|field| field.field.clone()).collect();
                let field = names.get(rng.random_range(0..=names.len())).cloned();
                let (count_percent, period_percent) = (rng.random_range(1..=100), rng.random_range(1..=150));
                acts.push((*at, Act::Lower { field, count_percent, period_percent }));
            }
            acts.push((*at, act.clone()));
        }
        Self { acts }
    }

    /// The same acts under the version of the beginning.
    pub(crate) fn without_lower_rates(&self) -> Self {
        let acts = self.acts.iter().filter(|(_, act)| !matches!(act, Act::Lower { .. }));
        Self { acts: acts.cloned().collect() }
    }

    /// The same acts by a clock that never goes back.
    pub(crate) fn forward(&self) -> Self {
        let mut latest = Timestamp::default();
        let acts = self.acts.iter().map(|(at, act)| {
            latest = latest.max(*at);
            (latest, act.clone())
        });
        Self { acts: acts.collect() }
    }

    /// Mostly forward in time, sometimes far, sometimes back; mostly fields of the contract.
    pub(crate) fn random(terms: &Terms, rng: &mut StdRng) -> Self {
        let mut now_ms = 1_000_000_000i64;
        let acts = (0..rng.random_range(4..24)).map(|_| {
            now_ms += match rng.random_range(0..11) {
                0..4 => 0,
                4..8 => rng.random_range(0..8_000),
                8 => rng.random_range(0..120_000),
                9 => rng.random_range(0..4_000_000),
                _ => -rng.random_range(0..60_000),
            };
            (Timestamp::from_unix_ms(now_ms), Act::random(terms, rng))
        });
        Self { acts: acts.collect() }
    }
}

impl Act {
    fn random(terms: &Terms, rng: &mut StdRng) -> Self {
        if flip(rng, 5) {
            let permission = PERMISSIONS[rng.random_range(0..PERMISSIONS.len())];
            return Self::Ask { permission, quotes_own: !flip(rng, 8) };
        }
        if flip(rng, 4) {
            return Self::Message { quotes_own: !flip(rng, 8), is_known: flip(rng, 8) };
        }
        if flip(rng, 5) {
            return Self::Stored { what: OfStored::random(rng), quotes_own: !flip(rng, 8) };
        }
        let declared = &terms.contract.fields;
        let field = if declared.is_empty() || flip(rng, 6) {
            NAMES[rng.random_range(0..NAMES.len())].to_owned()
        } else {
            declared[rng.random_range(0..declared.len())].field.clone()
        };
        if flip(rng, 4) {
            return Self::Push(field);
        }
        let wish = if flip(rng, 3) { Some(retention(rng)) } else { None };
        Self::Read { field, quotes_own: !flip(rng, 8), retention: wish }
    }
}

impl OfStored {
    fn random(rng: &mut StdRng) -> Self {
        let (category, name) = (category(rng), rng.random_range(0..3));
        match rng.random_range(0..8) {
            0..5 => Self::Put { category, name, bytes: rng.random_range(1..200) },
            5 => Self::Get(category),
            6 => Self::List(if flip(rng, 2) { Some(category) } else { None }),
            _ => Self::Delete { category, name },
        }
    }
}

/// Changes one thing of what a contract lets its service store, for better or worse.
pub(crate) fn change_storage(contract: &mut Contract, rng: &mut StdRng) {
    let name = category(rng);
    match (&mut contract.storage, rng.random_range(0..4)) {
        (Some(_), 0) if flip(rng, 4) => contract.storage = None,
        (Some(storage), 0 | 1) => storage.quota_bytes = rng.random_range(1..300),
        (Some(storage), 2) => storage.categories.retain(|declared| declared.category != name),
        (Some(storage), _) if storage.category(&name).is_none() => {
            storage.categories.push(StorageCategory { category: name, purpose: "p".to_owned() });
        }
        (Some(_), _) => {}
        (None, _) => {
            let categories = vec![StorageCategory { category: name, purpose: "p".to_owned() }];
            contract.storage = Some(Storage { quota_bytes: rng.random_range(1..300), categories });
        }
    }
}

/// Changes one thing of a contract, for better or worse.
pub(crate) fn change(terms: &mut Terms, rng: &mut StdRng) {
    let contract = &mut terms.contract;
    if flip(rng, 8) {
        contract.notifications_per_hour = if contract.notifications_per_hour.is_some() { None } else { Some(2) };
        return;
    }
    if contract.fields.is_empty() || flip(rng, 4) {
        let permission = PERMISSIONS[rng.random_range(0..PERMISSIONS.len())];
        let had = contract.permissions.contains(&permission);
        contract.permissions.retain(|other| *other != permission);
        contract.permissions.extend((!had).then_some(permission));
        return;
    }
    let at = rng.random_range(0..contract.fields.len());
    match rng.random_range(0..4) {
        0 => drop(contract.fields.remove(at)),
        1 => contract.fields[at].access = if flip(rng, 2) { Access::OneTime } else { Access::OnDemand },
        _ => {
            let tiers = [Tier::Required, Tier::Optional, Tier::OnDemand, Tier::Consent];
            contract.fields[at].tier = tiers[rng.random_range(0..tiers.len())];
        }
    }
}
