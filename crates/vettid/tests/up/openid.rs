//! Log in with VettID as site owners meet it: a gateway of their own, a client registered on the command line, and a login
//! by libraries that nobody here wrote, unchanged. The member approves in a real app, over real vaults.

mod browser;
mod chromium;
pub(crate) mod programs;
mod webdriver;

use crate::party::{App, list, text, vettid};
use crate::people;
use crate::planted::address;
use crate::processes;
use crate::stack::{PROGRAM, Place};
use browser::{Browser, Shown, attribute, element};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// The address of a client that is no web site, and what it asks for.
const APP: &str = "https://app.small-shop.example/callback";
const SCOPE: &str = "openid profile address offline_access";

/// A site owner with a gateway.
struct Owner {
    folder: PathBuf,
    issuer: String,
    gateway: Option<Running>,
}

/// The process, and what it says.
struct Running {
    process: Child,
    _lines: Lines<BufReader<ChildStdout>>,
}

/// What a client was given.
struct Given {
    id: String,
    secret: String,
}

/// A port that nobody uses now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Owner {
    /// What the guide says: a contract, a configuration, the operator's join token.
    fn prepare(place: &Place, numbers: bool) -> Self {
        Self::prepare_with(place, &format!("numbers = {numbers}"))
    }

    /// The same with these lines for logins.
    fn prepare_with(place: &Place, logins: &str) -> Self {
        let folder = place.outside("site");
        fs::create_dir_all(&folder).unwrap();
        let shop: toml::Table =
            toml::from_str(&fs::read_to_string(place.data().join("shop/gateway.toml")).unwrap()).unwrap();
        let mut contract: Value =
            serde_json::from_slice(&fs::read(place.data().join("shop/contract.json")).unwrap()).unwrap();
        contract["service_id"] = json!("small-shop");
        fs::write(folder.join("contract.json"), contract.to_string()).unwrap();
        let issuer = format!("http://localhost:{}", free_port());
        let port = issuer.rsplit_once(':').unwrap().1;
        let token = place.data().join("services/join/service.token");
        let config = format!(
            "version = 1\nname = \"Small Shop\"\norigins = [\"{issuer}\"]\ncontract = \"contract.json\"\nstate = \"state\"\n\
             key_file = \"state.key\"\n[services]\nurl = {}\nca_file = {}\njoin_token_file = {:?}\n[login]\n{logins}\n[oidc]\n\
             issuer = \"{issuer}\"\nlisten = \"127.0.0.1:{port}\"\nclients_file = \"clients.toml\"\n[oidc.claims]\n\
             address = \"address\"\nemail = \"email\"\nbirthdate = \"date_of_birth\"\n",
            shop["services"]["url"], shop["services"]["ca_file"], token
        );
        fs::write(folder.join("gateway.toml"), config).unwrap();
        Self { folder, issuer, gateway: None }
    }

    /// Registers a client.
    async fn client(&self, name: &str, redirect_uri: &str, options: &[&str]) -> Given {
        let config = self.folder.join("gateway.toml");
        let mut arguments = vec!["--json", "gateway", "client", "add", "--config", config.to_str().unwrap()];
        arguments.extend(["--name", name, "--redirect-uri", redirect_uri]);
        arguments.extend(options);
        let added = vettid(&arguments, "").await;
        assert_eq!(added.code, 0, "{}", added.error);
        let added: Value = serde_json::from_str(&added.out).unwrap();
        Given { id: text(&added, "client_id"), secret: text(&added, "client_secret") }
    }

    /// Starts the gateway.
    async fn start(&mut self) {
        let log = self.folder.join("log");
        let mut command = Command::new(PROGRAM);
        command.args(["gateway", "--log", "warn", "--config"]).arg(self.folder.join("gateway.toml")).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap());
        let mut process = command.kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = lines.next_line().await.unwrap();
        let ready = ready.unwrap_or_else(|| panic!("{}", fs::read_to_string(&log).unwrap()));
        assert!(ready.contains("\"oidc\""), "{ready}");
        self.gateway = Some(Running { process, _lines: lines });
    }
}

const PASSWORD: &str = "seven tall camels ride\n";

/// Approves the login that the app is asked for, by the number of its page.
async fn approve(app: &App, page: &Shown) {
    let open = |found: &Value| list(found, "requests").first().map(|request| text(request, "request_id"));
    let request = app.until(&["request", "list"], open).await;
    assert_ne!(app.run(&["request", "approve", &request], "").await.code, 0, "a plain yes lets no unknown browser in");
    let number = element(&page.text, "output");
    app.say(&["request", "approve", &request, "--number", &number, "--password-stdin"], PASSWORD).await;
}

/// Reads the contract behind an invitation and agrees to it.
async fn connect(app: &App, link: &str) {
    let connection = text(&app.say(&["connection", "accept"], link).await, "connection_id");
    let in_review = |view: &Value| (text(view, "state") == "review").then_some(());
    app.until(&["connection", "review", &connection], in_review).await;
    app.ask(&["connection", "decide", &connection, "--accept"]).await;
}

/// A member who is not known at the site: scans the code, reads the contract, approves the login.
async fn first_login(browser: &mut Browser, app: &App, page: Shown) -> Shown {
    let page = browser.press(&page, "I am new here").await;
    connect(app, &element(&page.text, "code")).await;
    let page = browser.until(page, |shown| shown.text.contains("approve the login")).await;
    approve(app, &page).await;
    page
}

