//! The main job of the demo, step by step: between the steps each outcome is looked at from outside, with programs other
//! than the demo's own. All the while the operator listens to every account; in the end everything that was heard, and
//! every file, is searched for what was said.

use crate::canary::{Canary, Hit, Search};
use crate::disk;
use crate::party::{App, Outcome, list, text, vettid};
use crate::planted::{
    ANSWER, BIRTH, BROWSER, CITY, FIELD, MESSAGE, NOTE, PURPOSE, Planted, SECOND_ANSWER, address, six,
};
use crate::processes;
use crate::shop::{Shop, StolenConnection};
use crate::spy::{Seen, Spy};
use crate::stack::{Place, Up, WITHIN, family};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

const STEPS: usize = 14;
/// What the spy says in every account; it must be found there.
const DECOY: &str = "decoy of the operator's own";

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_under_the_eyes_of_the_operator() {
    let place = Place::new();
    let mut up = place.up(&["--demo", "--step"]);
    let mut outside = Outside::new(&place, &mut up).await;
    let mut steps = 0;
    while let Some(title) = up.step().await {
        steps += 1;
        outside.before(&title, &up).await;
        up.enter().await;
    }
    let status = up.ended().await;
    assert_eq!((status.code(), steps), (Some(0), STEPS), "{}", up.said());
    assert!(up.said().contains(&format!("All {STEPS} steps were seen at the other party.")), "{}", up.said());
    outside.after_the_end(&up).await;
    outside.second_start().await;
    // And the whole job can be played again on the same data, with people who know each other already.
    let mut up = place.up(&["--demo"]);
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}

/// Everybody who looks on from outside.
struct Outside<'p> {
    place: &'p Place,
    spy: Spy,
    alice: App,
    bob: App,
    shop: Shop,
    planted: Planted,
    connection: String,
    shop_connection: String,
    stolen: Option<StolenConnection>,
    /// Copies of the codes, made while they lay there.
    codes: BTreeMap<&'static str, String>,
    family: Vec<processes::Process>,
}

fn code_file(place: &Place, name: &str) -> PathBuf {
    place.data().join("people").join(format!("{name}.code"))
}

impl<'p> Outside<'p> {
    /// Called as soon as everything runs, before the first step.
    async fn new(place: &'p Place, up: &mut Up) -> Self {
        let shop = up.until("demo shop").await;
        up.until("data, logs").await;
        Self {
            place,
            spy: Spy::attach(place).await,
            alice: place.app("alice"),
            bob: place.app("bob"),
            shop: Shop::new(place, shop.rsplit_once("http://").unwrap().1),
            planted: Planted::at_the_start(place),
            connection: String::new(),
            shop_connection: String::new(),
            stolen: None,
            codes: ["alice", "bob"].map(|name| (name, fs::read_to_string(code_file(place, name)).unwrap())).into(),
            family: Vec::new(),
        }
    }

    /// Looks at what the step before this one brought.
    async fn before(&mut self, title: &str, up: &Up) {
        self.spy.mark(DECOY.as_bytes()).await;
        self.nothing_secret_in_arguments(up);
        match title.split_once([':', ';']).map_or(title, |(head, _)| head) {
            "Alice enrols" => self.everything_is_there(),
            "Bob enrols" => self.code_is_dead("alice").await,
            "Alice stores her address and date of birth, and publishes a profile" => self.code_is_dead("bob").await,
            "Alice invites Bob" => self.data_is_stored().await,
            "Bob's vault stops" => {
                self.people_are_connected().await;
                self.spy.spare_the_hosts(true).await;
            }
            "Bob answers" => {
                self.spy.spare_the_hosts(false).await;
                self.message_arrived_once().await;
            }
            "The shop offers a contract" => self.answer_arrived_once().await,
            "The shop reads the address" => self.contract_is_agreed().await,
            "The shop asks for the date of birth" => self.address_is_served().await,
            "The shop asks for her SSN, and reads the address too often" => self.birth_date_is_asked_for().await,
            "The shop asks for a login" => self.reads_are_refused().await,
            "Both vaults and the broker are killed in the middle of messages" => {
                self.login_is_asked_for().await;
                self.spy.spare_the_hosts(true).await;
            }
            "Alice's feed and audit show all of it" => {
                self.spy.spare_the_hosts(false).await;
                self.nothing_was_lost_or_doubled().await;
            }
            "Alice ends the connection with the shop" => {
                self.feed_tells_it().await;
                self.audit_tells_it().await;
                self.shop_is_robbed().await;
                self.search_traffic(&self.spy.stored().await);
                self.search_files();
                self.family = family(up);
            }
            other => panic!("nothing is known of the step {other:?}: say what it must bring"),
        }
    }

