//! What the login page shows while a member is waited for, in words. Texts of others are escaped; a name of a member is shown only
//! to a browser that this member used before.

use super::authorize::error_address;
use super::login::{Found, Shown};
use super::page::{Page, Script, button, escape, qr_svg};
use crate::login::Begun;
use crate::oidc::failure::Failure;
use crate::oidc::login::{Attempt, Ended, Pending, Stage};
use crate::oidc::provider::Provider;
use axum::http::StatusCode;
use vettid_wire::id::ConnectionId;
use vettid_wire::login::BrowserKeyKind;

/// Between two looks at a page without script, in seconds; an invitation takes longer.
const AGAIN_SECONDS: u32 = 1;
const INVITED_SECONDS: u32 = 3;
/// Between two looks of the script, in milliseconds.
const WATCH_MS: u32 = 500;

const OVER: &str = "<p role=\"alert\" data-text=\"over\" hidden>This page waits no more. If you have logged in by another tab, close this \
     one; otherwise go back to the site and try again.</p>";

/// The key of a browser that an authenticator keeps; the script shows what fits. Nothing of it stands there without a script.
const KEY: &str = "<div data-text=\"make-key\" hidden><p>To log in by a plain yes from now on, first make a key for this browser: on this \
     device, on a security key, or on a phone beside it.</p><p><button type=\"button\" data-key=\"make\">Make a key</button></p></div>\
     <div data-text=\"use-key\" hidden><p>This browser has a key for this site.</p>\
     <p><button type=\"button\" data-key=\"use\">Use the key of this browser</button></p></div>\
     <div data-text=\"no-key\" hidden><p role=\"alert\">The key was not used. Log in by the link below, or try again.</p>\
     <p><button type=\"button\" data-key=\"use\">Use the key of this browser</button>\
     <button type=\"button\" data-key=\"make\">Make another key</button></p></div>\
     <p role=\"status\" data-text=\"key-shown\" hidden>The key was used. If your app does not ask by itself, open the link below, and let the app \
     remember this browser.</p>";

/// The page of a login that goes on.
pub(super) async fn page(provider: &Provider, found: &Found, shown: Shown) -> Page {
    let pending = &found.pending;
    let content = match &pending.stage {
        Stage::Choose(known) => choose(provider, found, *known).await,
        Stage::Inviting { link, .. } => inviting(provider, found, shown, link),
        Stage::Waiting(attempt) => waiting(provider, found, shown, attempt),
        Stage::Approved { .. } => String::new(),
        Stage::Ended { whom, why } => ended(provider, found, *whom, *why),
    };
    let mut facts = vec![
        ("page", address(provider, &found.id)),
        ("form-key", pending.form_key.clone()),
        ("state", shown.word().to_owned()),
    ];
    if shown.changes() {
        facts.push(("watch-ms", WATCH_MS.to_string()));
    }
    if let (Stage::Waiting(attempt), Shown::Waiting) = (&pending.stage, shown) {
        facts.push(("to-sign", attempt.begun.to_sign.clone()));
        if attempt.begun.key_kind == BrowserKeyKind::Webauthn {
            facts.push(("asks-for-key", String::new()));
        }
    }
    let pause = if shown == Shown::Invited { INVITED_SECONDS } else { AGAIN_SECONDS };
    frame(provider, pending, content, (facts, shown.changes().then_some(pause)))
}

/// The page of a login that was called off.
pub(super) fn cancelled(provider: &Provider, pending: &Pending) -> Page {
    // A link and not a redirect: browsers hold a redirect after a form to the form's own site.
    let content = format!("<p>Nobody was logged in.</p>{}", back(provider, pending));
    frame(provider, pending, content, (vec![], None))
}

