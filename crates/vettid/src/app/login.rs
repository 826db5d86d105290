//! `vettid app login` and `vettid app browser`: the link of a page that waits, and the browsers that are known. The decision
//! itself is `vettid app request`.

use super::Client;
use super::advice::command;
use crate::failure::{Exit, Failure};
use crate::output::{Output, Page, Show, count, minute};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use vettid_wire::event::{self, Nothing};
use vettid_wire::id::ConnectionId;
use vettid_wire::key::TypedKey;
use vettid_wire::login::{
    BrowserKeyKind, BrowserList, BrowserRef, KnownBrowser, LoginCheck, LoginLevel, LoginLink, LoginSettings, OpenLogin,
    OpenedLogin, SetLogins,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Open the link of a page on which you want to log in; the service then asks you
    #[command(after_help = "\
Examples:
  vettid app login open LINK
  vettid app login open LINK --other-device

The link is the one of `Log in with VettID`. After you approved, your yes goes back through a browser of this device:
only the browser that shows the page can use it, so a link that somebody sent you logs nobody in.")]
    Open(Open),
    /// Say whether a browser that nobody knows may be let in by a number; without an option: how it is now
    #[command(after_help = "\
Examples:
  vettid app login settings
  vettid app login settings --numbers off")]
    Settings(Settings),
}

#[derive(Debug, Args)]
pub(super) struct Open {
    /// The link of the page
    #[arg(value_name = "LINK")]
    link: String,
    /// The page is on another device: no code can go back, so a number or a known browser is needed
    #[arg(long)]
    other_device: bool,
}

#[derive(Debug, Args)]
pub(super) struct Settings {
    /// Whether a number and your password may let an unknown browser in, where the service allows it
    #[arg(long, value_name = "ON_OR_OFF")]
    numbers: Option<Switch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Subcommand)]
pub(super) enum Browsers {
    /// List the browsers that are known, by connection
    #[command(after_help = "Example:\n  vettid app browser list")]
    List,
    /// Forget a browser: it has to be made known again
    #[command(after_help = "\
Example:
  vettid app browser forget CONNECTION KEY

CONNECTION and KEY are from `vettid app browser list`.")]
    Forget(Forget),
}

#[derive(Debug, Args)]
pub(super) struct Forget {
    /// The connection
    #[arg(value_name = "CONNECTION")]
    connection: ConnectionId,
    /// The key of the browser
    #[arg(value_name = "KEY")]
    key: TypedKey,
}

pub(super) async fn run(wanted: Command, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Command::Open(Open { link, other_device }) => {
            // Read here, so that a wrong text is told as one.
            LoginLink::read(&link)
                .map_err(|error| Failure::new(Exit::Usage, error).next("copy the link of the page as a whole"))?;
            let opened = app.command::<event::LoginOpen>(OpenLogin { link, other_device }).await.map_err(command)?;
            Ok(output.result(&opened)?)
        }
        Command::Settings(Settings { numbers }) => {
            let asked = SetLogins { allow_numbers: numbers.map(|switch| switch == Switch::On) };
            Ok(output.result(&app.command::<event::LoginSettings>(asked).await.map_err(command)?)?)
        }
    }
}

pub(super) async fn browsers(wanted: Browsers, app: &Client, output: Output) -> Result<(), Failure> {
    match wanted {
        Browsers::List => Ok(output.result(&app.command::<event::BrowserList>(Nothing {}).await.map_err(command)?)?),
        Browsers::Forget(Forget { connection, key }) => {
            let kind = BrowserKeyKind::of(&key);
            let asked = BrowserRef { connection_id: connection, browser_key: key };
            app.command::<event::BrowserForget>(asked).await.map_err(command)?;
            Ok(output.result(&Forgotten { forgotten: true, kind })?)
        }
    }
}

/// What protects a login, in words.
pub(super) fn protection(check: &LoginCheck) -> &'static str {
    match (check.level, check.key_kind) {
        (LoginLevel::SameDevice, _) => "1 of 4: on this device; only the browser that shows the page can use your yes",
        (LoginLevel::KnownBrowser, Some(BrowserKeyKind::Webauthn)) => {
            "3 of 4: by an authenticator that you made known (WebAuthn); somebody touched it for this login"
        }
        (LoginLevel::KnownBrowser, _) => "3 of 4: from a browser that you made known; it holds the key (WebCrypto)",
        (LoginLevel::Number, _) => "4 of 4, the weakest: FROM A BROWSER THAT NOBODY KNOWS",
    }
}

