//! Relayed logins: a site of an attacker begins a login at the real service in its own browser and gets a member to say yes to
//! it, in every way it can think of. Steps of gateway and vault as they ship, random relays from a seed, none succeeds.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod world;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use vettid_gateway::login::{Begun, LoginProgress};
use vettid_gateway::question::Outcome;
use vettid_wire::base64::Base64Url;
use vettid_wire::login::{BrowserKeyKind, LoginFinished};
use vettid_wire::time::Timestamp;
use world::{Key, Member, ORIGIN, Service, judge};

const RELAYS: u64 = 1_000;

fn now() -> Timestamp {
    Timestamp::from_unix_ms(1_790_000_000_000)
}

/// The real service, a member with a known browser, and an attacker who is a member, too.
struct Scene {
    rng: StdRng,
    service: Service,
    victim: Member,
    attacker: Member,
    hers: Key,
    his: Key,
}

impl Scene {
    fn new(seed: u64, numbers: bool, kind: BrowserKeyKind) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let service = Service::new(&mut rng, numbers, kind);
        let (victim, attacker) = (Member::new(&mut rng, 7), Member::new(&mut rng, 8));
        let [hers, his] = [(); 2].map(|()| Key::random(&mut rng, kind));
        let mut scene = Self { rng, service, victim, attacker, hers, his };
        assert!(scene.honest_by_link(), "an honest login by a link");
        assert!(scene.honest_by_browser(), "an honest login from a browser that this made known");
        scene
    }

    fn begin(&mut self) -> Begun {
        self.service.begin(now(), &mut self.rng)
    }

    /// The victim logs in on her own device, and her browser becomes known.
    fn honest_by_link(&mut self) -> bool {
        let page = self.begin();
        let shown = self.hers.proof(ORIGIN, &page.to_sign);
        self.service.desk.prove(now(), (page.login_id, &page.verifier), shown).unwrap();
        let (outcome, code) = self.by_link(&page, false).unwrap();
        match self.service.finish(now(), (page.login_id, &page.verifier), Some(&outcome), code.as_ref()) {
            Some(LoginProgress::LoggedIn(done)) => {
                self.victim.finished(now(), done.finished.as_ref().unwrap());
                self.victim.browsers.len() == 1
            }
            _ => false,
        }
    }

    fn honest_by_browser(&mut self) -> bool {
        let page = self.begin();
        let shown = self.hers.proof(ORIGIN, &page.to_sign);
        let place = (page.login_id, &page.verifier);
        self.service.desk.prove(now(), place, shown).unwrap();
        let request = self.service.desk.push(now(), place, self.victim.by(), true).unwrap();
        let said = self.victim.approve(now(), &mut self.rng, &self.service, request, None).unwrap();
        let outcome = judge(now().plus_ms(12_000), &said.question, &said.response, &self.victim).unwrap();
        self.is_in(&page, Some(&outcome), None)
    }

    /// The victim opens a link and says yes: what the service makes of it, and the code in the victim's browser.
    fn by_link(&mut self, page: &Begun, other_device: bool) -> Option<(Outcome, Option<Base64Url>)> {
        let opened = self.victim.open(now(), &page.link, other_device)?;
        let request = self.service.desk.opened(now(), self.victim.by(), &opened)?;
        let said = self.victim.approve(now(), &mut self.rng, &self.service, request, page.number)?;
        let outcome = judge(now().plus_ms(12_000), &said.question, &said.response, &self.victim)?;
        Some((outcome, said.code))
    }

    /// Whether whoever holds the verifier of this page is logged in as the victim.
    fn is_in(&mut self, page: &Begun, outcome: Option<&Outcome>, code: Option<&Base64Url>) -> bool {
        let at = now().plus_ms(13_000);
        let progress = self.service.finish(at, (page.login_id, &page.verifier), outcome, code);
        matches!(progress, Some(LoginProgress::LoggedIn(done)) if done.connection_id == self.victim.id)
    }

    fn random_code(&mut self) -> Base64Url {
        Base64Url::new(self.rng.random::<[u8; 32]>())
    }

    /// A login of the victim's own that is under way at the same time; whatever of it the attacker may have seen.
    fn own_login(&mut self) -> (Begun, Option<(Outcome, Option<Base64Url>)>) {
        let page = self.begin();
        let said = self.by_link(&page, false);
        (page, said)
    }
}

/// One relay; `true` if the attacker is logged in as the victim.
type Relay = fn(&mut Scene) -> bool;

/// The link is sent to the victim, who opens it and says yes. The code goes to the victim's browser.
fn link(scene: &mut Scene) -> bool {
    let page = scene.begin();
    let said = scene.by_link(&page, false);
    let guess = scene.random_code();
    let code = Some(&guess).filter(|_| scene.rng.random());
    scene.is_in(&page, said.as_ref().map(|said| &said.0), code)
}