    /// The spy is in every account before anything happens.
    fn everything_is_there(&self) {
        let accounts = self.spy.accounts();
        let count = |prefix: &str| accounts.iter().filter(|name| name.starts_with(prefix)).count();
        for name in ["SYS", "VaultServices", "ServiceRegistry", "VaultHost"] {
            assert_eq!(count(name), 1, "{accounts:?}");
        }
        // Of Alice and Bob two each; shop, bank and clinic have no app.
        assert_eq!((count("OwnerSpace."), count("MessageSpace."), accounts.len()), (2, 5, 11), "{accounts:?}");
    }

    /// Whoever finds the code of an app that is enrolled cannot do anything with it.
    async fn code_is_dead(&self, name: &'static str) {
        let before = self.place.app(name).ask(&["status"]).await;
        assert!(!code_file(self.place, name).exists(), "the code of {name} still lies there");
        let thief = self.place.stranger(name).run(&["enroll"], &self.codes[name]).await;
        assert_eq!(thief.code, 3, "{thief:?}");
        let after = self.place.app(name).ask(&["status"]).await;
        assert_eq!(text(&before, "vault_fingerprint"), text(&after, "vault_fingerprint"));
        assert_eq!(before["health"]["audit_size"], after["health"]["audit_size"], "the thief had an effect");
    }

    async fn data_is_stored(&self) {
        let stored = self.alice.ask(&["data", "get", "address"]).await;
        assert_eq!(stored["value"], address());
        assert_eq!(self.alice.ask(&["data", "get", "date_of_birth"]).await["value"], BIRTH);
        let names = |view: &Value| list(view, "fields").iter().map(|field| text(field, "field")).collect::<Vec<_>>();
        assert_eq!(names(&self.alice.ask(&["data", "list"]).await), ["address", "date_of_birth"]);
        assert!(names(&self.bob.ask(&["data", "list"]).await).is_empty(), "Bob has data that he never stored");
        // Planted by this test: a further field, and a note on an invitation that nobody gets.
        self.alice.say(&["data", "set", "passport"], FIELD).await;
        self.alice.ask(&["connection", "invite", "--label", NOTE]).await;
    }

    async fn people_are_connected(&mut self) {
        let (hers, his) = (self.only_connection(&self.alice).await, self.only_connection(&self.bob).await);
        for (view, peer) in [(&hers, "Bob"), (&his, "Alice")] {
            assert_eq!((text(view, "state"), text(view, "display_name")), ("active".into(), peer.into()));
        }
        let number = text(&hers, "safety_number");
        assert_eq!(number, text(&his, "safety_number"));
        assert_eq!(hers["symbols"], his["symbols"]);
        let digits: Vec<_> = number.split(' ').filter(|group| group.len() == 5).collect();
        assert!(digits.len() == 12 && digits.concat().bytes().all(|byte| byte.is_ascii_digit()), "{number}");
        assert_eq!(text(&hers, "connection_id"), text(&his, "connection_id"));
        assert_ne!(text(&hers, "peer_fingerprint"), text(&his, "peer_fingerprint"));
        self.connection = text(&hers, "connection_id");
    }

    async fn only_connection(&self, app: &App) -> Value {
        let listed = app.ask(&["connection", "list"]).await;
        let connections: Vec<_> = list(&listed, "connections").iter().filter(|view| view["kind"] == "member").collect();
        assert_eq!(connections.len(), 1, "{listed}");
        app.ask(&["connection", "review", &text(connections[0], "connection_id")]).await
    }

    async fn message_arrived_once(&self) {
        assert_eq!(self.bob.texts(&self.connection).await, [received(MESSAGE)]);
        assert_eq!(self.alice.texts(&self.connection).await, [sent(MESSAGE)]);
    }

