//! Tokens: what one lets its bearer do, and with which groups' jobs. It makes none up, and keeps
//! none: what is kept of a token's text is its digest.

use crate::names::{NameError, check_group, check_token_name};
use crate::{Limits, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use thiserror::Error;

/// What a token lets its bearer do. None of them is part of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See jobs with their events, logs and files; sites, plugins, pipelines, limits and numbers.
    Read,
    /// Submit jobs, cancel, retry, send back and delete them.
    Submit,
    /// Pauses, limits of groups, plugins, sites that are taken back, and tokens.
    Admin,
}

impl Scope {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Read, Self::Submit, Self::Admin];

    /// The word of the HTTP API and the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Submit => "submit",
            Self::Admin => "admin",
        }
    }

    /// From its word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }
}

/// Groups that one token may be bound to.
pub const MOST_GROUPS: usize = 100;

/// What a token is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSpec {
    /// For people; two tokens may have the same.
    pub name: String,
    /// What it lets its bearer do.
    pub scopes: BTreeSet<Scope>,
    /// Whose jobs it is for. None: every job, also those of no group.
    pub groups: Option<BTreeSet<String>>,
}

/// Why there can't be such a token.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TokenError {
    /// The name, or a group's.
    #[error(transparent)]
    Name(#[from] NameError),
    /// It could do nothing.
    #[error("the token has no scope: give it one or more of read, submit, admin")]
    NoScope,
    /// An empty list could be taken for all of them.
    #[error("the list of groups is empty: name one, or leave the list out for every group")]
    NoGroup,
    /// More than [`MOST_GROUPS`].
    #[error("the token is bound to {0} groups; at most {MOST_GROUPS} are allowed")]
    TooManyGroups(usize),
    /// The name that stands for groups without limits of their own.
    #[error("`*` isn't a group: leave the groups out for a token that is for all of them")]
    Star,
    /// Pauses, plugins and tokens are nobody's group's.
    #[error(
        "a token with the scope `admin` is for the whole installation: it can't be bound to groups"
    )]
    BoundAdmin,
}

impl TokenSpec {
    /// Whether there can be such a token.
    ///
    /// # Errors
    /// [`TokenError`], in words for people.
    pub fn check(&self, limits: &Limits) -> Result<(), TokenError> {
        check_token_name(&self.name, limits)?;
        if self.scopes.is_empty() {
            return Err(TokenError::NoScope);
        }
        let Some(groups) = &self.groups else {
            return Ok(());
        };
        if groups.is_empty() {
            return Err(TokenError::NoGroup);
        }
        if groups.len() > MOST_GROUPS {
            return Err(TokenError::TooManyGroups(groups.len()));
        }
        if groups.contains("*") {
            return Err(TokenError::Star);
        }
        for group in groups {
            check_group(group, limits)?;
        }
        if self.scopes.contains(&Scope::Admin) {
            return Err(TokenError::BoundAdmin);
        }
        Ok(())
    }
}

/// A token, as people see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The first twelve digits of its digest, as in the submitter of its jobs.
    pub id: String,
    /// What it is.
    #[serde(flatten)]
    pub spec: TokenSpec,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was last used, to the minute; none where it never was.
    pub last_used_at: Option<Timestamp>,
    /// Since when it is good for nothing.
    pub revoked_at: Option<Timestamp>,
}

impl Token {
    /// Whether it opens anything.
    pub const fn is_live(&self) -> bool {
        self.revoked_at.is_none()
    }
}

/// The text of a new token, of bytes that nobody can guess. What it begins with lets those who
/// search code for secrets find it.
pub fn token_text(entropy: [u8; 32]) -> String {
    format!("gantry_{}", hex::encode(entropy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(scopes: &[Scope], groups: Option<&[&str]>) -> TokenSpec {
        TokenSpec {
            name: "ci".to_owned(),
            scopes: scopes.iter().copied().collect(),
            groups: groups.map(|groups| groups.iter().map(ToString::to_string).collect()),
        }
    }

    fn check(spec: &TokenSpec) -> Result<(), TokenError> {
        spec.check(&Limits::default())
    }

    #[test]
    fn what_a_token_can_be() {
        assert_eq!(check(&spec(&Scope::ALL, None)), Ok(()));
        assert_eq!(check(&spec(&[Scope::Submit], Some(&["acme", "b"]))), Ok(()));
        let most: Vec<String> = (0..MOST_GROUPS).map(|n| n.to_string()).collect();
        let mut most: Vec<&str> = most.iter().map(String::as_str).collect();
        assert_eq!(check(&spec(&[Scope::Read], Some(&most))), Ok(()));
        most.push("one more");
        let refused = [
            (spec(&[], None), TokenError::NoScope),
            (spec(&[Scope::Read], Some(&[])), TokenError::NoGroup),
            (
                spec(&[Scope::Read], Some(&most)),
                TokenError::TooManyGroups(101),
            ),
            (spec(&[Scope::Read], Some(&["*"])), TokenError::Star),
            (spec(&Scope::ALL, Some(&["acme"])), TokenError::BoundAdmin),
        ];
        for (spec, why) in refused {
            assert_eq!(check(&spec), Err(why));
        }
        for wrong in [
            TokenSpec {
                name: " ".to_owned(),
                ..spec(&Scope::ALL, None)
            },
            TokenSpec {
                name: "x".repeat(101),
                ..spec(&Scope::ALL, None)
            },
            spec(&[Scope::Read], Some(&["a\nb"])),
            spec(&[Scope::Read], Some(&[""])),
        ] {
            assert!(
                matches!(check(&wrong), Err(TokenError::Name(_))),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn a_token_has_all_of_its_bytes() {
        let text = token_text([0xa5; 32]);
        assert_eq!(text, format!("gantry_{}", "a5".repeat(32)));
        for scope in Scope::ALL {
            assert_eq!(Scope::from_word(scope.word()), Some(scope));
        }
        assert_eq!(Scope::from_word("write"), None);
    }
}
