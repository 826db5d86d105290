//! The one cookie: it names a browser and nothing else. Under https no other host and no page of another site can set it,
//! and no script can read it.

use crate::oidc::address::Issuer;
use crate::oidc::handle::Handle;
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

/// A browser is known for this long, in seconds (180 days).
const LIFE_SECONDS: u32 = 180 * 24 * 3600;

/// With this prefix browsers take the cookie only by TLS, from this very host, for all of it.
fn name(issuer: &Issuer) -> &'static str {
    if issuer.is_secure() { "__Host-vettid-browser" } else { "vettid-browser" }
}

/// The value that the browser sent; none if there are two, because then one was planted.
pub(super) fn read<'h>(issuer: &Issuer, headers: &'h HeaderMap) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(key, _)| *key == name(issuer)).map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// The line that sets it. `Lax`: it comes along when a client sends the browser here, and with no form of another site.
pub(super) fn set(issuer: &Issuer, cookie: &Handle) -> Option<HeaderValue> {
    let secure = if issuer.is_secure() { "; Secure" } else { "" };
    let (name, value) = (name(issuer), cookie.expose());
    let line = format!("{name}={value}; Path=/; Max-Age={LIFE_SECONDS}; HttpOnly; SameSite=Lax{secure}");
    let mut line = HeaderValue::from_str(&line).ok()?;
    line.set_sensitive(true);
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_for_this_host_and_no_script() {
        let cookie = Handle::new([7; 32]);
        let line = set(&Issuer::new("https://id.example"), &cookie).unwrap();
        let line = line.to_str().unwrap();
        assert!(line.starts_with("__Host-vettid-browser="), "{line}");
        for part in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
            assert!(line.contains(part), "{line}");
        }
        assert!(!line.contains("Domain"));
    }

    #[test]
    fn two_cookies_of_the_name_are_none() {
        let issuer = Issuer::new("https://id.example");
        let headers = |line: &str| HeaderMap::from_iter([(COOKIE, HeaderValue::from_str(line).unwrap())]);
        assert_eq!(read(&issuer, &headers("a=1; __Host-vettid-browser=x")), Some("x"));
        assert_eq!(read(&issuer, &headers("__Host-vettid-browser=x; __Host-vettid-browser=y")), None);
        assert_eq!(read(&issuer, &headers("vettid-browser=x")), None);
    }
}