    async fn answer_arrived_once(&self) {
        assert_eq!(self.alice.texts(&self.connection).await, [sent(MESSAGE), received(ANSWER)]);
        self.bob.say(&["message", "send", &self.connection], SECOND_ANSWER).await;
        let arrived = |view: &Value| (list(view, "messages").len() == 3).then_some(());
        self.alice.until(&["message", "list", &self.connection], arrived).await;
        let all = [sent(MESSAGE), received(ANSWER), received(SECOND_ANSWER)];
        assert_eq!(self.alice.texts(&self.connection).await, all);
        let receipts = |view: &Value| list(view, "messages").iter().all(is_delivered).then_some(());
        self.bob.until(&["message", "list", &self.connection], receipts).await;
    }

    async fn contract_is_agreed(&mut self) {
        let listed = self.alice.ask(&["connection", "list"]).await;
        let services: Vec<_> = list(&listed, "connections").iter().filter(|view| view["kind"] == "service").collect();
        assert_eq!((services.len(), text(services[0], "state")), (1, "active".into()), "{listed}");
        let offered: Value =
            serde_json::from_slice(&fs::read(self.place.data().join("shop/contract.json")).unwrap()).unwrap();
        self.shop_connection = text(services[0], "connection_id");
        let whole = self.alice.ask(&["connection", "review", &self.shop_connection]).await;
        assert_eq!(whole["contract"], offered, "Alice agreed to something else than the shop offers");
        let (_, view) = self.shop.get(&format!("/v1/connections/{}", self.shop_connection)).await;
        assert_eq!((text(&view, "state"), &view["contract_version"]), ("active".into(), &json!(1)));
        assert_eq!(view["optional_fields_accepted"], json!([]), "she agreed to no optional field");
        assert_eq!(text(&view, "member_fingerprint"), text(&self.alice.ask(&["status"]).await, "vault_fingerprint"));
    }

    async fn address_is_served(&self) {
        let answer = self.shop.ask(&self.shop_connection, "address", PURPOSE, 20_000).await;
        assert_eq!((text(&answer, "status"), &answer["value"]), ("served".into(), &address()));
        for wrong in ["", "0123456789abcdef0123456789abcdef"] {
            let body = json!({"field": "address", "purpose": PURPOSE, "wait_ms": 1_000});
            let path = format!("/v1/connections/{}/data-requests", self.shop_connection);
            let (status, answer) = self.shop.with_key(wrong).post(&path, &body).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{answer}");
        }
    }

    async fn birth_date_is_asked_for(&self) {
        for (decision, status, value) in [("approve", "served", json!(BIRTH)), ("deny", "refused", Value::Null)] {
            let asked = self.shop.ask(&self.shop_connection, "date_of_birth", PURPOSE, 100).await;
            let id = text(&asked, "request_id");
            let pending = self.alice.until(&["request", "list"], |view| list(view, "requests").first().cloned()).await;
            assert_eq!(text(&pending, "request_id"), id);
            assert_eq!(pending["ask"]["data"], json!({"field": "date_of_birth", "purpose": PURPOSE}));
            self.alice.ask(&["request", decision, &id]).await;
            let answer = self.shop.finished(&asked).await;
            assert_eq!((text(&answer, "status"), &answer["value"]), (status.into(), &value), "{answer}");
        }
        assert!(list(&self.alice.ask(&["request", "list"]).await, "requests").is_empty());
    }

    async fn reads_are_refused(&self) {
        for (field, code) in [("ssn", "not_in_contract"), ("passport", "not_in_contract"), ("address", "rate_limited")]
        {
            let answer = self.shop.ask(&self.shop_connection, field, PURPOSE, 20_000).await;
            assert_eq!((text(&answer, "status"), text(&answer, "code")), ("refused".into(), code.into()), "{field}");
            assert_eq!(answer["value"], Value::Null);
        }
    }

