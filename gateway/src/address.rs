//! From which address a request comes, and what counts as one.
//!
//! `X-Forwarded-For` can be written by anybody: it is believed only as far as configured proxies have written it.
//! `Forwarded` (RFC 7239) is not read: of two headers one could contradict the other.

use anyhow::{Context, Error, Result, ensure};
use http::{HeaderMap, HeaderName};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// What a network gives to one customer; within it they choose addresses as they like.
const IPV6_CUSTOMER_BITS: u8 = 64;
const ADDRESS_BITS: u8 = 128;
/// Of an IPv4 address that is written as IPv6.
const IPV4_MAPPED_BITS: u8 = 96;

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// `10.0.0.0/8`, `fd00::/8`, or one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    /// In the space of IPv6, where IPv4 is mapped.
    address: u128,
    bits: u8,
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        (mapped(address) ^ self.address) & mask(self.bits) == 0
    }
}

impl FromStr for Network {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().with_context(|| format!("{text}: no address"))?;
        let before = if address.is_ipv4() { IPV4_MAPPED_BITS } else { 0 };
        let bits = match bits {
            Some(bits) => bits.trim().parse().ok().and_then(|bits: u8| bits.checked_add(before)),
            None => Some(ADDRESS_BITS),
        };
        let bits = bits.filter(|bits| *bits <= ADDRESS_BITS).with_context(|| format!("{text}: no such prefix"))?;
        let address = mapped(address);
        ensure!(address & !mask(bits) == 0, "{text}: the address has bits behind the prefix");
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = Ipv6Addr::from_bits(self.address);
        match address.to_ipv4_mapped().zip(self.bits.checked_sub(IPV4_MAPPED_BITS)) {
            Some((address, bits)) => write!(f, "{address}/{bits}"),
            None => write!(f, "{address}/{}", self.bits),
        }
    }
}

/// The address that a request comes from: of the peer and of those that `X-Forwarded-For` names, the last one that is no
/// trusted proxy's. Where it names something that is no address, the peer's.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    if !is_in(peer, trusted) {
        return peer.to_canonical();
    }
    let mut client = peer;
    // Each proxy writes behind what it was given, on the same line or on one more.
    for line in headers.get_all(FORWARDED_FOR).iter().rev() {
        for entry in line.as_bytes().rsplit(|byte| *byte == b',') {
            let Some(address) = std::str::from_utf8(entry).ok().and_then(forwarded) else { return peer.to_canonical() };
            client = address;
            if !is_in(address, trusted) {
                return client.to_canonical();
            }
        }
    }
    client.to_canonical()
}

/// With a port too, as some proxies write it.
fn forwarded(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']')).unwrap_or(entry);
    bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// What counts as one: an IPv4 address, also one written as IPv6; of IPv6 the network of a customer.
pub(crate) fn subject(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() & mask(IPV6_CUSTOMER_BITS),
    }
}

pub(crate) fn is_in(address: IpAddr, networks: &[Network]) -> bool {
    networks.iter().any(|network| network.contains(address))
}

fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn mask(bits: u8) -> u128 {
    u128::MAX.checked_shl(u32::from(ADDRESS_BITS - bits)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn from(peer: &str, lines: &[&'static str], trusted: &[&str]) -> String {
        let headers = lines.iter().map(|line| (FORWARDED_FOR, HeaderValue::from_static(line))).collect();
        let trusted = trusted.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        client(ip(peer), &headers, &trusted).to_string()
    }

    #[test]
    fn what_a_stranger_writes_is_not_believed() {
        assert_eq!(from("192.0.2.1", &["198.51.100.7"], &[]), "192.0.2.1");
        assert_eq!(from("192.0.2.1", &["198.51.100.7"], &["10.0.0.0/8"]), "192.0.2.1");
    }

    #[test]
    fn behind_trusted_proxies_it_is_the_last_one_that_is_none() {
        let trusted = ["10.0.0.0/8", "fd00::/8"];
        for (lines, expected) in [
            (&["198.51.100.7"][..], "198.51.100.7"),
            (&["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
            (&["1.1.1.1, 198.51.100.7, 10.1.1.1,fd00::1"], "198.51.100.7"),
            (&["1.1.1.1", "198.51.100.7", "10.1.1.1"], "198.51.100.7"),
            (&["198.51.100.7:4711"], "198.51.100.7"),
            (&["[2001:db8::7]:4711"], "2001:db8::7"),
            (&["[2001:db8::7]"], "2001:db8::7"),
            (&["::ffff:198.51.100.7"], "198.51.100.7"),
            (&["nonsense, 198.51.100.7"], "198.51.100.7"),
            (&["10.9.9.9, 10.1.1.1"], "10.9.9.9"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(from("10.0.0.1", lines, &trusted), expected, "{lines:?}");
        }
        assert_eq!(from("::ffff:10.0.0.1", &["198.51.100.7"], &trusted), "198.51.100.7");
    }

    #[test]
    fn where_a_proxy_has_written_nonsense_it_is_the_peer() {
        for line in ["unknown", "", "198.51.100.7,", "198.51.100.7, _hidden", "198.51.100.777"] {
            assert_eq!(from("10.0.0.1", &[line], &["10.0.0.0/8"]), "10.0.0.1", "{line}");
        }
    }

    #[test]
    fn a_customers_network_counts_as_one() {
        let same = |one: &str, other: &str| subject(ip(one)) == subject(ip(other));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2") && !same("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
        assert!(!same("0.0.0.0", "::"));
    }

    #[test]
    fn networks_are_read_and_written() {
        for text in ["10.0.0.0/8", "192.0.2.1/32", "0.0.0.0/0", "fd00::/8", "::1/128", "::/0"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        assert_eq!("192.0.2.1".parse::<Network>().unwrap().to_string(), "192.0.2.1/32");
        for bad in ["", "x", "10.0.0.1/8", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/250"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        assert!(!"0.0.0.0/0".parse::<Network>().unwrap().contains(ip("2001:db8::1")));
    }
}
