//! The examples' own programs against the gateways that `vettid up` starts: the bank in Python pays on Alice's word, the clinic in
//! TypeScript reads what it may and gets her consent and her signature. What cannot be fetched is said and not tried.

use crate::agreement::start;
use crate::openid::not_tried;
use crate::openid::programs::{with_client, workspace};
use crate::party::{App, list, text, vettid};
use crate::stack::{PROGRAM, Place, Up, WITHIN};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::process::Command;
use tokio::task::JoinHandle;

const PASSWORD: &str = "seven tall camels ride\n";

/// A program of a service.
#[derive(Clone)]
struct Service {
    interpreter: &'static str,
    program: PathBuf,
    address: String,
    key_file: PathBuf,
    folder: PathBuf,
}

impl Service {
    fn new(place: &Place, up: &Up, name: &str, (interpreter, program): (&'static str, PathBuf)) -> Self {
        let said = up.said();
        let line = said.lines().find(|line| line.trim_start().starts_with(&format!("demo {name}"))).unwrap();
        let address = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        let folder = place.outside(name);
        fs::create_dir(&folder).unwrap();
        Self { interpreter, program, address, key_file: place.data().join(name).join("api.key"), folder }
    }

    /// Runs it; gives its exit code and what it said.
    async fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(self.interpreter);
        command.arg(&self.program).args(arguments).current_dir(&self.folder).stdin(Stdio::null()).kill_on_drop(true);
        command.env("VETTID_GATEWAY", &self.address).env("VETTID_KEY_FILE", &self.key_file);
        let output = command.output().await.unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap_or(-1), said.trim().to_owned())
    }

    /// Runs it beside the test, while Alice decides.
    fn begin(&self, arguments: &[&str]) -> JoinHandle<(i32, String)> {
        let (service, arguments) = (self.clone(), arguments.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        tokio::spawn(async move { service.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await })
    }

    /// Alice connects with the service, whose safety number she compares.
    async fn connect(&self, alice: &App) -> String {
        let (code, link) = self.run(&["invite"]).await;
        assert_eq!(code, 0, "{link}");
        let connection = text(&alice.say(&["connection", "accept"], &link).await, "connection_id");
        alice.until(&["connection", "review", &connection], |view| (view["state"] == "review").then_some(())).await;
        alice.ask(&["connection", "decide", &connection, "--accept"]).await;
        alice.until(&["connection", "review", &connection], |view| (view["state"] == "active").then_some(())).await;
        alice.ask(&["connection", "verify", &connection]).await;
        connection
    }
}

/// Waits for the one request that is open; gives its id and the hash of its terms.
async fn asked(alice: &App) -> (String, String) {
    let shown = alice.until(&["request", "list"], |page| list(page, "requests").first().cloned()).await;
    let terms = shown.pointer("/ask/authorisation/request_hash").and_then(Value::as_str).unwrap_or_default();
    (text(&shown, "request_id"), terms.to_owned())
}

async fn ended(running: JoinHandle<(i32, String)>) -> (i32, String) {
    tokio::time::timeout(WITHIN, running).await.expect("the program ends").unwrap()
}

async fn holds(record: &str, decision: &str) {
    let report = vettid(&["--json", "verify", record], "").await;
    assert_eq!(report.code, 0, "{report:?}");
    let report: Value = serde_json::from_str(report.out.trim()).unwrap();
    assert_eq!(report["decision"], decision, "{report}");
}

/// The bank pays after a yes with the password, once, and does not pay after a no.
async fn bank(place: &Place, up: &Up, alice: &App) {
    let bank = Service::new(place, up, "bank", ("python3", workspace().join("examples/bank/bank.py")));
    let connection = bank.connect(alice).await;
    let (code, members) = bank.run(&["members"]).await;
    assert!(code == 0 && members.starts_with(&connection), "{members}");
    let order_with = |number: &'static str, more: &[&str]| {
        let words = ["transfer", &connection, "500.00", "EUR", "Bob Smith", "DE89370400440532013000", "Rent"];
        bank.begin(&[&words[..], &["--order", number], more].concat())
    };
    let order = |number| order_with(number, &["--vettid", PROGRAM]);
    // What checks the record has to be there before anybody is asked.
    let (code, said) = ended(order_with("order-1", &["--vettid", "no-such-program"])).await;
    assert!(code == 1 && said.starts_with("not asked: there is no program no-such-program"), "{said}");
    let first = order("order-1");
    let (id, terms) = asked(alice).await;
    alice.say(&["request", "approve", &id, "--terms", &terms, "--password-stdin"], PASSWORD).await;
    let (code, said) = ended(first).await;
    assert!(code == 0 && said.starts_with("paid;"), "{said}");
    let record_of = |id: &str| bank.folder.join(format!("{id}.json")).to_str().unwrap().to_owned();
    let paid_by = record_of(&id);
    holds(&paid_by, "approve").await;
    let (code, said) = ended(order("order-1")).await;
    assert!(code == 0 && said.starts_with("order order-1 was paid before; nothing is paid"), "{said}");
    // A run that ended before the books had it: the same order is the same call, and Alice is not asked again.
    let (code, said) = ended(order_with("order-1", &["--vettid", PROGRAM, "--books", "others.sqlite"])).await;
    assert!(code == 0 && said.starts_with("paid;"), "{said}");
    // The record of one order never takes the place of another one's.
    let second = order("order-2");
    let (id, _) = asked(alice).await;
    alice.ask(&["request", "deny", &id]).await;
    let (code, said) = ended(second).await;
    assert!(code == 0 && said.starts_with("not paid: the member said no"), "{said}");
    holds(&record_of(&id), "deny").await;
    holds(&paid_by, "approve").await;
}

