//! Addresses that a browser is sent to. An address counts only if it is, character for character, one that the client
//! registered; the port of a loopback address of a native program is the one exception (RFC 8252 section 7.3).

use url::{Host, Url};

/// Whether an address may be registered: https, http on the own machine, or a private scheme of a native program; no
/// fragment, no name or password, no dot segments, no wildcard.
pub(super) fn may_be_registered(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    let plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    let tidy =
        text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*' && byte != b'\\') && is_canonical(&url, text);
    let known = match url.scheme() {
        "https" => url.has_host(),
        "http" => is_own_machine(&url),
        scheme => scheme.contains('.') && !url.has_host(),
    };
    plain && tidy && known
}

/// Whether the text is what a browser makes of it; an address without a path may leave out the last slash.
fn is_canonical(url: &Url, text: &str) -> bool {
    url.as_str() == text || url.as_str().strip_suffix('/') == Some(text)
}

fn is_own_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether a registered address is the one that is asked for. `native`: the client is a program without a secret, whose
/// port on a loopback address is chosen anew each time.
pub(super) fn is_registered(registered: &[String], asked: &str, native: bool) -> bool {
    registered.iter().any(|known| known == asked || (native && differs_in_port_alone(known, asked)))
}

/// Loopback addresses, not names: `localhost` may be answered by another machine.
fn differs_in_port_alone(known: &str, asked: &str) -> bool {
    let (Ok(known), Ok(mut moved)) = (Url::parse(known), Url::parse(asked)) else {
        return false;
    };
    let is_address = |url: &Url| url.scheme() == "http" && !matches!(url.host(), None | Some(Host::Domain(_)));
    if known.port().is_some() || !is_address(&known) || !is_address(&moved) || !may_be_registered(asked) {
        return false;
    }
    moved.set_port(None).is_ok() && moved == known
}

/// The address with parameters added to its query.
pub(super) fn with(address: &str, parameters: &[(&str, &str)]) -> String {
    let Ok(mut url) = Url::parse(address) else {
        return address.to_owned();
    };
    url.query_pairs_mut().extend_pairs(parameters);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_registered() {
        for right in [
            "https://shop.example/cb",
            "https://shop.example",
            "https://shop.example:8443/cb?x=1",
            "http://localhost:3000/cb",
            "http://127.0.0.1/cb",
            "http://[::1]/cb",
            "com.example.app:/cb",
        ] {
            assert!(may_be_registered(right), "{right}");
        }
        for wrong in [
            "http://shop.example/cb",
            "http://127.0.0.1.evil.example/cb",
            "http://localhost.evil.example/cb",
            "https://shop.example/cb#x",
            "https://shop.example@evil.example/cb",
            "https://user:pw@shop.example/cb",
            "https://shop.example/a/../cb",
            "https://shop.example/*",
            "https://*.shop.example/cb",
            "https://shop.example\\@evil.example/cb",
            "https://SHOP.example/cb",
            "https://shop.example/c b",
            "javascript:alert(1)",
            "data:text/html,x",
            "/cb",
            "",
        ] {
            assert!(!may_be_registered(wrong), "{wrong}");
        }
    }

    #[test]
    fn only_the_very_address_counts() {
        let registered = ["https://shop.example/cb".to_owned()];
        assert!(is_registered(&registered, "https://shop.example/cb", false));
        for wrong in [
            "https://shop.example/cb/",
            "https://shop.example/cb/../cb",
            "https://shop.example/cb/more",
            "https://shop.example/cb?x=1",
            "https://shop.example/cb#x",
            "https://shop.example:443/cb",
            "https://shop.example:8443/cb",
            "https://SHOP.example/cb",
            "https://shop.example@evil.example/cb",
            "https://shop.example.evil.example/cb",
            "https://evil.example/cb",
            "http://shop.example/cb",
            "https://shop.example/%63b",
            "https://shop.example/CB",
            "",
        ] {
            for native in [false, true] {
                assert!(!is_registered(&registered, wrong, native), "{wrong}");
            }
        }
    }

    #[test]
    fn a_native_program_chooses_its_port_on_a_loopback_address_alone() {
        let registered = ["http://127.0.0.1/cb".to_owned(), "http://localhost/cb".to_owned()];
        assert!(is_registered(&registered, "http://127.0.0.1:49152/cb", true));
        for wrong in [
            "http://localhost:49152/cb",
            "http://127.0.0.2:49152/cb",
            "http://127.0.0.1:49152/cb/x",
            "http://127.0.0.1:49152/cb#x",
            "http://u@127.0.0.1:49152/cb",
            "https://127.0.0.1:49152/cb",
            "http://127.0.0.1.evil.example:49152/cb",
        ] {
            assert!(!is_registered(&registered, wrong, true), "{wrong}");
        }
        assert!(!is_registered(&registered, "http://127.0.0.1:49152/cb", false), "a web site has one port");
    }

    #[test]
    fn parameters_are_added_and_never_break_out() {
        let url = with("https://shop.example/cb?x=1", &[("code", "a&b=c#d"), ("state", "é")]);
        assert_eq!(url, "https://shop.example/cb?x=1&code=a%26b%3Dc%23d&state=%C3%A9");
    }
}
