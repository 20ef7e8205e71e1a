//! Whose origin a request is for: the host's own, or a site's. It doesn't look whether the site
//! exists, and never lets a site's name reach the API.

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

/// What `Host` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// The API and the gallery: whatever isn't a site's name.
    Main(Option<Authority>),
    /// A name below `localhost` or `DOMAIN`: the part before it, in lowercase.
    Site(String),
    /// More than one `Host`, or one that isn't text.
    Malformed,
}

/// A host's name, in lowercase without a dot at its end, and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) name: String,
    pub(crate) port: Option<u16>,
}

impl Authority {
    /// From `name`, `name:port`, `[::1]:port`. None where it is none of them.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => (name, Some(port.parse().ok()?)),
            _ => (text, None),
        };
        let bracketed = name.starts_with('[') && name.ends_with(']');
        if name.is_empty() || (!bracketed && name.contains([':', '/', '@', '?', '#'])) {
            return None;
        }
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        Some(Self { name, port })
    }

    /// Of an `Origin`: `http://name:port`. None for `null` and other schemes.
    pub(crate) fn of_origin(origin: &str) -> Option<Self> {
        let rest = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))?;
        Self::parse(rest)
    }

    /// Whether it is a name of this machine that no other can have.
    pub(crate) fn is_loopback(&self) -> bool {
        matches!(self.name.as_str(), "localhost" | "127.0.0.1" | "[::1]")
    }
}

/// What this request names.
pub(crate) fn named(parts: &Parts, domain: Option<&str>) -> Named {
    let authority = match parts.uri.authority() {
        Some(authority) => Authority::parse(authority.as_str()),
        None => match one(&parts.headers, header::HOST) {
            Ok(None) => return Named::Main(None),
            Ok(Some(text)) => Authority::parse(text),
            Err(()) => None,
        },
    };
    let Some(authority) = authority else {
        return Named::Malformed;
    };
    let below = |parent: &str| {
        let name = authority.name.strip_suffix(parent)?;
        name.strip_suffix('.').map(str::to_owned)
    };
    match below("localhost").or_else(|| below(domain?)) {
        Some(name) => Named::Site(name),
        None => Named::Main(Some(authority)),
    }
}

/// The only value of a header, `Err` where there are several or it isn't text.
pub(crate) fn one(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<&str>, ()> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(drop),
        (Some(_), Some(_)) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn of(host: &str) -> Named {
        let request = Request::get("/").header("host", host).body(()).unwrap();
        named(&request.into_parts().0, Some("games.example"))
    }

    fn site(name: &str) -> Named {
        Named::Site(name.to_owned())
    }

    #[test]
    fn names_below_localhost_and_the_domain_are_sites() {
        assert_eq!(of("keeper.localhost:3000"), site("keeper"));
        assert_eq!(of("KEEPER.LocalHost."), site("keeper"));
        assert_eq!(of("keeper.games.example"), site("keeper"));
        assert_eq!(of("a.b.localhost"), site("a.b"));
        assert_eq!(of(".localhost"), site(""));
    }

    #[test]
    fn other_names_are_the_hosts_own() {
        for host in [
            "localhost:3000",
            "127.0.0.1",
            "[::1]:3000",
            "games.example",
            "notlocalhost",
            "xgames.example",
        ] {
            assert!(matches!(of(host), Named::Main(Some(_))), "{host}");
        }
        assert_eq!(Authority::parse("[::1]:80").unwrap().port, Some(80));
        assert_eq!(Authority::parse("[::1]").unwrap().name, "[::1]");
    }

    #[test]
    fn nonsense_is_neither() {
        for host in ["a:b", "a:99999", "", "a@localhost", "::1", "a/b"] {
            assert_eq!(of(host), Named::Malformed, "{host}");
        }
        let request = Request::get("/")
            .header("host", "a")
            .header("host", "b")
            .body(())
            .unwrap();
        assert_eq!(named(&request.into_parts().0, None), Named::Malformed);
    }

    #[test]
    fn a_full_address_in_the_request_line_rules() {
        let request = Request::get("http://keeper.localhost/x")
            .header("host", "localhost")
            .body(())
            .unwrap();
        assert_eq!(named(&request.into_parts().0, None), site("keeper"));
    }
}
