//! One host name of a list, or all names below one, with a port. What it says of a name that it
//! refuses is for who wrote the list.

use super::Registry;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Where nothing else is said: HTTPS.
const HTTPS: u16 = 443;

/// Names that resolve to nothing public, by their nature.
const LOCAL: [&str; 6] = [
    "localhost",
    "local",
    "internal",
    "home.arpa",
    "onion",
    "invalid",
];

/// Second labels under which a country's registry lets others register: `co.uk`, `com.au`.
const REGISTERED_UNDER: [&str; 14] = [
    "ac", "co", "com", "edu", "gob", "gov", "go", "mil", "ne", "net", "nom", "or", "org", "sch",
];

/// Domains under which anybody can have a name at once. There are more: the public suffix list
/// has thousands.
const SHARED: [&str; 19] = [
    "amazonaws.com",
    "appspot.com",
    "azurewebsites.net",
    "cloudfront.net",
    "core.windows.net",
    "fastly.net",
    "firebaseapp.com",
    "github.io",
    "gitlab.io",
    "herokuapp.com",
    "netlify.app",
    "ngrok.io",
    "onrender.com",
    "pages.dev",
    "run.app",
    "s3.amazonaws.com",
    "vercel.app",
    "web.app",
    "workers.dev",
];

/// A host name with a port, exact or with a star for its first labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostRule {
    /// In lowercase, without a dot at its end.
    name: String,
    /// Names below `name`, and not `name` itself.
    below: bool,
    port: u16,
}

impl HostRule {
    /// This name alone, at port 443.
    pub(super) fn exactly(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            below: false,
            port: HTTPS,
        }
    }

    /// Whether it allows a connection to that name, in lowercase, and port.
    pub(super) fn allows(&self, name: &str, port: u16) -> bool {
        port == self.port
            && match self.below {
                true => is_below(name, &self.name),
                false => name == self.name,
            }
    }

    /// Whether all that `other` allows is allowed by this one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let same = self.below == other.below && self.name == other.name;
        self.port == other.port && (same || self.below && is_below(&other.name, &self.name))
    }
}

fn is_below(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain)
        .is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'))
}

impl FromStr for HostRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{}` {why}", text.escape_debug()));
        if let Some((_, rest)) = text.split_once("://") {
            let name = rest.split(['/', '?', '#']).next().unwrap_or_default();
            return wrong(&format!(
                "is an address of a page: list the name alone, `{name}`"
            ));
        }
        if is_address(text) {
            return wrong("is an address: only names can be listed");
        }
        let (name, port) = match text.rsplit_once(':') {
            None => (text, HTTPS),
            Some((name, port)) => match port.parse() {
                Ok(number) if number > 0 && !port.starts_with('+') => (name, number),
                _ => return wrong("has a port that isn't a number from 1 to 65535"),
            },
        };
        if is_address(name) {
            return wrong("is an address: only names can be listed");
        }
        let (name, below) = match name.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (name, false),
        };
        if name.contains('*') {
            return wrong("has its star in the wrong place: only `*.example.com` is understood");
        }
        if name.chars().any(|c| c.is_ascii_uppercase()) {
            return wrong("must be in lowercase");
        }
        if !name.is_ascii() {
            return wrong("isn't ASCII: list its form that begins with `xn--`");
        }
        if name.contains('/') {
            return wrong("has a path: a name is listed as a whole");
        }
        if below && is_too_wide(name) {
            return wrong(
                "is too wide: anybody can have a name under it; list the names, or a longer one",
            );
        }
        if !name.contains('.') && !LOCAL.contains(&name) {
            let words = Registry::words();
            return wrong(&format!(
                "is neither a host name, which has a dot, nor a registry's word: {words}"
            ));
        }
        if let Some(why) = bad_name(name) {
            return wrong(why);
        }
        Ok(Self {
            name: name.to_owned(),
            below,
            port,
        })
    }
}

fn is_address(text: &str) -> bool {
    let bare = text
        .strip_prefix('[')
        .map_or(text, |rest| rest.split(']').next().unwrap_or(rest));
    let network = bare.split('/').next().unwrap_or(bare);
    network.parse::<IpAddr>().is_ok()
}

fn is_too_wide(domain: &str) -> bool {
    let labels: Vec<&str> = domain.split('.').collect();
    match labels[..] {
        [_] => true,
        [second, country] if country.len() == 2 => {
            REGISTERED_UNDER.contains(&second) || SHARED.contains(&domain)
        }
        _ => SHARED.contains(&domain),
    }
}

/// Why this isn't a name on the public internet; none where it may be one.
fn bad_name(name: &str) -> Option<&'static str> {
    let label_fits = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    let is_local = |local: &str| name == local || is_below(name, local);
    // As browsers and resolvers read it: such a name is a number in disguise.
    let last = name.rsplit('.').next().unwrap_or_default();
    let digits = last.strip_prefix("0x").unwrap_or(last);
    if name.ends_with('.') {
        Some("ends in a dot: leave it out")
    } else if name.len() > 253 || !name.split('.').all(label_fits) {
        Some("isn't a host name: letters, digits and hyphens between dots, 253 characters at most")
    } else if last.bytes().all(|c| c.is_ascii_digit())
        || last.starts_with("0x") && digits.bytes().all(|c| c.is_ascii_hexdigit())
    {
        Some("is an address: only names can be listed")
    } else if LOCAL.iter().any(|local| is_local(local)) {
        Some("is a name of this machine or of a private network, which is never reached")
    } else {
        None
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.below { "*." } else { "" };
        write!(f, "{star}{}", self.name)?;
        match self.port {
            HTTPS => Ok(()),
            port => write!(f, ":{port}"),
        }
    }
}