/// The victim's browser brings the code of the attacker's page: it holds another verifier, or none.
fn victim_brings_the_code(scene: &mut Scene) -> bool {
    let page = scene.begin();
    let (own, _) = scene.own_login();
    let (outcome, code) = scene.by_link(&page, false).unwrap();
    let brought = scene.service.finish(now(), (page.login_id, &own.verifier), Some(&outcome), code.as_ref());
    brought.is_some() || scene.is_in(&page, Some(&outcome), None)
}

/// The QR code is shown to the victim, who scans it from another screen.
fn qr(scene: &mut Scene) -> bool {
    let page = scene.begin();
    let said = scene.by_link(&page, true);
    scene.is_in(&page, said.as_ref().map(|said| &said.0), None)
}

/// The victim is asked by name, without a link; with the attacker's own browser key or none.
fn push(scene: &mut Scene) -> bool {
    let page = scene.begin();
    let place = (page.login_id, &page.verifier);
    if scene.rng.random() {
        let shown = scene.his.proof(ORIGIN, &page.to_sign);
        scene.service.desk.prove(now(), place, shown).unwrap();
    }
    // The worst case: the service believes that the browser is one of the victim's.
    let known = scene.rng.random();
    let Ok(request) = scene.service.desk.push(now(), place, scene.victim.by(), known) else { return false };
    let told = page.number;
    let said = scene.victim.approve(now(), &mut scene.rng, &scene.service, request, told);
    let outcome = said.and_then(|said| judge(now().plus_ms(12_000), &said.question, &said.response, &scene.victim));
    scene.is_in(&page, outcome.as_ref(), None)
}

/// The signature of the victim's browser under her own login is shown for the attacker's.
fn signature_of_her_browser(scene: &mut Scene) -> bool {
    let (page, own) = (scene.begin(), scene.begin());
    let stolen = scene.hers.proof(ORIGIN, &own.to_sign);
    let place = (page.login_id, &page.verifier);
    if scene.service.desk.prove(now(), place, stolen.clone()).is_ok() {
        return true;
    }
    // Past the service's own check, the vault still sees it.
    let Some(opened) = scene.victim.open(now(), &page.link, true) else { return false };
    let Some(mut request) = scene.service.desk.opened(now(), scene.victim.by(), &opened) else { return false };
    request.browser = Some(stolen);
    let said = scene.victim.approve(now(), &mut scene.rng, &scene.service, request, None);
    said.is_some()
}

/// The code, or the answer, of the victim's own login is used for the attacker's.
fn replay_of_her_own_login(scene: &mut Scene) -> bool {
    let (own, said) = scene.own_login();
    let (outcome, code) = said.unwrap();
    let page = scene.begin();
    let opened = scene.attacker.open(now(), &page.link, false).unwrap();
    scene.service.desk.opened(now(), scene.attacker.by(), &opened).unwrap();
    let hers = (own.login_id, &page.verifier);
    let swapped = scene.service.finish(now(), hers, Some(&outcome), code.as_ref());
    swapped.is_some() || scene.is_in(&page, None, code.as_ref())
}

/// The victim's signed answer is handed in for the question of another login, with or without its names changed.
fn answer_of_another_login(scene: &mut Scene) -> bool {
    let (own, page) = (scene.begin(), scene.begin());
    let mut asked = vec![];
    for page in [&own, &page] {
        let opened = scene.victim.open(now(), &page.link, false).unwrap();
        let request = scene.service.desk.opened(now(), scene.victim.by(), &opened).unwrap();
        asked.push(scene.victim.approve(now(), &mut scene.rng, &scene.service, request, None).unwrap());
    }
    let (hers, relayed) = (&asked[0], &asked[1]);
    let mut answer = hers.response.clone();
    // Only what the attacker could change without the key; it is signed here as if the vault had, one part left at a time.
    match scene.rng.random_range(0..4) {
        0 => answer.request_id = relayed.response.request_id,
        1 => answer.session_hash = relayed.response.session_hash.clone(),
        2 => answer.nonce = relayed.response.nonce.clone(),
        _ => answer.connection_id = scene.attacker.id,
    }
    let outcome = judge(now().plus_ms(12_000), &relayed.question, &answer, &scene.victim);
    outcome.is_some()
}

/// The attacker's own vault says yes: he is logged in as himself, never as her.
fn his_own_yes(scene: &mut Scene) -> bool {
    let page = scene.begin();
    let opened = scene.attacker.open(now(), &page.link, false).unwrap();
    let request = scene.service.desk.opened(now(), scene.attacker.by(), &opened).unwrap();
    let said = scene.attacker.approve(now(), &mut scene.rng, &scene.service, request, None).unwrap();
    // For her question it is signed by the wrong key; for his it names him.
    let as_hers = judge(now().plus_ms(12_000), &said.question, &said.response, &scene.victim);
    let as_his = judge(now().plus_ms(12_000), &said.question, &said.response, &scene.attacker);
    let code = said.code.clone();
    let mine = scene.is_in(&page, as_his.as_ref(), code.as_ref());
    (as_hers.is_some() && scene.is_in(&page, as_hers.as_ref(), code.as_ref())) || mine
}

