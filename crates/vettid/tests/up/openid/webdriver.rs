//! A real browser, driven by WebDriver (W3C): what a person would do with it, and pictures of what it shows.

use crate::stack::WITHIN;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use vettid_wire::base64::Base64;

const DRIVER: &str = "chromedriver";
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The name of an element in an answer, as the standard gives it.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The program that drives browsers.
pub(crate) struct Driver {
    _process: Child,
    client: Client,
    address: String,
}

/// One browser with a profile of its own.
pub(crate) struct Chromium<'d> {
    driver: &'d Driver,
    session: String,
}

impl Driver {
    /// Starts it; the reason where it cannot be had.
    pub(crate) async fn start(port: u16) -> Result<Self, String> {
        let mut command = Command::new(DRIVER);
        command.arg(format!("--port={port}")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.kill_on_drop(true).spawn().map_err(|error| format!("{DRIVER} does not run: {error}"))?;
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::builder().no_proxy().timeout(WITHIN).build().unwrap();
        let driver = Self { _process: process, client, address: format!("http://127.0.0.1:{port}") };
        crate::processes::until("the driver answers", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
            .await;
        Ok(driver)
    }

    /// Opens a browser with an empty profile. It ends when the driver does.
    pub(crate) async fn browser(&self, profile: &Path) -> Chromium<'_> {
        let profile = format!("--user-data-dir={}", profile.display());
        // Whoever runs as root has no other sandbox than the one of the machine.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--window-size=760,900",
            "--remote-debugging-pipe",
        ];
        let arguments: Vec<&str> = arguments.into_iter().chain([profile.as_str()]).collect();
        let options = json!({"browserName": "chrome", "goog:chromeOptions": {"args": arguments}});
        let made =
            self.call(Method::POST, "/session", json!({"capabilities": {"alwaysMatch": options}})).await.unwrap();
        Chromium { driver: self, session: made["sessionId"].as_str().unwrap().to_owned() }
    }

    /// One call; what the standard calls an error is its code.
    async fn call(&self, method: Method, path: &str, body: Value) -> Result<Value, String> {
        let request = self.client.request(method.clone(), format!("{}{path}", self.address));
        let request = if method == Method::POST { request.body(body.to_string()) } else { request };
        let answer: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
        match answer["value"]["error"].as_str() {
            Some(error) => Err(format!("{error}: {}", answer["value"]["message"])),
            None => Ok(answer["value"].clone()),
        }
    }
}

impl Chromium<'_> {
    async fn call(&self, method: Method, path: &str, body: Value) -> Result<Value, String> {
        self.driver.call(method, &format!("/session/{}{path}", self.session), body).await
    }

    /// Opens an address.
    pub(crate) async fn open(&self, address: &str) {
        self.call(Method::POST, "/url", json!({"url": address})).await.unwrap();
    }

    /// Where it is.
    pub(crate) async fn address(&self) -> String {
        self.call(Method::GET, "/url", Value::Null).await.unwrap().as_str().unwrap().to_owned()
    }

    /// Opens a tab and goes there; gives the former one.
    pub(crate) async fn new_tab(&self) -> String {
        let former = self.call(Method::GET, "/window", Value::Null).await.unwrap();
        let made = self.call(Method::POST, "/window/new", json!({"type": "tab"})).await.unwrap();
        self.go_to_tab(made["handle"].as_str().unwrap()).await;
        former.as_str().unwrap().to_owned()
    }

    pub(crate) async fn go_to_tab(&self, tab: &str) {
        self.call(Method::POST, "/window", json!({"handle": tab})).await.unwrap();
    }

    async fn find(&self, xpath: &str) -> Result<String, String> {
        let found = self.call(Method::POST, "/element", json!({"using": "xpath", "value": xpath})).await?;
        Ok(format!("/element/{}", found[ELEMENT].as_str().unwrap()))
    }

    /// Presses a button, as soon as there is one.
    pub(crate) async fn press(&self, label: &str) {
        let xpath = format!("//button[normalize-space()='{label}']");
        let started = Instant::now();
        while let Err(error) = self.press_now(&xpath).await {
            assert!(started.elapsed() < WITHIN, "no button {label:?}: {error} in {}", self.shown().await);
            sleep(LOOK_EVERY).await;
        }
    }

    async fn press_now(&self, xpath: &str) -> Result<Value, String> {
        let button = self.find(xpath).await?;
        self.call(Method::POST, &format!("{button}/click"), json!({})).await
    }

    /// What a person reads.
    pub(crate) async fn shown(&self) -> String {
        let body = async { self.call(Method::GET, &format!("{}/text", self.find("//body").await?), Value::Null).await };
        // While one page takes the place of another there is none.
        body.await.map_or_else(|error| error, |text| text.as_str().unwrap().to_owned())
    }

    /// The text of the first such element, also of one that is folded away.
    pub(crate) async fn text_of(&self, kind: &str) -> String {
        let element = self.find(&format!("//{kind}")).await.unwrap();
        let text = self.call(Method::GET, &format!("{element}/property/textContent"), Value::Null).await.unwrap();
        text.as_str().unwrap().to_owned()
    }

    /// Waits until the page shows some words.
    pub(crate) async fn until(&self, words: &str) {
        let started = Instant::now();
        loop {
            let shown = self.shown().await;
            if shown.contains(words) {
                return;
            }
            assert!(started.elapsed() < WITHIN, "{words:?} is not shown at {}: {shown}", self.address().await);
            sleep(LOOK_EVERY).await;
        }
    }

    /// An authenticator of this device (WebAuthn), ready to be touched; gives its name.
    pub(crate) async fn add_authenticator(&self) -> String {
        let wanted = json!({"protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
            "hasUserVerification": true, "isUserConsenting": true, "isUserVerified": true});
        let made = self.call(Method::POST, "/webauthn/authenticator", wanted).await.unwrap();
        made.as_str().unwrap().to_owned()
    }

    /// Whether the person before the authenticator does what it asks for, or refuses.
    pub(crate) async fn is_willing(&self, authenticator: &str, willing: bool) {
        let path = format!("/webauthn/authenticator/{authenticator}/uv");
        self.call(Method::POST, &path, json!({"isUserVerified": willing})).await.unwrap();
    }

    /// How often each key of the authenticator signed.
    pub(crate) async fn counts(&self, authenticator: &str) -> Vec<u64> {
        let path = format!("/webauthn/authenticator/{authenticator}/credentials");
        let keys = self.call(Method::GET, &path, Value::Null).await.unwrap();
        keys.as_array().unwrap().iter().map(|key| key["signCount"].as_u64().unwrap()).collect()
    }

    /// A picture of the page (PNG).
    pub(crate) async fn picture(&self) -> Vec<u8> {
        let picture = self.call(Method::GET, "/screenshot", Value::Null).await.unwrap();
        picture.as_str().unwrap().parse::<Base64>().unwrap().as_bytes().to_vec()
    }

    pub(crate) async fn close(self) {
        self.call(Method::DELETE, "", Value::Null).await.unwrap();
    }
}
