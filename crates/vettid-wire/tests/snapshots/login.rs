//! Samples of what ties a login to its browser.

use crate::sample::Samples;
use crate::{auth, value, webauthn};
use vettid_wire::login::{
    BrowserKeyKind, BrowserList, BrowserRef, KnownBrowser, LinkPart, LoginCheck, LoginFinished, LoginLevel, LoginLink,
    LoginOpened, LoginPermitted, LoginProof, LoginSettings, OpenLogin, OpenedLogin, PermitLogin, SetLogins,
};

pub(crate) fn link() -> LinkPart {
    LinkPart { login_id: value::login(), return_path: "/login/return".to_owned() }
}

fn waiting() -> LoginLink {
    LoginLink {
        version: 1,
        service_id: value::service(),
        origin: auth::origin(),
        login_id: value::login(),
        expires_at: value::at(5),
    }
}

pub(crate) fn proof() -> LoginProof {
    LoginProof::SameDevice { code_hash: value::bytes_url(32), remember: true }
}

pub(crate) fn check() -> LoginCheck {
    LoginCheck {
        level: LoginLevel::Number,
        numbers: vec![17, 42, 83],
        not_before: Some(value::at(1)),
        can_remember: true,
        key_kind: Some(BrowserKeyKind::Webcrypto),
    }
}

fn browser() -> KnownBrowser {
    KnownBrowser {
        connection_id: value::connection(),
        browser_key: value::p256(),
        authenticator: Some(webauthn::authenticator()),
        origin: auth::origin(),
        name: "Firefox on Linux".to_owned(),
        by: LoginLevel::SameDevice,
        known_since: value::at(0),
        used_at: Some(value::at(1)),
    }
}

pub(crate) fn samples() -> Samples {
    let mut samples = Samples::of("login");
    samples.cases("LoginLevel", [LoginLevel::SameDevice, LoginLevel::KnownBrowser, LoginLevel::Number]);
    samples.cases("BrowserKeyKind", [BrowserKeyKind::Webcrypto, BrowserKeyKind::Webauthn]);
    samples.object("LoginLink", waiting());
    samples.object("LinkPart", link());
    let known = LoginProof::KnownBrowser { browser_key: value::p256() };
    samples.cases("LoginProof", [proof(), known, LoginProof::Number { remember: false }]);
    samples.object("LoginCheck", check()).optional(&["/numbers", "/not_before", "/key_kind"]);
    samples.object("OpenLogin", OpenLogin { link: waiting().to_text().unwrap(), other_device: false });
    let (connection_id, display_name) = (value::connection(), "Demo Shop".to_owned());
    samples.object("OpenedLogin", OpenedLogin { connection_id, display_name, origin: auth::origin() });
    samples.object("LoginOpened", LoginOpened { login_id: value::login(), other_device: true });
    samples.object("LoginFinished", LoginFinished { request_id: value::request(), code: value::bytes_url(32) });
    samples.object("KnownBrowser", browser()).optional(&["/used_at", "/authenticator"]);
    samples
        .object("BrowserList", BrowserList { browsers: vec![browser()] })
        .optional(&["/browsers/0/used_at", "/browsers/0/authenticator"]);
    samples.object("BrowserRef", BrowserRef { connection_id, browser_key: value::p256() });
    samples.object("SetLogins", SetLogins { allow_numbers: Some(false) }).optional(&["/allow_numbers"]);
    samples.object("LoginSettings", LoginSettings { allow_numbers: true });
    samples.object("PermitLogin", PermitLogin { request_id: value::request() });
    samples.object("LoginPermitted", LoginPermitted { request_id: value::request(), until: value::at(2) });
    samples
}