/// The attacker's browser is shown with a relayed link: the victim's vault must not know it afterwards.
fn enrolment(scene: &mut Scene) -> bool {
    let page = scene.begin();
    let shown = scene.his.proof(ORIGIN, &page.to_sign);
    scene.service.desk.prove(now(), (page.login_id, &page.verifier), shown).unwrap();
    let (outcome, _) = scene.by_link(&page, false).unwrap();
    let Outcome::Decided { .. } = &outcome else { panic!("a decision") };
    // A service that lies about the code, or guesses it.
    let code = scene.random_code();
    let request_id = scene.service.desk.request_of(now(), page.login_id, &page.verifier).unwrap().unwrap();
    scene.victim.finished(now(), &LoginFinished { request_id, code });
    let his = scene.his.public_key();
    scene.victim.browsers.iter().any(|browser| browser.browser_key == his) || push(scene)
}

/// Everything is right, and too late.
fn late(scene: &mut Scene) -> bool {
    let page = scene.begin();
    let (outcome, code) = scene.by_link(&page, false).unwrap();
    let at = now().plus_ms(5 * 60_000 + scene.rng.random_range(0..60_000));
    scene.service.finish(at, (page.login_id, &page.verifier), Some(&outcome), code.as_ref()).is_some()
}

/// A link of the attacker's own site, for his own page or for the real one.
fn other_origin(scene: &mut Scene) -> bool {
    let page = scene.begin();
    let mut link = vettid_wire::login::LoginLink::read(&page.link).unwrap();
    link.origin = "https://shop.example.evil.example".to_owned();
    scene.victim.open(now(), &link.to_text().unwrap(), false).is_some()
}

/// The attacker's site has her use her key there, for the names of his own login at the real one.
fn touched_at_his_site(scene: &mut Scene) -> bool {
    let page = scene.begin();
    let site = ["https://shop.example.evil.example", "https://evil.example"][usize::from(scene.rng.random::<bool>())];
    let shown = scene.hers.proof(site, &page.to_sign);
    let place = (page.login_id, &page.verifier);
    if scene.service.desk.prove(now(), place, shown.clone()).is_ok() {
        return true;
    }
    // Past the service's own check, the vault still sees it.
    let Ok(mut request) = scene.service.desk.push(now(), place, scene.victim.by(), true) else { return false };
    request.browser = Some(shown);
    let said = scene.victim.approve(now(), &mut scene.rng, &scene.service, request, None);
    let outcome = said.and_then(|said| judge(now().plus_ms(12_000), &said.question, &said.response, &scene.victim));
    scene.is_in(&page, outcome.as_ref(), None)
}

const RELAYS_OF_ALL_KINDS: [Relay; 12] = [
    link,
    victim_brings_the_code,
    qr,
    push,
    signature_of_her_browser,
    replay_of_her_own_login,
    answer_of_another_login,
    his_own_yes,
    enrolment,
    late,
    other_origin,
    touched_at_his_site,
];

#[test]
fn none_of_a_thousand_relayed_logins_succeeds() {
    relay_all(BrowserKeyKind::Webcrypto);
}

#[test]
fn none_of_a_thousand_relayed_logins_succeeds_where_authenticators_keep_the_keys() {
    relay_all(BrowserKeyKind::Webauthn);
}

fn relay_all(keys: BrowserKeyKind) {
    let mut in_as_her = vec![];
    for seed in 0..RELAYS {
        let mut scene = Scene::new(seed, false, keys);
        let kind = usize::try_from(seed).unwrap() % RELAYS_OF_ALL_KINDS.len();
        for _ in 0..scene.rng.random_range(1..3) {
            if RELAYS_OF_ALL_KINDS[kind](&mut scene) {
                in_as_her.push((seed, kind));
            }
        }
    }
    assert!(in_as_her.is_empty(), "{} of {RELAYS}: {in_as_her:?}", in_as_her.len());
}

/// What a number is worth: a member who is told it by the attacker, and gives the password, lets the attacker in. That is why a
/// service has to switch numbers on.
#[test]
fn where_numbers_are_on_a_member_who_is_told_the_number_lets_an_attacker_in() {
    let relayed = |told: bool| {
        let mut scene = Scene::new(1, true, BrowserKeyKind::Webcrypto);
        let page = scene.begin();
        let request =
            scene.service.desk.push(now(), (page.login_id, &page.verifier), scene.victim.by(), false).unwrap();
        let number = page.number.filter(|_| told);
        let said = scene.victim.approve(now(), &mut scene.rng, &scene.service, request, number);
        let outcome = said.and_then(|said| judge(now().plus_ms(12_000), &said.question, &said.response, &scene.victim));
        scene.is_in(&page, outcome.as_ref(), None)
    };
    assert!(!relayed(false) && relayed(true));
}
