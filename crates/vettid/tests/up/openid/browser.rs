//! A browser without scripts: cookies by host and port, redirects one by one, forms by the words on their button.

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, StatusCode, Url};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The browser of one person.
pub(crate) struct Browser {
    client: Client,
    cookies: BTreeMap<String, BTreeMap<String, String>>,
    stop_at: Option<String>,
}

/// What it shows.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

impl Browser {
    pub(crate) fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Self { client: client.timeout(PATIENCE).build().unwrap(), cookies: BTreeMap::new(), stop_at: None }
    }

    /// Addresses that begin like this are not opened: their program is not a web site.
    pub(crate) fn stop_at(&mut self, prefix: &str) {
        self.stop_at = Some(prefix.to_owned());
    }

    /// Opens an address and follows wherever it leads.
    pub(crate) async fn open(&mut self, address: &str) -> Shown {
        self.send(Method::GET, address, None).await
    }

    /// Presses the button of a form.
    pub(crate) async fn press(&mut self, shown: &Shown, label: &str) -> Shown {
        let form = shown.text.split("<form").skip(1).map(|rest| rest.split("</form>").next().unwrap());
        let form = form.into_iter().find(|form| form.contains(label));
        let form = form.unwrap_or_else(|| panic!("no button {label:?} in {shown:?}"));
        let action = shown.url.join(&attribute(form, "action")).unwrap();
        let key = form.contains("form_key").then(|| format!("form_key={}", attribute(form, "value")));
        self.send(Method::POST, action.as_str(), Some(key.unwrap_or_default())).await
    }

    /// Opens the page that is shown again and again, as it asks for, until it shows what is wanted.
    pub(crate) async fn until(&mut self, mut shown: Shown, wanted: impl Fn(&Shown) -> bool) -> Shown {
        let started = Instant::now();
        while !wanted(&shown) {
            assert!(started.elapsed() < PATIENCE, "it still shows {shown:?}");
            sleep(LOOK_EVERY).await;
            shown = self.open(shown.url.clone().as_str()).await;
        }
        shown
    }

    async fn send(&mut self, method: Method, address: &str, body: Option<String>) -> Shown {
        let (mut method, mut url, mut body) = (method, Url::parse(address).unwrap(), body);
        loop {
            if self.stop_at.as_ref().is_some_and(|prefix| url.as_str().starts_with(prefix)) {
                return Shown { url, status: StatusCode::OK, text: String::new() };
            }
            let place = format!("{}:{}", url.host_str().unwrap(), url.port_or_known_default().unwrap());
            let jar = self.cookies.entry(place).or_default();
            let line: Vec<String> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut request = self.client.request(method, url.clone()).header(COOKIE, line.join("; "));
            if let Some(body) = body.take() {
                request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
            }
            let answer = request.send().await.unwrap();
            for line in answer.headers().get_all(SET_COOKIE) {
                let pair = line.to_str().unwrap().split(';').next().unwrap();
                let (name, value) = pair.split_once('=').unwrap();
                jar.insert(name.to_owned(), value.to_owned());
            }
            let Some(next) = answer.headers().get(LOCATION) else {
                return Shown { url, status: answer.status(), text: answer.text().await.unwrap() };
            };
            (method, url) = (Method::GET, url.join(next.to_str().unwrap()).unwrap());
        }
    }
}

/// The value of the first attribute of this name, as it was before it was escaped.
pub(crate) fn attribute(markup: &str, name: &str) -> String {
    let rest = markup.split_once(&format!("{name}=\"")).unwrap().1;
    rest.split('"').next().unwrap().replace("&amp;", "&")
}

/// What stands in the first element of this kind.
pub(crate) fn element(markup: &str, kind: &str) -> String {
    let rest = markup.split_once(&format!("<{kind}>")).unwrap().1;
    rest.split(&format!("</{kind}>")).next().unwrap().replace("&amp;", "&")
}