/// What keeps a key, in words.
fn kind(browser: &KnownBrowser) -> &'static str {
    match &browser.authenticator {
        None => "WebCrypto: this browser, without a touch",
        Some(authenticator) if authenticator.is_copied => {
            "WebAuthn: a passkey that its provider keeps on several devices"
        }
        Some(authenticator) if authenticator.can_be_copied => {
            "WebAuthn: a passkey that its provider may copy to other devices"
        }
        Some(_) => "WebAuthn: one authenticator, by what it says itself",
    }
}

#[derive(Serialize)]
struct Forgotten {
    forgotten: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<BrowserKeyKind>,
}

impl Show for Forgotten {
    fn show(&self, page: &mut Page) {
        page.line(match self.kind {
            Some(BrowserKeyKind::Webauthn) => {
                "Forgotten. That authenticator (WebAuthn) logs nobody in from now on; the key in it may be removed there."
            }
            _ => "Forgotten. That browser is unknown from now on.",
        });
    }
}

impl Show for OpenedLogin {
    fn show(&self, page: &mut Page) {
        page.line(format!("{} was told. It asks you to log in at {}.", self.display_name, self.origin));
        page.gap();
        page.next("To see what it asks", "vettid app request list");
    }
}

impl Show for LoginSettings {
    fn show(&self, page: &mut Page) {
        page.line(if self.allow_numbers {
            "Unknown browsers: by a number and your password, where the service allows it."
        } else {
            "Unknown browsers: never."
        });
    }
}

impl Show for BrowserList {
    fn show(&self, page: &mut Page) {
        if self.browsers.is_empty() {
            page.line("No browser is known.");
            return;
        }
        page.line(format!("{}:", count(self.browsers.len() as u64, "known browser")));
        for browser in &self.browsers {
            page.gap();
            show(browser, page);
        }
    }
}

fn show(browser: &KnownBrowser, page: &mut Page) {
    page.line(format!("{} at {}", browser.name, browser.origin));
    page.field("kind", kind(browser));
    page.field("known since", minute(browser.known_since));
    if let Some(used_at) = browser.used_at {
        page.field("last used", minute(used_at));
    }
    page.field("connection", browser.connection_id.to_string());
    page.field("key", browser.browser_key.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::text_of;
    use vettid_wire::base64::Base64;
    use vettid_wire::key::KeyAlgorithm;
    use vettid_wire::time::Timestamp;
    use vettid_wire::webauthn::Authenticator;

    fn browser(algorithm: KeyAlgorithm, copies: Option<(bool, bool)>) -> KnownBrowser {
        let authenticator = copies.map(|(can_be_copied, is_copied)| Authenticator {
            credential_id: Base64::new([1; 16]),
            sign_count: 1,
            can_be_copied,
            is_copied,
        });
        KnownBrowser {
            connection_id: ConnectionId::from_bytes([1; 16]),
            browser_key: TypedKey::new(algorithm, [4; 65]).unwrap(),
            authenticator,
            origin: "https://shop.example".to_owned(),
            name: "Firefox".to_owned(),
            by: LoginLevel::SameDevice,
            known_since: Timestamp::from_unix_ms(0),
            used_at: None,
        }
    }

    #[test]
    fn the_list_says_what_keeps_each_key() {
        let cases = [
            (browser(KeyAlgorithm::P256, None), "WebCrypto: this browser"),
            (browser(KeyAlgorithm::WebAuthnP256, Some((false, false))), "WebAuthn: one authenticator"),
            (browser(KeyAlgorithm::WebAuthnP256, Some((true, false))), "may copy to other devices"),
            (browser(KeyAlgorithm::WebAuthnP256, Some((true, true))), "keeps on several devices"),
        ];
        for (known, words) in cases {
            let text = text_of(&BrowserList { browsers: vec![known] });
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn a_request_says_what_protects_it() {
        let check =
            |level, key_kind| LoginCheck { level, numbers: vec![], not_before: None, can_remember: false, key_kind };
        let webauthn = Some(BrowserKeyKind::Webauthn);
        assert!(protection(&check(LoginLevel::KnownBrowser, webauthn)).contains("3 of 4: by an authenticator"));
        let own = protection(&check(LoginLevel::KnownBrowser, Some(BrowserKeyKind::Webcrypto)));
        assert!(own.contains("3 of 4: from a browser"));
        // A key that is not known protects nothing.
        assert!(protection(&check(LoginLevel::Number, webauthn)).contains("NOBODY KNOWS"));
        assert!(protection(&check(LoginLevel::SameDevice, webauthn)).contains("1 of 4"));
    }
}
