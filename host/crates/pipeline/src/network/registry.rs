//! Package registries by one word each: the host names that their own documentation gives to
//! who must open a firewall for them. Nothing here says what may be done there.

use super::HostRule;

/// A package registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Registry {
    /// Alpine's packages.
    Alpine,
    /// crates.io: index, downloads, and its API.
    Crates,
    /// Debian's packages and their security updates.
    Debian,
    /// Go's module proxy and its checksum database.
    Go,
    /// Maven Central.
    Maven,
    /// npm's public registry.
    Npm,
    /// NuGet's gallery.
    Nuget,
    /// PyPI: index and files.
    Pypi,
    /// RubyGems.
    Rubygems,
}

impl Registry {
    /// Every one, by word.
    pub const ALL: [Self; 9] = [
        Self::Alpine,
        Self::Crates,
        Self::Debian,
        Self::Go,
        Self::Maven,
        Self::Npm,
        Self::Nuget,
        Self::Pypi,
        Self::Rubygems,
    ];

    /// As a pipeline file says it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Alpine => "alpine",
            Self::Crates => "crates",
            Self::Debian => "debian",
            Self::Go => "go",
            Self::Maven => "maven",
            Self::Npm => "npm",
            Self::Nuget => "nuget",
            Self::Pypi => "pypi",
            Self::Rubygems => "rubygems",
        }
    }

    /// The host names that it stands for, each at port 443.
    pub const fn hosts(self) -> &'static [&'static str] {
        match self {
            Self::Alpine => &["dl-cdn.alpinelinux.org"],
            Self::Crates => &["crates.io", "index.crates.io", "static.crates.io"],
            Self::Debian => &["deb.debian.org", "security.debian.org"],
            Self::Go => &["proxy.golang.org", "sum.golang.org"],
            Self::Maven => &["repo.maven.apache.org", "repo1.maven.org"],
            Self::Npm => &["registry.npmjs.org"],
            Self::Nuget => &["api.nuget.org"],
            Self::Pypi => &["pypi.org", "files.pythonhosted.org"],
            Self::Rubygems => &["rubygems.org", "index.rubygems.org"],
        }
    }

    pub(super) fn of(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|registry| registry.word() == word)
    }

    pub(super) fn rules(self) -> impl Iterator<Item = HostRule> {
        self.hosts().iter().map(|host| HostRule::exactly(host))
    }

    /// All words, for people.
    pub(super) fn words() -> String {
        Self::ALL.map(Self::word).join(", ")
    }
}
