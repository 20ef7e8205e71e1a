//! What an agent may reach by name: the entries of a phase's `network`, and whether they allow a
//! target. It resolves nothing; which addresses may be connected to is the egress' matter.

mod host;
mod registry;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

pub use host::HostRule;
pub use registry::Registry;

/// Entries of one list.
const MOST_ENTRIES: usize = 64;

/// What the agent may reach beside its model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Nothing: no interface but loopback.
    #[default]
    None,
    /// These names, through the host.
    Names(Vec<Reach>),
}

/// One entry of a list: a registry's word, a host name, or the names below one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// `npm`.
    Registry(Registry),
    /// `example.com`, `*.example.com`, `example.com:8443`.
    Host(HostRule),
}

/// The most that pipelines may list on a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NetworkCap {
    /// Whatever a pipeline lists.
    #[default]
    Any,
    /// These, and what lies within them.
    Only(Vec<Reach>),
}

impl Network {
    /// The entries; none where there is no network.
    pub fn entries(&self) -> &[Reach] {
        match self {
            Self::None => &[],
            Self::Names(entries) => entries,
        }
    }

    /// What is wrong with the list as a whole; each entry was checked as it was read.
    pub(crate) fn check(&self) -> Result<(), String> {
        let entries = self.entries();
        if entries.len() > MOST_ENTRIES {
            return Err(format!(
                "has {} entries; at most {MOST_ENTRIES} are allowed",
                entries.len()
            ));
        }
        let mut seen = BTreeSet::new();
        match entries.iter().find(|entry| !seen.insert(*entry)) {
            Some(twice) => Err(format!("`{twice}` is there twice")),
            None => Ok(()),
        }
    }
}

impl Reach {
    /// Whether this entry allows a connection to that name, in lowercase, and port.
    pub fn allows(&self, name: &str, port: u16) -> bool {
        match self {
            Self::Host(rule) => rule.allows(name, port),
            Self::Registry(registry) => registry.rules().any(|rule| rule.allows(name, port)),
        }
    }

    /// Whether all that `other` allows is allowed by this one.
    fn covers(&self, other: &HostRule) -> bool {
        match self {
            Self::Host(rule) => rule.covers(other),
            Self::Registry(registry) => registry.rules().any(|rule| rule.covers(other)),
        }
    }
}

impl NetworkCap {
    /// Whether a connection to that name and port is within it.
    pub fn allows(&self, name: &str, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Only(most) => most.iter().any(|entry| entry.allows(name, port)),
        }
    }

    /// The first entry of a phase that goes beyond it.
    pub fn beyond<'n>(&self, network: &'n Network) -> Option<&'n Reach> {
        let Self::Only(most) = self else {
            return None;
        };
        let within = |rule: &HostRule| most.iter().any(|entry| entry.covers(rule));
        network.entries().iter().find(|entry| match entry {
            Reach::Host(rule) => !within(rule),
            Reach::Registry(registry) => !registry.rules().all(|rule| within(&rule)),
        })
    }
}

impl FromStr for NetworkCap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "any" => Ok(Self::Any),
            "none" => Ok(Self::Only(Vec::new())),
            list => {
                let entries = list
                    .split([',', ' '])
                    .map(str::trim)
                    .filter(|entry| !entry.is_empty());
                let entries: Vec<Reach> = entries.map(str::parse).collect::<Result<_, _>>()?;
                Ok(Self::Only(entries))
            }
        }
    }
}

impl FromStr for Reach {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(registry) = Registry::of(text) {
            return Ok(Self::Registry(registry));
        }
        text.parse().map(Self::Host)
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(registry) => f.write_str(registry.word()),
            Self::Host(rule) => rule.fmt(f),
        }
    }
}

impl Serialize for Reach {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reach {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => to.serialize_str("none"),
            Self::Names(names) => names.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // Texts first: an entry that is wrong is told by its own words, not by the list's.
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "must be \"none\" or a list of host names")]
        enum Form {
            Word(String),
            Names(Vec<String>),
        }
        match Form::deserialize(from)? {
            Form::Word(word) if word == "none" => Ok(Self::None),
            Form::Word(word) => Err(de::Error::custom(format!(
                "`{word}`: must be \"none\" or a list of host names"
            ))),
            Form::Names(names) => names
                .iter()
                .map(|name| name.parse().map_err(de::Error::custom))
                .collect::<Result<_, _>>()
                .map(Self::Names),
        }
    }
}

#[cfg(test)]
mod tests;