/// The page that a code comes back to, with the logins that wait in this browser.
pub(super) fn coming_back(provider: &Provider, own: &[(String, Pending)]) -> Page {
    let mut content = String::from(
        "<p role=\"status\" data-text=\"brings\">One moment: you are being logged in.</p>\
         <p role=\"alert\" data-text=\"not-ours\" hidden>This address belongs to a login that does not wait in this browser, so nothing \
         was done. Open it in the browser in which you began, and give it to nobody.</p>\
         <noscript><p role=\"alert\">This browser runs no script here, so the address cannot log you in. Allow the script of this \
         site and open the address again.</p></noscript>",
    );
    for (id, pending) in own {
        let Stage::Waiting(attempt) = &pending.stage else { continue };
        content.push_str(&format!(
            "<i hidden data-login=\"{}\" data-page=\"{}\" data-form-key=\"{}\"></i>",
            attempt.begun.login_id,
            escape(&address(provider, id)),
            escape(&pending.form_key),
        ));
    }
    Page {
        title: "Log in with VettID".to_owned(),
        content,
        script: script(provider, vec![("brings", String::new())]),
        again_seconds: None,
        status: StatusCode::OK,
        style: provider.issuer().at("/login.css"),
    }
}

async fn choose(provider: &Provider, found: &Found, known: Option<ConnectionId>) -> String {
    let known = match known {
        Some(id) => provider.active(id).await,
        None => None,
    };
    let pending = &found.pending;
    let mut content = format!("<p>{} wants to know that it is you.</p>", escape(client_name(provider, pending)));
    let is_hinted = pending.only.is_some() || pending.request.login_hint.is_some();
    let somebody = known.is_some();
    match known {
        // Only the browser itself knows whom it knows; a name out of a hint of the site is not shown.
        Some(_) if is_hinted => content.push_str(&form(provider, found, "ask", "Ask my VettID app")),
        Some(view) => content.push_str(&form(provider, found, "ask", &format!("Log in as {}", view.display_name))),
        None => {}
    }
    let label = if somebody { "Somebody else" } else { "Log in with VettID" };
    content.push_str(&form(provider, found, "link", label));
    if pending.only.is_none() {
        content.push_str(&form(provider, found, "invite", "I am new here"));
    }
    content.push_str(&form(provider, found, "cancel", "Cancel"));
    content
}

fn inviting(provider: &Provider, found: &Found, shown: Shown, link: &str) -> String {
    let cancel = form(provider, found, "cancel", "Cancel");
    if shown == Shown::Review {
        return format!(
            "<p role=\"status\">Read what is asked for in your VettID app, and agree to it there.</p>{OVER}{cancel}"
        );
    }
    format!(
        "{}<p>Scan the code with your VettID app, or paste the link below into it.</p>\
         <details><summary>Show the link</summary><code>{}</code></details>{OVER}{cancel}",
        figure("Invitation", link),
        escape(link)
    )
}

fn waiting(provider: &Provider, found: &Found, shown: Shown, attempt: &Attempt) -> String {
    let begun = &attempt.begun;
    let number = begun.number.map(|number| format!("<output>{number}</output>"));
    let said = match (shown, number) {
        (Shown::AwaitsCode, _) => "<p role=\"status\">You said yes. Now open the address that your app shows, in this browser: only \
             here it logs anybody in.</p>"
            .to_owned(),
        (Shown::Asked, None) => "<p role=\"status\">Open your VettID app and approve the login. If the app then shows an address, open it in \
             this browser.</p>"
            .to_owned(),
        (Shown::Asked, Some(number)) => format!(
            "<p role=\"status\">Open your VettID app and approve the login, with this number if it asks for one: {number}</p>"
        ),
        (_, number) => {
            let key = if begun.key_kind == BrowserKeyKind::Webauthn { KEY } else { "" };
            format!("{key}{}{}", link(begun), other_device(provider, found, attempt, number))
        }
    };
    let display = &found.pending.display;
    format!(
        "{said}<p>The app shows the site <strong>{}</strong> and a browser at {}. If it shows anything else, deny it.</p>{OVER}{}",
        escape(&provider.issuer().origin()),
        escape(&display.ip_prefix),
        form(provider, found, "cancel", "Cancel"),
    )
}

