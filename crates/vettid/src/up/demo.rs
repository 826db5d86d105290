//! The main job, played with real processes: two members with the command-line app, a shop with its HTTP API. A step is
//! done only when its outcome was seen at the other party.

use super::actors::{Member, Shop};
use super::people::People;
use super::say;
use super::stack::Stack;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use std::io::BufRead as _;
use std::path::PathBuf;

const ADDRESS: &str = r#"{"street":"12 Harbour Lane","city":"Galway","country":"IE"}"#;
const BIRTH: &str = "1990-04-01";
const MESSAGE: &str = "Bob, the spare key is under the blue pot";
const ANSWER: &str = "Found it, thank you";

/// The parties and what they know of each other so far.
struct Demo<'s> {
    stack: &'s mut Stack,
    alice: Member,
    bob: Member,
    shop: Shop,
    stepwise: bool,
    number: u32,
    alice_to_bob: String,
    bob_to_alice: String,
    shop_connection: String,
}

/// Plays the whole job.
pub(super) async fn play(stack: &mut Stack, people: &People, stepwise: bool) -> Result<()> {
    let alice = Member::new(stack, "Alice", "alice");
    let bob = Member::new(stack, "Bob", "bob");
    let shop = Shop::new(stack)?;
    let (empty, number) = (String::new, 0);
    let mut demo = Demo {
        stack,
        alice,
        bob,
        shop,
        stepwise,
        number,
        alice_to_bob: empty(),
        bob_to_alice: empty(),
        shop_connection: empty(),
    };
    demo.enrol(people).await?;
    demo.store_and_publish().await?;
    demo.connect().await?;
    demo.message_while_away().await?;
    demo.answer().await?;
    demo.contract().await?;
    demo.read_address().await?;
    demo.ask_birth_date().await?;
    demo.refused_reads().await?;
    demo.login().await?;
    demo.crash().await?;
    demo.look_back().await?;
    demo.revoke().await?;
    say(&format!("\nAll {} steps were seen at the other party.", demo.number))
}

