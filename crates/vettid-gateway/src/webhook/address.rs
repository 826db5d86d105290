//! Where events may be sent: over https to public addresses, and to this machine itself if the configuration says so. What a
//! name resolves to is checked each time before anything is connected to, so that a name cannot lead into the own network.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use url::{Host, Url};

/// Longest address in bytes.
const MAX_URL_BYTES: usize = 2048;

/// Why events are not sent there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// No address, or too long, or with a name, password or fragment.
    #[error("not a plain https address")]
    Form,
    /// Another scheme than https.
    #[error("events are sent over https only")]
    Scheme,
    /// An address of a private network.
    #[error("events are not sent to private addresses")]
    Private,
}

/// Checks an address as far as it can be without resolving it.
///
/// # Errors
/// See [`BadAddress`].
pub(crate) fn check(text: &str, loopback: bool) -> Result<Url, BadAddress> {
    if text.len() > MAX_URL_BYTES {
        return Err(BadAddress::Form);
    }
    let url = Url::parse(text).map_err(|_| BadAddress::Form)?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(BadAddress::Form);
    }
    let is_own = match url.host().ok_or(BadAddress::Form)? {
        Host::Domain(name) => name.trim_end_matches('.') == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => judge(address.into(), loopback)?,
        Host::Ipv6(address) => judge(address.into(), loopback)?,
    };
    match url.scheme() {
        _ if is_own && !loopback => Err(BadAddress::Private),
        "https" => Ok(url),
        "http" if is_own => Ok(url),
        _ => Err(BadAddress::Scheme),
    }
}

/// Whether the address is this machine's own.
fn judge(address: IpAddr, loopback: bool) -> Result<bool, BadAddress> {
    if is_allowed(address, loopback) { Ok(address.is_loopback()) } else { Err(BadAddress::Private) }
}

/// Whether events may go to this address.
fn is_allowed(address: IpAddr, loopback: bool) -> bool {
    match address {
        address if address.is_loopback() => loopback,
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_unspecified()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b));
    !is_special
}

/// Global unicast alone, without the ranges that lead to IPv4 addresses or stand in documents.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let is_global = (0x2000..0x4000).contains(&a);
    let is_special = a == 0x2002 || (a == 0x2001 && (b < 0x200 || b == 0xdb8)) || (a == 0x3fff && b < 0x1000);
    is_global && !is_special
}

/// Resolves names, and gives only addresses that events may go to.
#[derive(Debug)]
pub(crate) struct Guarded {
    /// Whether this machine itself is allowed.
    pub loopback: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (name, loopback) = (name.as_str().to_owned(), self.loopback);
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|found| is_allowed(found.ip(), loopback)).collect();
            if allowed.is_empty() {
                return Err(BadAddress::Private.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_go_to_public_addresses_over_https_alone() {
        for right in [
            "https://shop.example/hook",
            "https://shop.example:8443/a?b=c",
            "https://93.184.216.34/",
            "https://[2606:4700::1]/",
        ] {
            assert!(check(right, false).is_ok(), "{right}");
        }
        let private = [
            "https://127.0.0.1/",
            "https://10.1.2.3/",
            "https://192.168.0.1/",
            "https://172.16.0.1/",
            "https://169.254.169.254/",
            "https://100.64.0.1/",
            "https://0.0.0.0/",
            "https://[::1]/",
            "https://[::]/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[2002:a00:1::]/",
            "https://localhost/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://a.localhost/",
            "https://224.0.0.1/",
            "https://198.18.0.1/",
        ];
        for wrong in private {
            assert_eq!(check(wrong, false), Err(BadAddress::Private), "{wrong}");
        }
        for wrong in ["http://shop.example/", "ftp://shop.example/", "file:///etc/passwd"] {
            assert!(matches!(check(wrong, true), Err(BadAddress::Scheme | BadAddress::Form)), "{wrong}");
        }
        for wrong in [
            "",
            "shop.example",
            "https://u:p@shop.example/",
            "https://shop.example/#a",
            &format!("https://a.example/{}", "x".repeat(2048)),
        ] {
            assert_eq!(check(wrong, true), Err(BadAddress::Form), "{wrong}");
        }
    }

    #[test]
    fn this_machine_is_allowed_by_configuration_alone_and_nothing_else_with_it() {
        for own in ["http://127.0.0.1:9/", "http://localhost:9/", "https://[::1]/"] {
            assert!(check(own, true).is_ok() && check(own, false).is_err(), "{own}");
        }
        for other in ["http://10.0.0.1/", "https://10.0.0.1/", "https://[::ffff:127.0.0.1]/"] {
            assert_eq!(check(other, true), Err(BadAddress::Private), "{other}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_resolved() {
        let name = || "localhost".parse::<Name>().unwrap();
        assert!(Guarded { loopback: false }.resolve(name()).await.is_err());
        assert!(Guarded { loopback: true }.resolve(name()).await.unwrap().next().is_some());
    }
}
