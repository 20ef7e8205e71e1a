//! Which addresses are nobody's on the public internet, by the registries of special-purpose
//! addresses of the IANA (RFC 6890 and its followers). A list of what may be connected to for
//! IPv6, and of what may not for IPv4. It asks nobody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network's address, the length of its prefix, and what it is.
type V4 = ([u8; 4], u32, &'static str);
type V6 = ([u16; 3], u32, &'static str);

const METADATA: &str = "a cloud's metadata address";

const NOT_PUBLIC_V4: &[V4] = &[
    ([169, 254, 169, 254], 32, METADATA),
    ([168, 63, 129, 16], 32, METADATA),
    ([100, 100, 100, 200], 32, METADATA),
    ([192, 0, 0, 192], 32, METADATA),
    ([0, 0, 0, 0], 8, "an unspecified address"),
    ([10, 0, 0, 0], 8, "a private address"),
    ([100, 64, 0, 0], 10, "a carrier's private address"),
    ([127, 0, 0, 0], 8, "a loopback address"),
    ([169, 254, 0, 0], 16, "a link-local address"),
    ([172, 16, 0, 0], 12, "a private address"),
    ([192, 0, 0, 0], 24, "an address reserved for protocols"),
    ([192, 0, 2, 0], 24, "an address for documentation"),
    ([192, 88, 99, 0], 24, "a relay's address"),
    ([192, 168, 0, 0], 16, "a private address"),
    ([198, 18, 0, 0], 15, "an address for benchmarks"),
    ([198, 51, 100, 0], 24, "an address for documentation"),
    ([203, 0, 113, 0], 24, "an address for documentation"),
    ([224, 0, 0, 0], 4, "a multicast address"),
    ([240, 0, 0, 0], 4, "a reserved address"),
];

/// All that is given out for hosts on the internet.
const GLOBAL_V6: V6 = ([0x2000, 0, 0], 3, "");

/// Of [`GLOBAL_V6`], what isn't, and what hides an IPv4 address.
const NOT_PUBLIC_V6: &[V6] = &[
    ([0x2001, 0x0db8, 0], 32, "an address for documentation"),
    ([0x2001, 0, 0], 23, "an address reserved for protocols"),
    ([0x2002, 0, 0], 16, "a relay's address"),
    ([0x3fff, 0, 0], 20, "an address for documentation"),
];

/// Why this address may not be connected to; none where it is one of the public internet. An
/// IPv6 address that stands for an IPv4 one is judged by that.
#[must_use]
pub fn not_public(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => not_public_v4(address),
        IpAddr::V6(address) => match stands_for(address) {
            Some(address) => not_public_v4(address),
            None => not_public_v6(address),
        },
    }
}

fn not_public_v4(address: Ipv4Addr) -> Option<&'static str> {
    let bits = address.to_bits();
    let within = |(network, prefix, _): &&V4| {
        let network = u32::from_be_bytes(*network);
        (bits ^ network) >> (32 - prefix) == 0
    };
    NOT_PUBLIC_V4.iter().find(within).map(|(_, _, what)| *what)
}

fn not_public_v6(address: Ipv6Addr) -> Option<&'static str> {
    if !is_within(address, &GLOBAL_V6) {
        return Some(kind_v6(address));
    }
    let found = NOT_PUBLIC_V6.iter().find(|net| is_within(address, net));
    found.map(|(_, _, what)| *what)
}

fn is_within(address: Ipv6Addr, (network, prefix, _): &V6) -> bool {
    let high = |segments: &[u16]| {
        segments
            .iter()
            .take(3)
            .fold(0_u64, |bits, segment| bits << 16 | u64::from(*segment))
    };
    (high(&address.segments()) ^ high(network)) >> (48 - prefix) == 0
}

/// The IPv4 address that the kernel (mapped) or a translator (64:ff9b::/96, RFC 6052) would
/// connect to for this one.
fn stands_for(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    let mapped = [a, b, c, d, e, f] == [0, 0, 0, 0, 0, 0xffff];
    let translated = [a, b, c, d, e, f] == [0x64, 0xff9b, 0, 0, 0, 0];
    let bits = u32::from(high) << 16 | u32::from(low);
    (mapped || translated).then(|| Ipv4Addr::from_bits(bits))
}

/// What an address outside of [`GLOBAL_V6`] is, for people.
fn kind_v6(address: Ipv6Addr) -> &'static str {
    if address.is_loopback() {
        "a loopback address"
    } else if address.is_unspecified() {
        "an unspecified address"
    } else if address.is_multicast() {
        "a multicast address"
    } else if address.is_unicast_link_local() {
        "a link-local address"
    } else if address.is_unique_local() {
        "a private address"
    } else {
        "a reserved address"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_the_public_internet_is_refused() {
        for (address, said) in [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("10.0.0.0", "private"),
            ("10.255.255.255", "private"),
            ("100.64.0.1", "carrier"),
            ("100.127.255.255", "carrier"),
            ("100.100.100.200", "metadata"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("168.63.129.16", "metadata"),
            ("169.254.169.254", "metadata"),
            ("169.254.170.2", "link-local"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.1", "protocols"),
            ("192.0.0.192", "metadata"),
            ("192.0.2.1", "documentation"),
            ("192.88.99.1", "relay"),
            ("192.168.1.1", "private"),
            ("198.18.0.1", "benchmarks"),
            ("198.19.255.255", "benchmarks"),
            ("198.51.100.7", "documentation"),
            ("203.0.113.7", "documentation"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::7f00:1", "reserved"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:10.0.0.1", "private"),
            ("::ffff:169.254.169.254", "metadata"),
            ("::ffff:0:127.0.0.1", "reserved"),
            ("64:ff9b::7f00:1", "loopback"),
            ("64:ff9b::a9fe:a9fe", "metadata"),
            ("64:ff9b::c0a8:101", "private"),
            ("64:ff9b:1::1", "reserved"),
            ("100::1", "reserved"),
            ("2001::1", "protocols"),
            ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "protocols"),
            ("2001:2::1", "protocols"),
            ("2001:10::1", "protocols"),
            ("2001:20::1", "protocols"),
            ("2001:1ff:ffff::1", "protocols"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::", "relay"),
            ("2002:a9fe:a9fe::1", "relay"),
            ("3fff:fff::1", "documentation"),
            ("4000::1", "reserved"),
            ("5f00::1", "reserved"),
            ("fc00::1", "private"),
            ("fd00:ec2::254", "private"),
            ("fd20:ce::254", "private"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "reserved"),
            ("ff02::1", "multicast"),
        ] {
            let why = not_public(address.parse().unwrap());
            assert!(
                why.is_some_and(|why| why.contains(said)),
                "{address}: {why:?}"
            );
        }
    }

    #[test]
    fn what_lies_beside_it_is_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.112.255",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2000::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2001:db7:ffff::1",
            "2001:db9::1",
            "2003::1",
            "2606:4700::1111",
            "3ffe::1",
            "3fff:1000::1",
        ] {
            assert_eq!(not_public(address.parse().unwrap()), None, "{address}");
        }
    }
}