impl Demo<'_> {
    /// Announces a step, and waits for Enter if the viewer wants to.
    fn step(&mut self, title: &str) -> Result<()> {
        self.number += 1;
        say(&format!("\n{:>2}. {title}", self.number))?;
        if self.stepwise {
            say("    (Enter)")?;
            std::io::stdin().lock().read_line(&mut String::new()).context("no more input")?;
        }
        Ok(())
    }

    async fn enrol(&mut self, people: &People) -> Result<()> {
        for (member, person) in [self.alice.clone(), self.bob.clone()].iter().zip(people.all()) {
            self.step(&format!("{} enrols: QR code, handshake bound to the vault's fingerprint", member.title))?;
            let Some(code) = &person.code_file else {
                say("    ✓ was enrolled before")?;
                continue;
            };
            let text = std::fs::read_to_string(code)?;
            let enrolled = member.app(&["enroll"], &text).await?;
            std::fs::remove_file(code)?;
            let status = member.app(&["status"], "").await?;
            ensure!(
                status.get("vault_fingerprint") == enrolled.get("vault_fingerprint"),
                "the app speaks to another vault"
            );
            say(&format!("    ✓ the app speaks to the vault {}", shown(&status, "vault_fingerprint")))?;
        }
        Ok(())
    }

    async fn store_and_publish(&mut self) -> Result<()> {
        self.step("Alice stores her address and date of birth, and publishes a profile")?;
        self.alice.app(&["data", "set", "address", "--format", "json"], ADDRESS).await?;
        self.alice.app(&["data", "set", "date_of_birth"], BIRTH).await?;
        self.alice.app(&["profile", "set", "--name", "Alice"], "").await?;
        self.bob.app(&["profile", "set", "--name", "Bob"], "").await?;
        let listed = self.alice.app(&["data", "list"], "").await?;
        ensure!(listed.to_string().contains("address"), "the vault does not list the address");
        say("    ✓ her vault lists both fields")
    }

    async fn connect(&mut self) -> Result<()> {
        self.step("Alice invites Bob; both review and accept")?;
        let invited = self.alice.app(&["connection", "invite", "--life", "10m"], "").await?;
        let asked = self.bob.app(&["connection", "accept"], shown(&invited, "link")).await?;
        self.bob_to_alice = shown(&asked, "connection_id").to_owned();
        let id = self.bob_to_alice.clone();
        let seen = self.alice.until(&["connection", "review", &id], |view| in_state(view, "review")).await?;
        ensure!(shown(&seen, "display_name") == "Bob", "Alice does not see Bob's profile");
        self.alice.app(&["connection", "decide", &id, "--accept"], "").await?;
        let seen = self.bob.until(&["connection", "review", &id], |view| in_state(view, "review")).await?;
        ensure!(shown(&seen, "display_name") == "Alice", "Bob does not see Alice's profile");
        self.bob.app(&["connection", "decide", &id, "--accept"], "").await?;
        self.alice_to_bob = id.clone();
        let hers = self.alice.until(&["connection", "review", &id], |view| in_state(view, "active")).await?;
        let his = self.bob.until(&["connection", "review", &id], |view| in_state(view, "active")).await?;
        ensure!(hers.get("safety_number") == his.get("safety_number"), "the safety numbers differ");
        ensure!(hers.get("symbols") == his.get("symbols"), "the symbols differ");
        say(&format!("    ✓ both see the safety number {}", shown(&hers, "safety_number")))
    }

    async fn message_while_away(&mut self) -> Result<()> {
        self.step("Bob's vault stops; Alice sends him a message; his vault starts again")?;
        let plan = self.stack.stop_host(1).await?;
        let id = self.alice_to_bob.clone();
        self.alice.app(&["message", "send", &id], MESSAGE).await?;
        self.stack.start_host(1, plan).await?;
        self.bob
            .until(&["message", "list", &self.bob_to_alice], |list| (count(list, MESSAGE) > 0).then_some(()))
            .await?;
        let list = self.bob.app(&["message", "list", &self.bob_to_alice], "").await?;
        ensure!(count(&list, MESSAGE) == 1, "Bob has the message {} times", count(&list, MESSAGE));
        say("    ✓ Bob has it exactly once")
    }

    async fn answer(&mut self) -> Result<()> {
        self.step("Bob answers")?;
        self.bob.app(&["message", "send", &self.bob_to_alice], ANSWER).await?;
        self.alice
            .until(&["message", "list", &self.alice_to_bob], |list| (count(list, ANSWER) == 1).then_some(()))
            .await?;
        let delivered = |list: &Value| {
            messages(list).any(|m| shown(m, "text") == MESSAGE && m.get("delivered_at").is_some()).then_some(())
        };
        self.alice.until(&["message", "list", &self.alice_to_bob], delivered).await?;
        say("    ✓ Alice has the answer, and a receipt for her message")
    }

    async fn contract(&mut self) -> Result<()> {
        self.step("The shop offers a contract; Alice reviews and accepts it")?;
        let invited = self.shop.post("/v1/invitations", &json!({})).await?;
        let asked = self.alice.app(&["connection", "accept"], shown(&invited, "link")).await?;
        let id = shown(&asked, "connection_id").to_owned();
        let seen = self.alice.until(&["connection", "review", &id], |view| in_state(view, "review")).await?;
        let contract = seen.get("contract").context("Alice sees no contract")?;
        ensure!(contract.to_string().contains("date_of_birth"), "the contract does not name the date of birth");
        self.alice.app(&["connection", "decide", &id, "--accept"], "").await?;
        self.alice.until(&["connection", "review", &id], |view| in_state(view, "active")).await?;
        self.shop.until(&format!("/v1/connections/{id}"), |view| in_state(view, "active")).await?;
        self.shop_connection = id;
        say("    ✓ both sides hold the signed contract (address on demand, date of birth with consent)")
    }

    async fn read_address(&mut self) -> Result<()> {
        self.step("The shop reads the address")?;
        let answer = self.shop.ask(&self.shop_connection, "address", "Delivery of order 1", 20_000).await?;
        ensure!(shown(&answer, "status") == "served", "the address was not served: {answer}");
        ensure!(
            answer.get("value") == serde_json::from_str::<Value>(ADDRESS).ok().as_ref(),
            "another address was served: {answer}"
        );
        say("    ✓ served, as stored")
    }

    async fn ask_birth_date(&mut self) -> Result<()> {
        self.step("The shop asks for the date of birth: Alice approves once and denies once")?;
        for (decision, wanted) in [("approve", "served"), ("deny", "refused")] {
            let asked = self.shop.ask(&self.shop_connection, "date_of_birth", "Age check", 300).await?;
            let request = shown(&asked, "request_id").to_owned();
            self.alice.until(&["request", "list"], |list| list.to_string().contains(&request).then_some(())).await?;
            self.alice.app(&["request", decision, &request], "").await?;
            let answer = self.shop.finished(&request).await?;
            ensure!(shown(&answer, "status") == wanted, "after {decision}: {answer}");
            ensure!((answer.get("value") == Some(&json!(BIRTH))) == (wanted == "served"), "after {decision}: {answer}");
        }
        say("    ✓ served after her yes, refused after her no")
    }

    async fn refused_reads(&mut self) -> Result<()> {
        self.step("The shop asks for her SSN, and reads the address too often")?;
        let answer = self.shop.ask(&self.shop_connection, "ssn", "Curiosity", 20_000).await?;
        ensure!(shown(&answer, "code") == "not_in_contract", "the SSN: {answer}");
        let mut refused = None;
        for _ in 0..4 {
            let answer = self.shop.ask(&self.shop_connection, "address", "Delivery again", 20_000).await?;
            if shown(&answer, "status") == "refused" {
                refused = Some(shown(&answer, "code").to_owned());
                break;
            }
        }
        ensure!(refused.as_deref() == Some("rate_limited"), "the rate limit was not reached: {refused:?}");
        say("    ✓ refused: not in the contract; refused: rate limit reached")
    }

    async fn login(&mut self) -> Result<()> {
        self.step(
            "The shop asks for a login; Alice opens the link of its page, and her yes goes back through her browser",
        )?;
        let page = json!({
            "origin": "https://shop.example",
            "return_path": "/login/return",
            "display": {"browser": "Firefox on Linux", "city": "Galway", "ip_prefix": "192.0.2"},
        });
        let waiting = self.shop.post("/v1/logins", &page).await?;
        let login = format!("/v1/logins/{}", shown(&waiting, "login_id"));
        self.alice.app(&["login", "open", shown(&waiting, "link")], "").await?;
        let first = |list: &Value| list["requests"].get(0).map(|found| shown(found, "request_id").to_owned());
        let request = self.alice.until(&["request", "list"], first).await?;
        let approved = self.alice.app(&["request", "approve", &request], "").await?;
        let code = shown(&approved, "return_to").rsplit_once("code=").map(|(_, code)| code.to_owned());
        let code = code.context("Alice was given no way back to the page")?;
        let brought = json!({"verifier": shown(&waiting, "verifier"), "code": code, "wait_ms": 30_000});
        let answer = self.shop.post(&login, &brought).await?;
        ensure!(shown(&answer, "status") == "logged_in", "the login: {answer}");
        say("    ✓ the shop verified the answer of Alice's vault")
    }

    /// Both vaults and the broker die in the middle of a conversation.
    async fn crash(&mut self) -> Result<()> {
        self.step("Both vaults and the broker are killed in the middle of messages; everything goes on")?;
        let (to_bob, to_alice) = (self.alice_to_bob.clone(), self.bob_to_alice.clone());
        let text = |n: u32| format!("message {n} of six");
        for n in 1..=3 {
            self.alice.app(&["message", "send", &to_bob], &text(n)).await?;
        }
        let alice_host = self.stack.kill_host(0).await?;
        self.stack.kill_broker()?;
        let bob_host = self.stack.kill_host(1).await?;
        self.stack.start_host(0, alice_host).await?;
        for n in 4..=6 {
            self.alice.app(&["message", "send", &to_bob], &text(n)).await?;
        }
        self.stack.start_host(1, bob_host).await?;
        let all = |list: &Value| (1..=6).all(|n| count(list, &text(n)) > 0).then_some(());
        self.bob.until(&["message", "list", &to_alice], all).await?;
        let list = self.bob.app(&["message", "list", &to_alice], "").await?;
        for n in 1..=6 {
            ensure!(count(&list, &text(n)) == 1, "Bob has {:?} {} times", text(n), count(&list, &text(n)));
        }
        say("    ✓ Bob has each of the six messages exactly once")
    }

    async fn look_back(&mut self) -> Result<()> {
        self.step("Alice's feed and audit show all of it")?;
        let feed = self.alice.app(&["feed", "list", "--limit", "200"], "").await?.to_string();
        for wanted in [
            "data.request",
            "auth.challenge",
            "not_in_contract",
            "rate_limited",
            "approved",
            "denied",
            "connection.ready",
        ] {
            ensure!(feed.contains(wanted), "the feed does not show {wanted}");
        }
        let path = self.fresh_export().display().to_string();
        self.alice.text(&["audit", "export", "--out", &path]).await?;
        let verified = tokio::process::Command::new(std::env::current_exe()?)
            .args(["--json", "audit", "verify", &path])
            .output()
            .await?;
        if !verified.status.success() {
            bail!("the audit does not verify: {}", String::from_utf8_lossy(&verified.stderr));
        }
        let summary: Value = serde_json::from_slice(&verified.stdout)?;
        say(&format!(
            "    ✓ `vettid audit verify` accepts the chain of {} entries",
            summary.get("entries").unwrap_or(&Value::Null)
        ))
    }

    /// The export of an earlier play is never written over.
    fn fresh_export(&self) -> PathBuf {
        let names = (2..).map(|number| format!("alice-audit-{number}.jsonl"));
        let names = std::iter::once("alice-audit.jsonl".to_owned()).chain(names);
        let mut paths = names.map(|name| self.stack.folder().join(name));
        paths.find(|path| !path.exists()).unwrap_or_default()
    }

    async fn revoke(&mut self) -> Result<()> {
        self.step("Alice ends the connection with the shop")?;
        let id = self.shop_connection.clone();
        let before = self.alice.app(&["feed", "list", "--limit", "200"], "").await?;
        self.alice.app(&["connection", "revoke", &id, "--reason", "user-requested"], "").await?;
        self.shop.until(&format!("/v1/connections/{id}"), |view| in_state(view, "revoked")).await?;
        let answer = self.shop.ask(&id, "address", "One more time", 2_000).await?;
        ensure!(shown(&answer, "status") != "served", "the shop was served after the revocation: {answer}");
        let after = self.alice.app(&["feed", "list", "--limit", "200"], "").await?;
        let reads = |feed: &Value| {
            feed.to_string().matches("One more time").count() + feed.to_string().matches("data.request").count()
        };
        ensure!(reads(&after) == reads(&before), "the shop's request after the end had an effect");
        say("    ✓ the shop knows, and its next request has no effect")
    }
}

/// A text field of a JSON object; empty if there is none.
fn shown<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn in_state(view: &Value, state: &str) -> Option<Value> {
    (shown(view, "state") == state).then(|| view.clone())
}

fn messages(list: &Value) -> impl Iterator<Item = &Value> {
    list.get("messages").and_then(Value::as_array).into_iter().flatten()
}

fn count(list: &Value, text: &str) -> usize {
    messages(list).filter(|message| shown(message, "text") == text).count()
}
