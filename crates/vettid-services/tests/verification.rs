//! A service proves a domain to the registry, over the real API and a real DNS server: whose claim counts, what raises a level, what takes it
//! away again, and what the operator's word adds.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use serde_json::json;
use std::time::Duration;
use vettid_core::directory::Periods;
use vettid_crypto::directory::{sign_claim, sign_listing, verify_standing, verify_statistics};
use vettid_crypto::identity::{SigningKey, VerifyingKey};
use vettid_crypto::nats::key::AccountKey;
use vettid_crypto::secret::Secret32;
use vettid_crypto::{profile, signature};
use vettid_nats::clock;
use vettid_services::certification;
use vettid_services::config::{Dns, Limits};
use vettid_testkit::dns::DnsServer;
use vettid_testkit::operator::fresh_key;
use vettid_wire::base64::{Base64, Base64Url};
use vettid_wire::category::{AskComparison, ComparisonBasis, Counted, Listed, ServiceListing};
use vettid_wire::contract::Rate;
use vettid_wire::directory::{
    AskDomainChallenge, CertifyService, ClaimDomain, DirectoryEntry, Domain, DomainChallenge, DomainClaim,
    DomainClaimed, Finding, Level, ServiceStanding, record_text,
};
use vettid_wire::enrolment::{RegisterService, ServiceRegistered};
use vettid_wire::id::{MemberId, ServiceId};
use vettid_wire::profile::SignedProfile;
use world::{Answer, World};

const NAME: &str = "_vettid.example.org";
const PLENTY: Rate = Rate { count: 10_000, per_seconds: 60 };
/// Days become moments.
const QUICK: Periods = Periods { check_ms: 100, grace_ms: 1_500, blind_ms: 20_000, standing_ms: 60_000 };

/// A registered service with its keys, and the zone of its domain.
struct Shop {
    world: World,
    dns: DnsServer,
    identity: SigningKey,
    account: AccountKey,
    guid: MemberId,
}

impl Shop {
    async fn open(periods: Periods) -> Self {
        let dns = DnsServer::start("example.org").await.unwrap();
        let world = World::with_dns(
            Limits { open: PLENTY, ..Limits::default() },
            Dns { servers: vec![dns.address()], periods },
        );
        let (world, account) = (world.await, fresh_key().unwrap());
        let (identity, guid) = (SigningKey::from_seed(&Secret32::from_bytes([7; 32])), MemberId::from_bytes([1; 16]));
        let shop = Self { world, dns, identity, account, guid };
        shop.register().await;
        shop
    }

    /// Another shop in the same world, with a domain of its own.
    fn beside(&self, number: u8) -> Other<'_> {
        let identity = SigningKey::from_seed(&Secret32::from_bytes([100 + number; 32]));
        let (account, guid) = (fresh_key().unwrap(), MemberId::from_bytes([100 + number; 16]));
        Other { shop: self, id: format!("shop-{number}").parse().unwrap(), identity, account, guid, number }
    }

    async fn register(&self) {
        let nkey = || fresh_key::<vettid_crypto::nats::key::Account>().unwrap().public().to_string();
        let registration = RegisterService {
            service_id: "shop".parse().unwrap(),
            guid: self.guid,
            account_nkey: self.account.public().to_string(),
            vault_signing_nkey: nkey(),
            connection_signing_nkey: nkey(),
            claim_signing_nkey: nkey(),
        };
        let token = self.world.services.service_token();
        self.world.post("/v1/services", Some(&token), &registration).await.ok::<ServiceRegistered>();
    }

    fn record(&self) -> String {
        record_text(&"shop".parse().unwrap(), &self.identity.verifying_key().fingerprint())
    }

    async fn challenge(&self) -> Base64Url {
        let asked = AskDomainChallenge { service_id: "shop".parse().unwrap(), domain: domain() };
        self.world.post("/v1/services/domain/challenge", None, &asked).await.ok::<DomainChallenge>().challenge
    }

    fn claim(&self, challenge: Base64Url) -> DomainClaim {
        DomainClaim {
            service_id: "shop".parse().unwrap(),
            guid: self.guid,
            domain: domain(),
            public_key: self.identity.verifying_key().typed(),
            challenge,
            at: clock::now(),
            key_id: self.identity.key_id(),
            signature: Base64::default(),
        }
    }

    async fn send(&self, claim: &ClaimDomain) -> Answer {
        self.world.post("/v1/services/domain", None, claim).await
    }

    /// Claims the domain in order.
    async fn prove(&self) -> DomainClaimed {
        let claim = self.claim(self.challenge().await);
        self.send(&sign_claim(&self.identity, &self.account, claim).unwrap()).await.ok()
    }

    /// What the registry says, checked with its key. It may be over a moment after it was said, so the time is that at which it was asked.
    async fn standing(&self) -> ServiceStanding {
        let asked_at = clock::now();
        let entry: DirectoryEntry = self.world.get("/v1/registry/services/shop", None).await.ok();
        verify_standing(&self.registry().await, entry.standing, asked_at).unwrap().into_inner()
    }

    async fn registry(&self) -> VerifyingKey {
        let signed: SignedProfile = self.world.get("/v1/registry/profile", None).await.ok();
        VerifyingKey::from_typed(&profile::verify(signed, clock::now()).unwrap().get().public_key).unwrap()
    }

    async fn until(&self, what: &str, holds: impl Fn(&ServiceStanding) -> bool) -> ServiceStanding {
        for _ in 0..200 {
            let standing = self.standing().await;
            if holds(&standing) {
                return standing;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never: {what}; {:?}", self.standing().await)
    }

    fn command(&self, reason: &str, days: Option<i64>) -> CertifyService {
        let (config, reason) = (self.world.config(), reason.to_owned());
        let until = days.map(|days| clock::now().plus_ms(days * 24 * 3_600_000));
        certification::command(&config.data_dir, &config.key_file, "shop".parse().unwrap(), reason, until).unwrap()
    }

    async fn certify(&self, command: &CertifyService) -> Answer {
        self.world.post("/v1/registry/certifications", None, command).await
    }
}

/// One of several shops that are compared.
struct Other<'a> {
    shop: &'a Shop,
    id: ServiceId,
    identity: SigningKey,
    account: AccountKey,
    guid: MemberId,
    number: u8,
}

