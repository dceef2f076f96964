//! Keeps the client out of our own network (SSRF): URLs come from settings and from foreign answers.
//!
//! Literal addresses are checked in the URL, names when they are resolved for the connection, so that no second look-up
//! can give another address than the one that was checked.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A host or network that may be private.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// A name, whatever it resolves to.
    Host(String),
    Net(IpNet),
}

/// An entry of `allow_private` that is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` in `allow_private` is no host name, address or network: write it like erp.internal, 10.1.2.3 or 10.0.0.0/8")]
pub struct AllowedError(String);

impl FromStr for Allowed {
    type Err = AllowedError;

    fn from_str(text: &str) -> Result<Self, AllowedError> {
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Net(net));
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self::Net(IpNet::from(ip)));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_name = !name.is_empty() && name.chars().all(|it| it.is_ascii_alphanumeric() || "-._".contains(it));
        // `10.0.0.0.8` and `10.0` are no names of hosts but slips of the pen.
        let is_number = name.chars().all(|it| it.is_ascii_digit() || it == '.');
        if is_name && !is_number { Ok(Self::Host(name.to_ascii_lowercase())) } else { Err(AllowedError(text.to_owned())) }
    }
}

/// Why the guard refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Forbidden {
    #[error("the address is private; name the host or its network in `allow_private` if it is meant")]
    Private,
    #[error("plain http to a public host would show its secrets to everybody on the way; use https, or name the host in `allow_private`")]
    Plain,
    #[error("the URL has a user or password in it; put secrets into files")]
    Credentials,
    #[error("the URL is neither http nor https")]
    Scheme,
}

/// The system's resolver has no address for a name.
#[derive(Debug, thiserror::Error)]
#[error("could not resolve the host name")]
pub(super) struct LookupFailed(#[source] io::Error);

#[derive(Debug)]
pub(super) struct Guard {
    allowed: Vec<Allowed>,
}

impl Guard {
    pub(super) fn new(allowed: Vec<Allowed>) -> Self {
        Self { allowed }
    }

    /// What can be said of a URL before a name in it is resolved.
    pub(super) fn admit(&self, url: &Url) -> Result<(), Forbidden> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Forbidden::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Forbidden::Credentials);
        }
        let host = url.host_str().unwrap_or_default();
        // The parser has turned `2130706433`, `0x7f.1` and the like into dotted form already.
        // A name needs its own entry for plain http: what it resolves to is not known yet.
        let literal: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        let named = literal.map_or_else(|| self.names(host), |ip| self.contains(ip));
        match literal {
            Some(ip) if !named && !is_public(ip) => Err(Forbidden::Private),
            _ if !named && url.scheme() == "http" => Err(Forbidden::Plain),
            _ => Ok(()),
        }
    }

    fn names(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        self.allowed.iter().any(|it| matches!(it, Allowed::Host(name) if name.eq_ignore_ascii_case(host)))
    }

    fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.allowed.iter().any(|it| matches!(it, Allowed::Net(net) if net.contains(&ip)))
    }

    /// The addresses of a name that may be connected to. One private among public ones is an attack or a mistake: all are refused.
    fn filter(&self, name: &str, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Forbidden> {
        let fine = self.names(name) || addresses.iter().all(|it| is_public(it.ip()) || self.contains(it.ip()));
        if fine { Ok(addresses) } else { Err(Forbidden::Private) }
    }
}

/// What reqwest asks for addresses: once for each connection, and it connects to nothing else than what it is told.
#[derive(Clone)]
pub(super) struct Resolver {
    guard: Arc<Guard>,
    look_up: LookUp,
}

/// Whom it asks.
type LookUp = Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> + Send + Sync>;

impl Resolver {
    /// Of the system.
    pub(super) fn new(guard: Arc<Guard>) -> Self {
        let look_up: LookUp = Arc::new(|name| {
            // Port 0: the connection takes it from the URL.
            Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
        });
        Self { guard, look_up }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, found) = (self.guard.clone(), (self.look_up)(name.as_str().to_owned()));
        Box::pin(async move {
            let addresses = guard.filter(name.as_str(), found.await.map_err(LookupFailed)?)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// True for addresses that the Internet routes: not those that the registries of special-purpose addresses (RFC 6890)
/// set apart, nor IPv6 addresses that only carry such an IPv4 address.
pub fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let special = match ip.octets() {
        [0 | 10 | 127 | 224..=255, ..] => true,
        // Shared by a provider's customers (RFC 6598).
        [100, second, ..] => (64..128).contains(&second),
        // The metadata services of clouds live in 169.254.
        [169, 254, ..] => true,
        [172, second, ..] => (16..32).contains(&second),
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [192, 168, ..] => true,
        [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        _ => false,
    };
    !special
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    let low = Ipv4Addr::from_bits(u32::from(segments[6]) << 16 | u32::from(segments[7]));
    match segments {
        // NAT64 (RFC 6052) and 6to4 (RFC 3056) lead to the IPv4 address inside.
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => is_public_v4(low),
        [0x2002, high, second, ..] => is_public_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(second))),
        // Teredo and others of 2001::/23, documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // All that is routed today lies in 2000::/3.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(allowed: &[&str], url: &str) -> Result<(), Forbidden> {
        Guard::new(allowed.iter().map(|it| it.parse().unwrap()).collect()).admit(&Url::parse(url).unwrap())
    }

    #[test]
    fn no_spelling_of_a_private_address_passes() {
        for host in [
            "127.0.0.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "127.1",
            "0",
            "10.1.2.3",
            "100.64.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.168.0.1",
            "192.0.0.192",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:7f00:1::]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[ff02::1]",
            "[2001:db8::1]",
        ] {
            assert_eq!(admit(&[], &format!("https://{host}/")), Err(Forbidden::Private), "{host}");
        }
        for host in ["93.184.215.14", "172.32.0.1", "100.128.0.1", "[2606:4700::1111]", "[2002:5db8:d822::1]", "example.com"] {
            assert_eq!(admit(&[], &format!("https://{host}/")), Ok(()), "{host}");
        }
    }