/// The small shop of the examples, by Flask and Authlib; the reason where it cannot be had.
async fn shop(owner: &Owner, given: &Given, port: u16) -> Result<Child, String> {
    let folder = programs::workspace().join("examples/login-python");
    let python = programs::python(&folder.join("requirements.txt")).await?;
    let mut shop = Command::new(python);
    shop.arg(folder.join("shop.py")).env("PORT", port.to_string()).env("VETTID_ISSUER", &owner.issuer);
    shop.env("VETTID_CLIENT_ID", &given.id)
        .env("VETTID_CLIENT_SECRET", &given.secret)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    shop.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(owner.folder.join("shop.log")).unwrap());
    let shop = shop.kill_on_drop(true).spawn().unwrap();
    processes::until("the small shop answers", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
    Ok(shop)
}

/// A login at the small shop.
async fn with_authlib(owner: &Owner, given: &Given, port: u16, browser: &mut Browser, alice: &App) {
    let mut shop = match shop(owner, given, port).await {
        Ok(shop) => shop,
        Err(reason) => return not_tried("a login by Authlib", &reason),
    };
    let site = format!("http://localhost:{port}");

    let page = browser.open(&format!("{site}/login")).await;
    assert!(page.url.as_str().starts_with(&owner.issuer), "{page:?}");
    assert_eq!(page.url.query(), None, "nothing of the request stands in the address of the page");
    let page = first_login(browser, alice, page).await;
    let home = browser.until(page, |shown| shown.url.as_str().starts_with(&site)).await;
    let log = || fs::read_to_string(owner.folder.join("shop.log")).unwrap();
    assert!(home.text.contains("Hello <b id=\"name\">Alice</b>"), "{home:?}\n{}", log());
    let wanted = address();
    assert!(home.text.contains(wanted["street"].as_str().unwrap()), "{home:?}\n{}", log());

    // The shop forgets her; the provider does not ask again within the session.
    let out = browser.press(&home, "Log out").await;
    assert!(!out.text.contains("Hello"));
    let again = browser.open(&format!("{site}/login")).await;
    assert!(again.text.contains("Hello <b id=\"name\">Alice</b>"), "{again:?}\n{}", log());

    // Another browser knows nobody, and a denied login is an error in words.
    let mut other = Browser::new();
    let page = other.open(&format!("{site}/login")).await;
    assert!(!page.text.contains("Alice"), "a stranger's browser is told a name: {page:?}");
    let cancelled = other.press(&page, "Cancel").await;
    let denied = other.open(&attribute(cancelled.text.split("<p><a ").nth(1).unwrap(), "href")).await;
    assert_eq!(denied.status.as_u16(), 403, "{denied:?}\n{}", log());
    assert!(denied.text.contains("nobody was logged in"), "{denied:?}");
    shop.kill().await.unwrap();
}

/// A script with openid-client for Node.
async fn with_openid_client(owner: &Owner, given: &Given, browser: &mut Browser, alice: &App) {
    let source = programs::workspace().join("crates/vettid/tests/up/openid/node");
    let folder = match programs::node(&source).await {
        Ok(folder) => folder,
        Err(reason) => return not_tried("a login by openid-client", &reason),
    };
    let mut node = Command::new("node");
    node.arg("client.mjs").current_dir(folder).env("ISSUER", &owner.issuer).env("REDIRECT_URI", APP);
    node.env("CLIENT_ID", &given.id).env("CLIENT_SECRET", &given.secret).env("SCOPE", SCOPE);
    let mut node = node.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
    let said: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();

    // The browser is known here by now, and the client insists on a fresh approval.
    browser.stop_at(APP);
    let page = browser.open(&text(&said, "start")).await;
    let page = browser.press(&page, "Log in as Alice").await;
    let page = browser.until(page, |shown| shown.text.contains("approve the login")).await;
    approve(alice, &page).await;
    let back = browser.until(page, |shown| shown.url.as_str().starts_with(APP)).await;
    node.stdin.take().unwrap().write_all(format!("{}\n", back.url).as_bytes()).await.unwrap();
    let said = lines.next_line().await.unwrap().unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["person"]["name"], "Alice", "{said}");
    assert_eq!(said["person"]["address"]["street_address"], address()["street"], "{said}");
    assert_eq!(said["claims"]["aud"], given.id, "{said}");
    assert_eq!(said["refreshed"], true, "{said}");
    assert!(node.wait().await.unwrap().success());
}

/// Says loudly what this machine did not let be tried. Where everything can be had, not trying is a failure.
pub(crate) fn not_tried(what: &str, reason: &str) {
    #[expect(clippy::disallowed_methods, reason = "an integration server says that it has everything")]
    let must = std::env::var_os("CI").is_some();
    assert!(!must, "{what} could not be had: {reason}");
    let mut loud = std::io::stderr().lock();
    let _ = std::io::Write::write_fmt(&mut loud, format_args!("\nNOT TRIED: {what}: {reason}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_others_log_a_member_in_unchanged() {
    let place = Place::new();
    let (mut up, _) = people::start(&place).await;
    let alice = place.app("alice");
    alice.enrol(&place.data().join("people/alice.code")).await;
    alice.say(&["data", "set", "address", "--format", "json"], &address().to_string()).await;
    alice.ask(&["profile", "set", "--name", "Alice"]).await;
    alice.say(&["credential", "create", "--password-stdin"], PASSWORD).await;
    let (mut owner, port) = (Owner::prepare(&place, true), free_port());
    let shop = owner.client("A small shop", &format!("http://localhost:{port}/callback"), &[]).await;
    let app = owner.client("An app", APP, &["--scope", SCOPE, "--sector", "small-shop"]).await;
    owner.start().await;
    let mut browser = Browser::new();
    with_authlib(&owner, &shop, port, &mut browser, &alice).await;
    with_openid_client(&owner, &app, &mut browser, &alice).await;
    owner.gateway.unwrap().process.kill().await.unwrap();
    up.press_ctrl_c();
    assert_eq!(up.ended().await.code(), Some(0), "{}", up.errors());
}