/// The way for an app on the same device.
fn link(begun: &Begun) -> String {
    let text = escape(&begun.link);
    let opens = if begun.link.starts_with("https://") {
        format!("<p><a class=\"button\" href=\"{text}\">Open the VettID app</a></p>")
    } else {
        String::new()
    };
    format!(
        "<p role=\"status\">Open this link in the VettID app on <strong>this device</strong>, approve the login, and open the address that \
         the app then shows in this browser.</p>{opens}<code>{text}</code>"
    )
}

/// The way for an app on another device, where numbers are on.
fn other_device(provider: &Provider, found: &Found, attempt: &Attempt, number: Option<String>) -> String {
    let Some(number) = number else {
        return "<p>An app on another device cannot let this browser in the first time.</p>".to_owned();
    };
    if attempt.whom.is_some() {
        return form(provider, found, "number", "My app is on another device");
    }
    format!(
        "<details><summary>My app is on another device</summary>{}<p>Open the code there as a login on another device, and approve it \
         with this number: {number}</p></details>",
        figure("Login", &attempt.begun.link)
    )
}

fn ended(provider: &Provider, found: &Found, whom: Option<ConnectionId>, why: Ended) -> String {
    let said = match why {
        Ended::Denied => "The login was denied in the app.",
        Ended::NotTied => {
            "Your vault does not know this browser and did not let it in. Open the link of this page in the app on this device; \
             an app on another device can let in only browsers that it knows."
        }
        Ended::Refused => "Your vault did not let the request through. The app says why.",
        Ended::Expired => "Nobody answered in time.",
        Ended::WrongCode => "The address did not hold the right code, so nobody was logged in.",
        Ended::NotConnected => "The connection was not made.",
        Ended::NeedsScript => {
            "This browser runs no script here, so nothing ties the login to it. Allow the script of this site, then try again."
        }
        Ended::Crowded => "Too many people log in at this moment. Try again in a few minutes.",
        Ended::Failed => "The login cannot go on now.",
    };
    let step = match (why, whom) {
        (Ended::NotConnected, _) => "invite",
        (_, Some(_)) => "ask",
        (_, None) => "link",
    };
    let again = form(provider, found, step, "Try again");
    format!("<p role=\"alert\">{said}</p>{again}{}", back(provider, &found.pending))
}

fn figure(what: &str, text: &str) -> String {
    // What is too long for a code is there as a link.
    let code = qr_svg(text).unwrap_or_default();
    format!("<figure role=\"img\" aria-label=\"{what} as a QR code\">{code}</figure>")
}

fn form(provider: &Provider, found: &Found, step: &str, label: &str) -> String {
    let address = format!("{}/{step}", address(provider, &found.id));
    button(&address, &found.pending.form_key, label)
}

/// The address of the page of a login.
pub(super) fn address(provider: &Provider, id: &str) -> String {
    provider.issuer().at(&format!("/login/{id}"))
}

fn client_name<'p>(provider: &'p Provider, pending: &Pending) -> &'p str {
    provider.clients().get(&pending.request.client_id).map_or("A site", |client| client.name.as_str())
}

/// The way back without a login.
fn back(provider: &Provider, pending: &Pending) -> String {
    let failure = Failure::new("access_denied", "nobody was logged in");
    let request = &pending.request;
    let address = error_address(provider, &request.redirect_uri, request.state.as_deref(), failure);
    format!("<p><a href=\"{}\">Back to {}</a></p>", escape(&address), escape(client_name(provider, pending)))
}

fn script(provider: &Provider, facts: Vec<(&'static str, String)>) -> Script {
    Script { address: Some(provider.issuer().at("/login.js")), facts }
}

fn frame(
    provider: &Provider,
    pending: &Pending,
    content: String,
    (facts, again_seconds): (Vec<(&'static str, String)>, Option<u32>),
) -> Page {
    Page {
        title: format!("Log in to {}", client_name(provider, pending)),
        content,
        script: script(provider, facts),
        again_seconds,
        status: StatusCode::OK,
        style: provider.issuer().at("/login.css"),
    }
}