/// The clinic reads what its contract names, gets a consent and a signature, keeps findings with Alice until she deletes them, and reminds
/// her no more often than it may.
async fn clinic(place: &Place, up: &Up, alice: &App, program: PathBuf) {
    let clinic = Service::new(place, up, "clinic", ("node", program));
    alice.say(&["data", "set", "allergies", "--format", "json"], r#"["penicillin"]"#).await;
    let connection = clinic.connect(alice).await;
    let (code, said) = clinic.run(&["allergies", &connection]).await;
    assert!(code == 0 && said == r#"["penicillin"]"#, "{said}");
    // A rule of hers asks her; the clinic waits for her answer.
    alice.ask(&["rule", "add", "allergies", "ask", "data", "--from", &connection, "--field", "allergies"]).await;
    let running = clinic.begin(&["allergies", &connection]);
    let (id, _) = asked(alice).await;
    alice.ask(&["request", "approve", &id]).await;
    let (code, said) = ended(running).await;
    assert!(code == 0 && said == r#"["penicillin"]"#, "{said}");
    let consent = place.outside("consent.json");
    let consent = consent.to_str().unwrap();
    let to_the_doctor = "Send the findings to your family doctor";
    let running = clinic.begin(&["consent", &connection, to_the_doctor, "2099-06-30T00:00:00.000Z", consent]);
    let (id, terms) = asked(alice).await;
    alice.ask(&["request", "approve", &id, "--terms", &terms]).await;
    let (code, said) = ended(running).await;
    assert!(code == 0 && said.starts_with("approved"), "{said}");
    holds(consent, "approve").await;
    let document = place.outside("operation.pdf");
    fs::write(&document, b"what will be done").unwrap();
    let (document, signature) = (document.to_str().unwrap(), place.outside("signature.json"));
    let running = clinic.begin(&["sign", &connection, document, signature.to_str().unwrap()]);
    let (id, terms) = asked(alice).await;
    alice.ask(&["request", "approve", &id, "--terms", &terms, "--document", document]).await;
    let (code, said) = ended(running).await;
    assert!(code == 0 && said.starts_with("approved"), "{said}");
    holds(signature.to_str().unwrap(), "approve").await;
    let findings = place.outside("findings.json");
    fs::write(&findings, r#"{"haemoglobin": "14.1 g/dl"}"#).unwrap();
    let (code, said) = clinic.run(&["store", &connection, "blood", findings.to_str().unwrap()]).await;
    assert!(code == 0 && said == "done", "{said}");
    let (_, said) = clinic.run(&["read", &connection, "blood"]).await;
    assert!(said.contains("14.1 g/dl"), "{said}");
    alice.ask(&["stored", "delete", "demo-clinic", "findings", "blood"]).await;
    let (_, said) = clinic.run(&["read", &connection, "blood"]).await;
    assert!(said.contains("refused"), "{said}");
    for wanted in ["accepted", "accepted", "refused: rate_limited"] {
        let (_, said) = clinic.run(&["remind", &connection, "Your appointment", "On Friday at 9:00."]).await;
        assert_eq!(said, wanted);
    }
    let unread = alice.ask(&["service-message", "list", "demo-clinic", "--unread"]).await;
    assert_eq!(list(&unread, "messages").len(), 2, "{unread}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bank_pays_on_alices_word_and_the_clinic_gets_her_consent() {
    let place = Place::new();
    let mut up = start(&place).await;
    let alice = place.app("alice");
    alice.enrol(&place.data().join("people/alice.code")).await;
    alice.say(&["credential", "create", "--password-stdin"], PASSWORD).await;
    bank(&place, &up, &alice).await;
    match with_client(&workspace().join("examples/clinic"), "clinic").await {
        Ok(program) => clinic(&place, &up, &alice, program).await,
        Err(reason) => not_tried("the clinic in TypeScript", &reason),
    }
    up.terminate();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.said());
}