    async fn login_is_asked_for(&self) {
        // A login that nothing ties to a browser is refused, at any site.
        let path = format!("/v1/connections/{}/logins", self.shop_connection);
        let display = json!({"browser": BROWSER, "city": CITY, "ip_prefix": "192.0.2"});
        let session_hash = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA";
        let untied = json!({"origin": "https://shop.example", "session_hash": session_hash, "display": display});
        let (_, untied) = self.shop.post(&path, &untied).await;
        let untied = self.shop.finished(&untied).await;
        assert_eq!((text(&untied, "status"), text(&untied, "code")), ("refused".into(), "not_allowed".into()));
        let page = |origin: &str| json!({"origin": origin, "return_path": "/login/return", "display": display});
        let (status, _) = self.shop.post("/v1/logins", &page("https://other.example")).await;
        assert_eq!(status, 400);
        let (_, waiting) = self.shop.post("/v1/logins", &page("https://shop.example")).await;
        self.alice.ask(&["login", "open", &text(&waiting, "link")]).await;
        let pending = self.alice.until(&["request", "list"], |view| list(view, "requests").first().cloned()).await;
        assert_eq!(text(&pending["ask"]["login"], "origin"), "https://shop.example");
        assert_eq!(text(&pending["login"], "level"), "same_device");
        self.alice.ask(&["request", "deny", &text(&pending, "request_id")]).await;
        let brought = json!({"verifier": text(&waiting, "verifier"), "wait_ms": 30_000});
        let (_, end) = self.shop.post(&format!("/v1/logins/{}", text(&waiting, "login_id")), &brought).await;
        assert_eq!(text(&end, "status"), "denied");
    }

    async fn nothing_was_lost_or_doubled(&self) {
        let mut his = vec![received(MESSAGE), sent(ANSWER), sent(SECOND_ANSWER)];
        his.extend(six().iter().map(|text| received(text)));
        assert_eq!(self.bob.texts(&self.connection).await, his);
        let mut hers = vec![sent(MESSAGE), received(ANSWER), received(SECOND_ANSWER)];
        hers.extend(six().iter().map(|text| sent(text)));
        assert_eq!(self.alice.texts(&self.connection).await, hers);
        let receipts = |view: &Value| list(view, "messages").iter().all(is_delivered).then_some(());
        self.alice.until(&["message", "list", &self.connection], receipts).await;
    }

    /// The feed, by event and outcome: what the demo did and what this test did.
    async fn feed_tells_it(&self) {
        let feed = self.feed().await;
        let count = |event: &str, outcome: Value| {
            let fits = |entry: &&Value| entry["event_type"] == event && entry["outcome"] == outcome;
            list(&feed, "entries").iter().filter(fits).count()
        };
        // In the feed a request of the consent tier stands once as it came, and at least once as it ended.
        let pending = |event| count(event, json!("pending"));
        assert_eq!((pending("data.request"), pending("auth.challenge")), (4, 2), "{feed}");
        assert_eq!(count("data.request", json!("done")), 3, "reads of the address: {feed}");
        assert_eq!(count("data.request", json!({"refused": "not_in_contract"})), 3, "{feed}");
        assert_eq!(count("data.request", json!({"refused": "rate_limited"})), 2, "{feed}");
        assert_eq!(count("auth.challenge", json!({"refused": "not_allowed"})), 1, "{feed}");
        for (event, outcome) in [
            ("data.request", "approved"),
            ("data.request", "denied"),
            ("auth.challenge", "approved"),
            ("auth.challenge", "denied"),
            ("messaging.text", "done"),
        ] {
            assert!(count(event, json!(outcome)) > 0, "{event} {outcome}: {feed}");
        }
        assert_eq!(count("connection.ready", json!("done")), 2, "{feed}");
        let numbers: Vec<_> = list(&feed, "entries").iter().map(|entry| entry["number"].as_u64().unwrap()).collect();
        let all: Vec<_> = (1..=numbers.len() as u64).rev().collect();
        assert_eq!(numbers, all, "newest first, without holes");
    }

    async fn feed(&self) -> Value {
        self.alice.ask(&["feed", "list", "--limit", "200"]).await
    }