    #[test]
    fn what_the_settings_name_passes_and_nothing_else() {
        let allowed = ["erp.internal", "10.0.0.0/8", "127.0.0.1", "fd00::/8"];
        for url in
            ["http://10.9.8.7/", "http://127.0.0.1:8069/", "http://[::ffff:127.0.0.1]/", "https://[fd00::1]/", "http://ERP.internal./"]
        {
            assert_eq!(admit(&allowed, url), Ok(()), "{url}");
        }
        for url in ["https://127.0.0.2/", "https://192.168.0.1/", "https://[fe80::1]/"] {
            assert_eq!(admit(&allowed, url), Err(Forbidden::Private), "{url}");
        }
        for slip in ["", "10.0.0.0/33", "10.0", "http://erp.internal", "erp internal"] {
            assert!(slip.parse::<Allowed>().is_err(), "{slip}");
        }
    }

    #[test]
    fn secrets_travel_neither_in_the_clear_nor_in_the_url() {
        assert_eq!(admit(&[], "http://example.com/"), Err(Forbidden::Plain));
        assert_eq!(admit(&["127.0.0.1"], "http://93.184.215.14/"), Err(Forbidden::Plain));
        assert_eq!(admit(&["erp.internal"], "https://erp.internal@example.com/"), Err(Forbidden::Credentials));
        assert_eq!(admit(&[], "https://user:pass@example.com/"), Err(Forbidden::Credentials));
        assert_eq!(admit(&[], "ftp://example.com/"), Err(Forbidden::Scheme));
    }

    /// A name server that gives a public address to whoever checks, and a private one to whoever connects.
    #[tokio::test]
    async fn a_name_that_is_rebound_is_refused_by_the_look_up_that_the_connection_is_made_from() {
        let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = asked.clone();
        let look_up: LookUp = Arc::new(move |_| {
            let ip = ["93.184.215.14", "127.0.0.1"][count.fetch_add(1, std::sync::atomic::Ordering::SeqCst).min(1)];
            Box::pin(async move { Ok(vec![SocketAddr::new(ip.parse().unwrap(), 0)]) })
        });
        let resolver = Resolver { guard: Arc::new(Guard::new(Vec::new())), look_up };
        let resolve = async || resolver.resolve("rebound.example.com".parse().unwrap()).await.map(Iterator::collect::<Vec<_>>);
        assert_eq!(resolve().await.unwrap(), ["93.184.215.14:0".parse().unwrap()]);
        for _ in 0..2 {
            assert_eq!(resolve().await.unwrap_err().downcast_ref(), Some(&Forbidden::Private));
        }
        // Admitting a URL looks nothing up: there is no answer to be kept from then.
        assert_eq!(admit(&[], "https://rebound.example.com/"), Ok(()));
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 3);
    }

    #[test]
    fn a_name_with_one_private_address_is_refused_as_a_whole() {
        let guard = Guard::new(vec!["erp.internal".parse().unwrap(), "10.0.0.0/8".parse().unwrap()]);
        let at = |ips: &[&str]| -> Vec<SocketAddr> { ips.iter().map(|it| SocketAddr::new(it.parse().unwrap(), 0)).collect() };
        assert!(guard.filter("shop.example.com", at(&["93.184.215.14"])).is_ok());
        assert!(guard.filter("shop.example.com", at(&["93.184.215.14", "10.1.1.1"])).is_ok(), "its network is allowed");
        assert_eq!(guard.filter("shop.example.com", at(&["93.184.215.14", "127.0.0.1"])), Err(Forbidden::Private));
        assert!(guard.filter("erp.internal", at(&["192.168.1.1"])).is_ok(), "its name is allowed");
    }
}