impl Other<'_> {
    async fn register(&self) {
        let nkey = || fresh_key::<vettid_crypto::nats::key::Account>().unwrap().public().to_string();
        let registration = RegisterService {
            service_id: self.id.clone(),
            guid: self.guid,
            account_nkey: self.account.public().to_string(),
            vault_signing_nkey: nkey(),
            connection_signing_nkey: nkey(),
            claim_signing_nkey: nkey(),
        };
        let token = self.shop.world.services.service_token();
        self.shop.world.post("/v1/services", Some(&token), &registration).await.ok::<ServiceRegistered>();
    }

    async fn list(&self, fields: &[&str]) -> Answer {
        let fields = fields
            .iter()
            .map(|name| json!({"field": name, "tier": "on_demand", "purpose": "To deliver", "retention": "session"}));
        let contract = json!({"service_id": self.id, "contract_version": 1, "description": "Orders",
            "fields": fields.collect::<Vec<_>>(), "permissions": [], "rate": {"count": 5, "per_seconds": 60},
            "terms_url": "https://shop.example/terms", "privacy_url": "https://shop.example/privacy"});
        let listing = ServiceListing {
            service_id: self.id.clone(),
            guid: self.guid,
            category: "shop".parse().unwrap(),
            contract: serde_json::from_value(contract).unwrap(),
            public_key: self.identity.verifying_key().typed(),
            at: clock::now(),
            key_id: self.identity.key_id(),
            signature: Base64::default(),
        };
        let asked = sign_listing(&self.identity, &self.account, listing).unwrap();
        self.shop.world.post("/v1/services/listing", None, &asked).await
    }

    async fn verify(&self, label: &str) {
        let domain: Domain = format!("{label}.example.org").parse().unwrap();
        let record = record_text(&self.id, &self.identity.verifying_key().fingerprint());
        self.shop.dns.set(&domain.record_name(), &[&record]).await.unwrap();
        let asked = AskDomainChallenge { service_id: self.id.clone(), domain: domain.clone() };
        let given = self.shop.world.post("/v1/services/domain/challenge", None, &asked).await.ok::<DomainChallenge>();
        let claim =
            DomainClaim { service_id: self.id.clone(), guid: self.guid, domain, ..self.shop.claim(given.challenge) };
        let claim = sign_claim(&self.identity, &self.account, claim).unwrap();
        assert_eq!(self.shop.send(&claim).await.ok::<DomainClaimed>().standing.level, Level::Verified);
    }

    /// What is counted beside this service, checked with the registry's key.
    async fn counted(&self) -> Option<Counted> {
        let asked = AskComparison { service_id: self.id.clone() };
        let basis: ComparisonBasis = self.shop.world.post("/v1/registry/comparison", None, &asked).await.ok();
        let statistics = basis.statistics.unwrap();
        let checked = verify_statistics(&self.shop.registry().await, statistics, clock::now()).unwrap().into_inner();
        assert_eq!((checked.service_id, checked.category.as_str()), (self.id.clone(), "shop"));
        checked.counted
    }

    async fn until(&self, services: Option<u32>) -> Option<Counted> {
        for _ in 0..100 {
            let counted = self.counted().await;
            if counted.as_ref().map(|counted| counted.services) == services {
                return counted;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("shop {} never sees {services:?}", self.number)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_verified_services_of_a_kind_ask_is_counted_from_five_on() {
    let shop = Shop::open(Periods { grace_ms: 60_000, ..QUICK }).await;
    let asked = AskComparison { service_id: "shop".parse().unwrap() };
    let basis: ComparisonBasis = shop.world.post("/v1/registry/comparison", None, &asked).await.ok();
    assert_eq!(basis.statistics, None, "it did not say of which kind it is");
    let others: Vec<_> = (1..=7).map(|number| shop.beside(number)).collect();
    for other in &others {
        other.register().await;
        let fields: &[&str] = if other.number == 1 { &["address", "birth_date"] } else { &["address"] };
        other.list(fields).await.ok::<Listed>();
    }
    for other in &others[..4] {
        other.verify(&format!("shop-{}", other.number)).await;
    }
    // Four are verified, three are not, and one more comes under a domain that is counted already.
    others[5].verify("shop-4").await;
    assert_eq!(others[0].until(None).await, None);
    others[4].verify("shop-5").await;
    let counted = others[0].until(Some(5)).await.unwrap();
    let asking = |name: &str| counted.fields.get(name).map(|count| count.services);
    assert_eq!((asking("address"), asking("birth_date"), asking("phone")), (Some(5), Some(1), None));
    // Somebody else lists for a service, or with another identity than the one that was looked at.
    let thief = Other { account: fresh_key().unwrap(), ..shop.beside(2) };
    assert_eq!(thief.list(&["address"]).await.status, 401);
    let other = Other {
        account: AccountKey::from_seed(std::str::from_utf8(others[1].account.seed().unwrap().expose()).unwrap())
            .unwrap(),
        identity: SigningKey::from_seed(&Secret32::from_bytes([9; 32])),
        ..shop.beside(2)
    };
    other.list(&["address"]).await.ok::<Listed>();
    others[0].until(None).await;
}

fn domain() -> Domain {
    "example.org".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_in_dns_makes_a_service_verified_and_its_loss_ends_that_after_the_grace() {
    let shop = Shop::open(QUICK).await;
    let claimed = shop.prove().await;
    assert_eq!((claimed.found, claimed.standing.level), (Finding::Absent, Level::Unverified));
    // A record of somebody else does not count.
    shop.dns.set(NAME, &["v=spf1 -all", &shop.record().replace("shop", "bank")]).await.unwrap();
    assert_eq!(shop.prove().await.standing.level, Level::Unverified);
    // Nobody claims again: the next look finds it.
    shop.dns.set(NAME, &["v=spf1 -all", &shop.record()]).await.unwrap();
    let first = shop.until("verified", |said| said.level == Level::Verified).await;
    let found = first.domain.unwrap();
    assert_eq!(first.service_fp, Some(shop.identity.verifying_key().fingerprint()));
    let later = shop.until("looked at again", |said| said.domain.as_ref().unwrap().checked_at > found.checked_at).await;
    assert_eq!(later.domain.unwrap().since, found.since);

    let lost_at = clock::now();
    shop.dns.set(NAME, &[]).await.unwrap();
    shop.until("unverified", |said| said.level == Level::Unverified).await;
    assert!(clock::now().since_ms(lost_at) >= QUICK.grace_ms, "not before the grace is over");
    shop.dns.set(NAME, &[&shop.record()]).await.unwrap();
    let again = shop.until("verified again", |said| said.level == Level::Verified).await;
    assert!(again.domain.unwrap().since > lost_at, "there was a gap");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dns_that_does_not_answer_never_raises_a_level_and_does_not_take_one_away_at_once() {
    let periods = Periods { blind_ms: 3_000, ..QUICK };
    let shop = Shop::open(periods).await;
    shop.dns.set(NAME, &[&shop.record()]).await.unwrap();
    assert_eq!(shop.prove().await.standing.level, Level::Verified);
    let Shop { world, dns, identity, account, guid } = shop;
    dns.stop().await.unwrap();
    let shop = Shop { world, dns: DnsServer::start("example.org").await.unwrap(), identity, account, guid };
    assert_eq!(shop.standing().await.level, Level::Verified);
    shop.until("unverified", |said| said.level == Level::Unverified).await;
    let claimed = shop.prove().await;
    assert_eq!((claimed.found, claimed.standing.level), (Finding::Unknown, Level::Unverified));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_needs_identity_account_and_a_fresh_challenge() {
    let shop = Shop::open(Periods::default()).await;
    shop.dns.set(NAME, &[&shop.record()]).await.unwrap();
    let other_account: AccountKey = fresh_key().unwrap();
    let signed = |account: &AccountKey, claim| sign_claim(&shop.identity, account, claim).unwrap();
    let good = shop.claim(shop.challenge().await);
    let elsewhere: Domain = "example.net".parse().unwrap();
    let stale = DomainClaim { at: clock::now().plus_ms(-3_600_000), ..shop.claim(shop.challenge().await) };
    let wrong = [
        ("another account", signed(&other_account, good.clone()), 401),
        ("a challenge that nobody gave", signed(&shop.account, shop.claim(Base64Url::new([9; 32]))), 401),
        (
            "a challenge of another domain",
            {
                let claim = DomainClaim { domain: elsewhere, ..shop.claim(shop.challenge().await) };
                (signed(&shop.account, claim)).clone()
            },
            401,
        ),
        (
            "another space",
            {
                let claim = DomainClaim { guid: MemberId::from_bytes([2; 16]), ..shop.claim(shop.challenge().await) };
                signed(&shop.account, claim)
            },
            400,
        ),
        ("an hour ago", signed(&shop.account, stale), 400),
        (
            "another service",
            {
                let claim = DomainClaim { service_id: "bank".parse().unwrap(), ..shop.claim(shop.challenge().await) };
                signed(&shop.account, claim)
            },
            401,
        ),
    ];
    for (what, claim, status) in wrong {
        assert_eq!(shop.send(&claim).await.status, status, "{what}");
    }
    assert_eq!(shop.standing().await.level, Level::Unverified);
    let claim = signed(&shop.account, good);
    assert_eq!(shop.send(&claim).await.ok::<DomainClaimed>().standing.level, Level::Verified);
    assert_eq!(shop.send(&claim).await.status, 401, "the challenge was used up");
    // Whoever takes over the account with another identity begins anew.
    let thief = SigningKey::from_seed(&Secret32::from_bytes([8; 32]));
    let claim = sign_claim(&thief, &shop.account, shop.claim(shop.challenge().await)).unwrap();
    assert_eq!(shop.send(&claim).await.ok::<DomainClaimed>().standing.level, Level::Unverified);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_certifies_who_controls_a_domain_by_a_signed_command_that_counts_once() {
    let shop = Shop::open(Periods::default()).await;
    assert_eq!(shop.certify(&shop.command("Register of companies", Some(90))).await.status, 409, "no domain");
    shop.dns.set(NAME, &[&shop.record()]).await.unwrap();
    shop.prove().await;
    let command = shop.command("Register of companies", Some(90));
    let forged = CertifyService { key_id: shop.identity.key_id(), ..command.clone() };
    let own = signature::sign(signature::Context::CertifyService, &shop.identity, &forged).unwrap();
    for wrong in [
        CertifyService { signature: own, ..forged },
        CertifyService { until: command.until.map(|until| until.plus_ms(1)), ..command.clone() },
        CertifyService { reason: "Because".to_owned(), ..command.clone() },
    ] {
        assert_eq!(shop.certify(&wrong).await.status, 401);
    }
    assert_eq!(shop.certify(&shop.command("Register of companies", Some(-1))).await.status, 400, "over already");
    let standing: ServiceStanding = shop.certify(&command).await.ok();
    assert_eq!(standing.level, Level::Certified);
    assert_eq!(shop.certify(&command).await.status, 409, "once");

    let shop = Shop { world: shop.world.restart().await, ..shop };
    let said = shop.standing().await;
    assert_eq!(said.level, Level::Certified);
    assert_eq!(said.certification.unwrap().reason, "Register of companies");
    let standing: ServiceStanding = shop.certify(&shop.command("Dissolved", None)).await.ok();
    assert_eq!((standing.level, standing.certification), (Level::Verified, None));
}
