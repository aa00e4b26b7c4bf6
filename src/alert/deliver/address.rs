//! Addresses that a receiver may have.
//!
//! A name is resolved first, then every address that it has is checked, and the connection goes to
//! a checked one: a name that answers differently the second time gains nothing. Private and
//! link-local networks are refused unless the receiver says that it is there, so that a URL cannot
//! be used to reach what only this machine can.

use std::{
    error::Error as StdError,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// An address that is not spoken to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} is at {address}, {what}: if that is meant, set `allow_private_addresses: true`")]
pub struct Refused {
    pub host: String,
    pub address: IpAddr,
    pub what: &'static str,
}

/// Resolves names by the system and refuses what [`check`] refuses.
#[derive(Debug, Clone, Copy)]
pub struct Guard {
    pub allow_private: bool,
}

/// Says what is wrong with an address that is not on the public internet.
pub fn check(host: &str, address: IpAddr) -> Result<(), Refused> {
    let what = match address {
        IpAddr::V4(v4) => of_v4(v4),
        IpAddr::V6(v6) => of_v6(v6),
    };
    match what {
        None => Ok(()),
        Some(what) => Err(Refused {
            host: host.to_owned(),
            address,
            what,
        }),
    }
}

/// The refusal within an error of the HTTP client.
pub fn refusal<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Refused> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(refused);
        }
        at = error.source();
    }
    None
}

fn of_v4(v4: Ipv4Addr) -> Option<&'static str> {
    let octets = v4.octets();
    match octets {
        [127, ..] => Some("this machine"),
        [169, 254, ..] => Some("a link-local address"),
        [10, ..] | [192, 168, ..] => Some("a private address"),
        [172, b, ..] if (16..32).contains(&b) => Some("a private address"),
        [100, b, ..] if (64..128).contains(&b) => Some("a shared address of a carrier"),
        [0, ..] => Some("no address of a host"),
        [192, 0, 0, _] | [198, 18 | 19, ..] => Some("a reserved address"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => {
            Some("an address of documentation")
        }
        [a, ..] if a >= 224 => Some("a multicast or reserved address"),
        _ => None,
    }
}

fn of_v6(v6: Ipv6Addr) -> Option<&'static str> {
    if let Some(v4) = inner_v4(v6) {
        return of_v4(v4);
    }
    let segments = v6.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("this machine"),
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("no address of a host"),
        [a, ..] if a & 0xffc0 == 0xfe80 => Some("a link-local address"),
        [a, ..] if a & 0xffc0 == 0xfec0 => Some("a site-local address"),
        [a, ..] if a & 0xfe00 == 0xfc00 => Some("a private address"),
        [a, ..] if a & 0xff00 == 0xff00 => Some("a multicast address"),
        [0x2001, 0x0db8, ..] | [0x3fff, ..] => Some("an address of documentation"),
        [0x0100, 0, 0, 0, ..] => Some("a reserved address"),
        _ => None,
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64 or 6to4.
fn inner_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => Some(of(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(of(high, low)),
        [0x64, 0xff9b, 0 | 1, _, _, _, high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => None,
    }
}

// === impl Guard ===

impl Guard {
    /// The addresses of a host, all of them checked; a host may be an address itself.
    pub async fn resolve(self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found: Vec<SocketAddr> = tokio::net::lookup_host((bare, port))
            .await
            .map_err(|error| ResolveError::NotFound(host.to_owned(), error.to_string()))?
            .collect();
        if found.is_empty() {
            return Err(ResolveError::NotFound(
                host.to_owned(),
                "it has no address".to_owned(),
            ));
        }
        if !self.allow_private {
            // One bad address among good ones is reason enough.
            found
                .iter()
                .try_for_each(|address| check(host, address.ip()))?;
        }
        Ok(found)
    }
}

/// A name that leads nowhere, or where it must not.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error("cannot resolve {0}: {1}")]
    NotFound(String, String),
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = *self;
        Box::pin(async move {
            let found = Guard::resolve(guard, name.as_str(), 0).await;
            match found {
                Ok(found) => Ok(Box::new(found.into_iter()) as Addrs),
                Err(ResolveError::Refused(refused)) => Err(refused.into()),
                Err(error) => Err(error.into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_this_machine_reaches_is_refused_in_every_spelling() {
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a00:1",
            "2002:a9fe:a9fe::1",
        ] {
            assert!(check("h", address.parse().unwrap()).is_err(), "{address}");
        }
        for address in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "64:ff9b::101:101",
        ] {
            assert!(check("h", address.parse().unwrap()).is_ok(), "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_is_checked_by_its_addresses() {
        let guard = Guard {
            allow_private: false,
        };
        let error = guard.resolve("localhost", 80).await.unwrap_err();
        assert!(matches!(error, ResolveError::Refused(_)), "{error}");
        let guard = Guard {
            allow_private: true,
        };
        assert!(!guard.resolve("localhost", 80).await.unwrap().is_empty());
    }
}
