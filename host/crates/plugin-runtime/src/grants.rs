//! Capabilities beyond the interface: a plugin requests them in its manifest, an operator grants
//! them by name, and both are needed. What a granted one does is `sandbox`'s matter.

use pipeline::is_slug;
use std::collections::BTreeMap;
use std::str::FromStr;

/// The host's setting that grants; told to those who are refused.
const SETTING: &str = "PLUGIN_GRANTS";

/// What a plugin may request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Capability {
    /// WASI's clocks answer the machine's, not `job.now`.
    RealTime,
    /// WASI's random answers the machine's, not `job.seed`.
    RealRandom,
}

impl Capability {
    const ALL: [Self; 2] = [Self::RealTime, Self::RealRandom];

    const fn word(self) -> &'static str {
        match self {
            Self::RealTime => "real-time",
            Self::RealRandom => "real-random",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.word() == word)
    }
}

/// What a call has of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Granted {
    pub(crate) real_time: bool,
    pub(crate) real_random: bool,
}

impl Granted {
    fn has(self, capability: Capability) -> bool {
        match capability {
            Capability::RealTime => self.real_time,
            Capability::RealRandom => self.real_random,
        }
    }

    fn add(&mut self, capability: Capability) {
        match capability {
            Capability::RealTime => self.real_time = true,
            Capability::RealRandom => self.real_random = true,
        }
    }
}

/// What an operator grants, by the plugin's name: `idea=real-time,real-random; build=real-time`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(BTreeMap<String, Granted>);

impl Grants {
    /// What a plugin gets of what it requests: all of it, or the reason why it may not serve.
    pub(crate) fn to(&self, plugin: &str, requests: &[String]) -> Result<Granted, String> {
        let allowed = self.0.get(plugin).copied().unwrap_or_default();
        let (mut granted, mut lacking) = (Granted::default(), Vec::new());
        for word in requests {
            let Some(capability) = Capability::parse(word) else {
                return Err(format!(
                    "requests `{}`, which this host doesn't know: it has {}; leave it out of \
                     the manifest, or update the host",
                    shown(word),
                    all()
                ));
            };
            granted.add(capability);
            if !allowed.has(capability) && !lacking.contains(&capability.word()) {
                lacking.push(capability.word());
            }
        }
        if lacking.is_empty() {
            return Ok(granted);
        }
        let wanted = Capability::ALL.into_iter().filter(|it| granted.has(*it));
        let wanted: Vec<&str> = wanted.map(Capability::word).collect();
        Err(format!(
            "requests {}, which it isn't granted: an operator grants it by the setting \
             {SETTING}, with `{plugin}={}` in it",
            lacking.join(" and "),
            wanted.join(",")
        ))
    }
}

impl FromStr for Grants {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut grants = BTreeMap::new();
        for part in text.split(';').map(str::trim).filter(|it| !it.is_empty()) {
            let Some((plugin, words)) = part.split_once('=') else {
                return Err(format!(
                    "`{part}` must be PLUGIN={}",
                    all().replace(", ", ",")
                ));
            };
            let plugin = plugin.trim();
            if !is_slug(plugin) {
                return Err(format!(
                    "`{plugin}` is not a plugin's name: lowercase letters, digits, hyphens"
                ));
            }
            let granted: &mut Granted = grants.entry(plugin.to_owned()).or_default();
            for word in words.split(',').map(str::trim) {
                match Capability::parse(word) {
                    Some(capability) => granted.add(capability),
                    None => {
                        return Err(format!(
                            "`{plugin}` can't be granted `{word}`: there is {}",
                            all()
                        ));
                    }
                }
            }
        }
        Ok(Self(grants))
    }
}

fn all() -> String {
    Capability::ALL.map(Capability::word).join(", ")
}

/// A guest's text in a message: short, one line.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(grants: &str, requests: &[&str]) -> Result<Granted, String> {
        let requests: Vec<String> = requests.iter().map(ToString::to_string).collect();
        grants.parse::<Grants>()?.to("idea", &requests)
    }

    #[test]
    fn both_a_request_and_a_grant_are_needed() {
        let both = "idea=real-time,real-random; build = real-time;";
        let time = Granted {
            real_time: true,
            real_random: false,
        };
        assert_eq!(to(both, &["real-time"]), Ok(time));
        assert_eq!(to(both, &[]), Ok(Granted::default()));
        assert!(to(both, &["real-random", "real-time"]).unwrap().real_random);
        for grants in ["", "build=real-time"] {
            let error = to(grants, &["real-time"]).unwrap_err();
            assert_eq!(
                error,
                "requests real-time, which it isn't granted: an operator grants it by the \
                 setting PLUGIN_GRANTS, with `idea=real-time` in it"
            );
        }
        let error = to("idea=real-time", &["real-time", "real-random"]).unwrap_err();
        assert!(error.starts_with("requests real-random, which"), "{error}");
        assert!(error.contains("`idea=real-time,real-random`"), "{error}");
    }

    #[test]
    fn what_no_host_knows_is_told_from_what_is_not_granted() {
        let error = to("", &["real-time", "net\nwork"]).unwrap_err();
        assert!(
            error.starts_with("requests `network`, which this host doesn't know"),
            "{error}"
        );
    }

    #[test]
    fn a_wrong_setting_names_its_part() {
        for (text, said) in [
            ("idea", "`idea` must be PLUGIN=real-time,real-random"),
            ("Idea=real-time", "`Idea` is not a plugin's name"),
            (
                "idea=real-tim",
                "`idea` can't be granted `real-tim`: there is real-time, real-random",
            ),
            ("idea=", "can't be granted ``"),
        ] {
            let error = text.parse::<Grants>().unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert_eq!(" ; ".parse::<Grants>(), Ok(Grants::default()));
    }
}