    /// The audit can be checked without the vault, and shows each change of the export.
    async fn audit_tells_it(&self) {
        let exported = self.alice.run(&["audit", "export"], "").await;
        assert_eq!(exported.code, 0, "{exported:?}");
        let lines: Vec<&str> = exported.out.lines().collect();
        let report = self.verify(&lines, true).await;
        let report: Value = serde_json::from_str(&report.out).unwrap();
        let entries: Vec<Value> = lines.iter().filter_map(|line| entry(line)).collect();
        assert_eq!(report["entries"].as_u64().unwrap(), entries.len() as u64);
        assert_eq!(text(&report, "vault_fingerprint"), text(&self.alice.ask(&["status"]).await, "vault_fingerprint"));
        let refused = |entry: &&Value| entry["actor"] == "service:demo-shop" && entry["outcome"] == "refused";
        assert_eq!(entries.iter().filter(refused).count(), 6, "{}", exported.out);

        let place = lines.iter().position(|line| entry(line).as_ref().is_some_and(|entry| refused(&entry))).unwrap();
        let edited = lines[place].replace(r#""outcome":"refused""#, r#""outcome":"success""#);
        assert_ne!(edited, lines[place]);
        let with = |line: &[&str]| {
            [&lines[..place], line, &lines[place + 1..]].concat().iter().map(|line| (*line).to_owned()).collect()
        };
        let mut swapped: Vec<String> = with(&[lines[place]]);
        swapped.swap(place, place - 1);
        let cases: [(&str, Vec<String>); 4] = [
            ("an outcome was edited", with(&[&edited])),
            ("an entry was removed", with(&[])),
            ("two entries were swapped", swapped),
            ("the end was cut off", lines[..lines.len() - 1].iter().map(|line| (*line).to_owned()).collect()),
        ];
        for (what, lines) in cases {
            let outcome = self.verify(&lines, false).await;
            assert_eq!(outcome.code, 3, "{what}: {outcome:?}");
        }
    }

    async fn verify(&self, lines: &[impl AsRef<str>], is_whole: bool) -> Outcome {
        let path = self.place.outside("export.jsonl");
        let text: String = lines.iter().map(|line| format!("{}\n", line.as_ref())).collect();
        fs::write(&path, text).unwrap();
        let outcome = vettid(&["--json", "audit", "verify", path.to_str().unwrap()], "").await;
        assert_eq!(outcome.code == 0, is_whole, "{outcome:?}");
        outcome
    }

    /// Somebody copies the shop's state: with it he is in Alice's account, for as long as she lets the shop in.
    async fn shop_is_robbed(&mut self) {
        let mut stolen = StolenConnection::of(self.place, &self.shop_connection).await;
        stolen.connect(self.place).await.expect("the stolen credential works before the end");
        assert!(!stolen.open_connections(self.place).await.is_empty(), "the broker does not show it");
        self.stolen = Some(stolen);
        self.planted.enrolled(self.place);
    }

    /// What everybody on the machine can read of a process.
    fn nothing_secret_in_arguments(&self, up: &Up) {
        let search = Search::new(&self.planted.canaries);
        for process in family(up) {
            let hits = search.hits(&processes::command_line(&process));
            assert!(hits.is_empty(), "the arguments of {process:?} hold {hits:?}");
        }
    }

    fn search_files(&self) {
        let exempt = self.planted.exempt_with_export(&self.place.data());
        let (count, found) = disk::search(&self.place.data(), &Search::new(&self.planted.canaries), &exempt);
        assert!(found.is_empty(), "{found:#?}");
        assert!(count > 80, "only {count} files were searched");
        // Configurations without secrets, logs, and what services publish anyway.
        let is_harmless = |name: &String| {
            let ends = [".toml", ".log", "/contract.json", "ports.json", "up.lock"];
            ends.iter().any(|end| name.ends_with(end))
        };
        let open: Vec<_> =
            disk::open_to_all(&self.place.data()).into_iter().filter(|name| !is_harmless(name)).collect();
        assert!(open.is_empty(), "everybody on this machine can read {open:?}");
    }

    fn search_traffic(&self, messages: &[Seen]) {
        let search = Search::new(&self.planted.canaries);
        let mut found = BTreeSet::new();
        for seen in messages {
            let hits: BTreeSet<Hit> = seen.parts().iter().flat_map(|part| search.hits(part)).collect();
            found.extend(hits.into_iter().map(|hit| (seen.account.clone(), seen.subject.clone(), hit)));
        }
        assert!(found.is_empty(), "{found:#?}");
    }

    /// What was heard is all of it: the decoy is found in each account, and each lane of each party was in use.
    fn traffic_is_whole(&self, messages: &[Seen]) {
        let search = Search::new(&[Canary::text(DECOY)]);
        let with_decoy = messages.iter().filter(|seen| !search.hits(&seen.payload).is_empty());
        let with_decoy: BTreeSet<String> = with_decoy.map(|seen| seen.account.clone()).collect();
        assert_eq!(with_decoy, self.spy.accounts());
        for lane in [
            ".forVault.data.set",
            ".forVault.messaging.send",
            ".forApp.data.get.",
            ".forOwner.invite.",
            ".messaging.text",
            ".messaging.receipt",
            ".fromService.demo-shop.data.request",
            ".fromService.demo-shop.auth.challenge",
            ".ownerProfile",
            ".forServices.account.revoke_user",
            "Journal.",
            "$JS.ACK.INBOX.",
        ] {
            assert!(messages.iter().any(|seen| seen.subject.contains(lane)), "nothing was heard of {lane}");
        }
    }

    /// What a member publishes is public, so it is found: in the profile, and nowhere else.
    fn profile_is_all_that_is_public(&self, messages: &[Seen]) {
        let search = Search::new(&[Canary::text(r#""first_name":"Alice""#)]);
        let found = messages.iter().filter(|seen| !search.hits(&seen.payload).is_empty());
        let subjects: BTreeSet<&str> = found.map(|seen| seen.subject.as_str()).collect();
        // The others are answers to those who read the profile: to its peers, and to the spy.
        let is_answer = |subject: &&str| subject.starts_with('_') || subject.contains(".r.");
        let others: Vec<_> = subjects.into_iter().filter(|subject| !is_answer(subject)).collect();
        assert!(!others.is_empty() && others.iter().all(|subject| subject.ends_with(".ownerProfile")), "{others:?}");
    }

    /// After the last step: whom the broker cut off, what the operator heard, what lies on the disk.
    async fn after_the_end(&mut self, up: &Up) {
        let heard = self.spy.seen();
        let user = self.stolen.as_ref().unwrap().user();
        let ends: Vec<String> = heard.iter().filter_map(|seen| end_of_connection(seen, user)).collect();
        assert!(ends.iter().any(|reason| reason == "Credentials Revoked"), "the shop's user was not cut off: {ends:?}");
        self.traffic_is_whole(&heard);
        self.profile_is_all_that_is_public(&heard);
        self.search_traffic(&heard);
        self.search_files();
        processes::none_left(&self.family, up.id(), &self.place.data(), WITHIN).await;
    }

    /// The same data once more: what was ended stays ended.
    async fn second_start(&mut self) {
        let mut up = self.place.up(&[]);
        let shop = up.until("demo shop").await;
        up.until("Press Ctrl-C").await;
        let (mut stolen, shop) =
            (self.stolen.take().unwrap(), Shop::new(self.place, shop.rsplit_once("http://").unwrap().1));
        assert_eq!(text(&shop.get(&format!("/v1/connections/{}", self.shop_connection)).await.1, "state"), "revoked");
        let before = (self.feed().await, self.alice.ask(&["status"]).await["health"]["audit_size"].clone());
        let answer = shop.ask(&self.shop_connection, "address", PURPOSE, 1_000).await;
        assert!(answer["status"] != "served" && answer["value"].is_null(), "{answer}");
        assert!(stolen.connect(self.place).await.is_err(), "the stolen credential still works");
        assert_eq!(stolen.open_connections(self.place).await, Vec::<Value>::new());
        let after = (self.feed().await, self.alice.ask(&["status"]).await["health"]["audit_size"].clone());
        assert_eq!(before, after, "the shop had an effect after the end");
        self.nothing_was_lost_or_doubled().await;
        up.terminate();
        assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
    }
}

/// Why the broker ended a connection of this user, if that is what this message tells.
fn end_of_connection(seen: &Seen, user: &str) -> Option<String> {
    if seen.account != "SYS" || !seen.subject.ends_with(".DISCONNECT") {
        return None;
    }
    let told: Value = serde_json::from_slice(&seen.payload).unwrap();
    (told["client"]["user"] == user).then(|| text(&told, "reason"))
}

fn sent(text: &str) -> (String, String) {
    ("sent".into(), text.into())
}

fn received(text: &str) -> (String, String) {
    ("received".into(), text.into())
}

/// Whether the peer has a message that was sent.
fn is_delivered(message: &Value) -> bool {
    message["direction"] == "received" || message["delivered_at"].is_string()
}

/// The audit entry in a line of an export.
fn entry(line: &str) -> Option<Value> {
    let line: Value = serde_json::from_str(line).unwrap();
    line["entry"]["entry"].is_object().then(|| line["entry"]["entry"].clone())
}
