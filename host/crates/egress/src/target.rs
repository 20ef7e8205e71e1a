//! What a request asks for, and whether the list allows it: decided by the words alone, before
//! anything is resolved.

use std::fmt;
use std::net::IpAddr;

use hyper::{Method, Uri};
use pipeline::{NetworkCap, Reach};

use crate::refusal::Refusal;

/// A name and a port, as they are compared and resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// In lowercase, without a dot at its end.
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

/// Reads what a request asks for.
pub(crate) fn asked(method: &Method, uri: &Uri) -> Result<Target, Refusal> {
    if method != Method::CONNECT {
        return Err(Refusal::NotConnect);
    }
    let authority = uri.authority().ok_or(Refusal::NoTarget)?;
    let (host, port) = (authority.host(), authority.port_u16());
    let (Some(port @ 1..), false) = (port, authority.as_str().contains('@')) else {
        return Err(Refusal::NoTarget);
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return Err(Refusal::Address);
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    Ok(Target { name, port })
}

/// Whether the phase lists it, and the operator lets it be listed.
pub(crate) fn is_allowed(
    target: &Target,
    listed: &[Reach],
    cap: &NetworkCap,
) -> Result<(), Refusal> {
    let Target { name, port } = target;
    if !listed.iter().any(|entry| entry.allows(name, *port)) {
        return Err(Refusal::NotListed);
    }
    match cap.allows(name, *port) {
        true => Ok(()),
        false => Err(Refusal::BeyondCap),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(method: &str, uri: &str) -> Result<String, Refusal> {
        let uri = uri.parse().unwrap();
        let target = asked(&method.parse().unwrap(), &uri)?;
        let listed = ["npm", "*.example.com", "example.org:8443"];
        let listed: Vec<Reach> = listed.iter().map(|entry| entry.parse().unwrap()).collect();
        let cap = "npm, *.example.com, *.a.example.com, example.org:8443, none.example";
        is_allowed(&target, &listed, &cap.parse().unwrap())?;
        Ok(target.to_string())
    }

    #[test]
    fn what_is_listed_is_allowed_however_it_is_written() {
        for (asked, target) in [
            ("registry.npmjs.org:443", "registry.npmjs.org:443"),
            ("Registry.NPMJS.org.:443", "registry.npmjs.org:443"),
            ("a.b.example.com:443", "a.b.example.com:443"),
            ("example.org:8443", "example.org:8443"),
        ] {
            assert_eq!(judged("CONNECT", asked).unwrap(), target);
        }
    }

    #[test]
    fn what_is_not_is_refused_with_its_reason() {
        for (method, asked, refusal) in [
            ("GET", "http://registry.npmjs.org/", Refusal::NotConnect),
            ("POST", "/", Refusal::NotConnect),
            ("CONNECT", "/", Refusal::NoTarget),
            ("CONNECT", "registry.npmjs.org", Refusal::NoTarget),
            ("CONNECT", "registry.npmjs.org:0", Refusal::NoTarget),
            ("CONNECT", "registry.npmjs.org:99999", Refusal::NoTarget),
            ("CONNECT", "u:p@registry.npmjs.org:443", Refusal::NoTarget),
            ("CONNECT", "127.0.0.1:443", Refusal::Address),
            ("CONNECT", "93.184.216.34:443", Refusal::Address),
            ("CONNECT", "[::1]:443", Refusal::Address),
            ("CONNECT", "2130706433:443", Refusal::NotListed),
            ("CONNECT", "127.1:443", Refusal::NotListed),
            ("CONNECT", "localhost:443", Refusal::NotListed),
            ("CONNECT", "example.com:443", Refusal::NotListed),
            ("CONNECT", "example.org:443", Refusal::NotListed),
            ("CONNECT", "registry.npmjs.org:80", Refusal::NotListed),
            (
                "CONNECT",
                "registry.npmjs.org.evil.example:443",
                Refusal::NotListed,
            ),
            ("CONNECT", "none.example:443", Refusal::NotListed),
            ("CONNECT", "registry.npmjs.org..:443", Refusal::NotListed),
        ] {
            assert_eq!(
                judged(method, asked).unwrap_err(),
                refusal,
                "{method} {asked}"
            );
        }
        let target = Target {
            name: "a.example".into(),
            port: 443,
        };
        let listed = ["a.example".parse().unwrap()];
        let refused = is_allowed(&target, &listed, &"npm".parse().unwrap());
        assert_eq!(refused.unwrap_err(), Refusal::BeyondCap);
    }
}
