//! Who calls, and what that lets them do. A token that is bound to groups meets no job of others:
//! to it they aren't there. It doesn't know how a caller was recognised.

use crate::Shared;
use crate::problem::{Code, Problem};
use crate::routes::Need;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use pipeline::{Digest, Job, Scope, Token};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Who sent a request. Its route's handler gets it from `auth`.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Arc<Rights>);

#[derive(Debug)]
struct Rights {
    kind: Kind,
    scopes: BTreeSet<Scope>,
    /// None: every job, also those of no group.
    groups: Option<BTreeSet<String>>,
}

/// How a caller came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// On loopback, where no token is asked for.
    Local,
    /// With `API_TOKEN`, of this digest.
    ApiToken(Digest),
    /// With a token that was created.
    Token {
        /// Of its text.
        digest: Digest,
        /// As people call it.
        name: String,
    },
}

impl Caller {
    /// Who may do everything.
    pub(crate) fn of_all(kind: Kind) -> Self {
        Self(Arc::new(Rights {
            kind,
            scopes: Scope::ALL.into(),
            groups: None,
        }))
    }

    /// Who has this token.
    pub(crate) fn of(token: Token, digest: Digest) -> Self {
        let spec = token.spec;
        Self(Arc::new(Rights {
            kind: Kind::Token {
                digest,
                name: spec.name,
            },
            scopes: spec.scopes,
            groups: spec.groups,
        }))
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// Of the token, for people; none where there is none.
    pub(crate) fn name(&self) -> Option<&str> {
        match &self.0.kind {
            Kind::Local => None,
            Kind::ApiToken(_) => Some("API_TOKEN"),
            Kind::Token { name, .. } => Some(name),
        }
    }

    pub(crate) fn scopes(&self) -> &BTreeSet<Scope> {
        &self.0.scopes
    }

    /// The groups that the token is bound to; none where it is for every job.
    pub(crate) fn groups(&self) -> Option<&BTreeSet<String>> {
        self.0.groups.as_ref()
    }

    /// Whose the jobs are that come from here: the token's, by a word that doesn't give it away.
    pub(crate) fn submitter(&self) -> String {
        match &self.0.kind {
            Kind::Local => "local".to_owned(),
            Kind::ApiToken(digest) | Kind::Token { digest, .. } => {
                format!("token:{}", digest.short())
            }
        }
    }

    /// A key of this client's own, apart from the same key of another's.
    pub(crate) fn key(&self, key: &str) -> String {
        match &self.0.kind {
            Kind::Local | Kind::ApiToken(_) => format!("jobs:{key}"),
            Kind::Token { digest, .. } => format!("token:{}:{key}", digest.short()),
        }
    }

    /// Whether this route is theirs to call.
    pub(crate) fn may(&self, need: Need) -> Result<(), Problem> {
        if let Some(scope) = need.scope()
            && !self.0.scopes.contains(&scope)
        {
            let has: Vec<&str> = self.0.scopes.iter().map(|scope| scope.word()).collect();
            let detail = format!(
                "this wants a token with the scope `{}`; this one has {}",
                scope.word(),
                has.join(", ")
            );
            return Err(Problem::new(Code::MissingScope, detail));
        }
        match self.groups() {
            Some(groups) if need.is_of_all() => Err(Problem::new(
                Code::BoundToken,
                format!(
                    "this is about the jobs of all groups, and the token is bound to {}",
                    some_of(groups)
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Whether this job is there for them.
    pub(crate) fn sees(&self, job: &Job) -> bool {
        let Some(groups) = self.groups() else {
            return true;
        };
        job.group
            .as_ref()
            .is_some_and(|group| groups.contains(group))
    }

    /// The group of a job that is submitted with this one: the token's own, where it has one only
    /// and the job names none.
    pub(crate) fn group(&self, asked: Option<String>) -> Result<Option<String>, Problem> {
        let Some(groups) = self.groups() else {
            return Ok(asked);
        };
        match asked {
            Some(group) if groups.contains(&group) => Ok(Some(group)),
            Some(_) => Err(Problem::new(
                Code::WrongGroup,
                format!("the token is bound to {}", some_of(groups)),
            )),
            None if groups.len() == 1 => Ok(groups.first().cloned()),
            None => Err(Problem::new(
                Code::InvalidJob,
                format!(
                    "give the job's `group`: the token is bound to {}",
                    some_of(groups)
                ),
            )),
        }
    }
}

/// A few groups, for people.
fn some_of(groups: &BTreeSet<String>) -> String {
    const SHOWN: usize = 8;
    let mut text = match groups.len() {
        1 => "the group ".to_owned(),
        _ => "the groups ".to_owned(),
    };
    let shown: Vec<String> = groups
        .iter()
        .take(SHOWN)
        .map(|it| format!("`{it}`"))
        .collect();
    text += &shown.join(", ");
    if groups.len() > SHOWN {
        text += &format!(" and {} more", groups.len() - SHOWN);
    }
    text
}

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Shared>) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::internal("a route that is public asks who calls"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::{Timestamp, TokenSpec};

    fn caller(scopes: &[Scope], groups: Option<&[&str]>) -> Caller {
        let token = Token {
            id: "0123456789ab".into(),
            spec: TokenSpec {
                name: "ci".into(),
                scopes: scopes.iter().copied().collect(),
                groups: groups.map(|groups| groups.iter().map(ToString::to_string).collect()),
            },
            created_at: Timestamp::default(),
            last_used_at: None,
            revoked_at: None,
        };
        Caller::of(token, Digest::of(b"text"))
    }

    fn code(problem: Result<impl std::fmt::Debug, Problem>) -> Code {
        problem.unwrap_err().code
    }

    #[test]
    fn a_scope_opens_what_needs_it_and_nothing_else() {
        use Need::{Admin, Known, Read, ReadAll, Submit};
        let read = caller(&[Scope::Read], None);
        for need in [Known, Read, ReadAll] {
            assert!(read.may(need).is_ok(), "{need:?}");
        }
        for need in [Submit, Admin] {
            assert_eq!(code(read.may(need)), Code::MissingScope, "{need:?}");
        }
        let said = read.may(Submit).unwrap_err().detail;
        assert!(
            said.contains("`submit`") && said.contains("has read"),
            "{said}"
        );
        let bound = caller(&[Scope::Read], Some(&["acme"]));
        assert!(bound.may(Read).is_ok());
        assert_eq!(code(bound.may(ReadAll)), Code::BoundToken);
        // A row that somebody wrote by hand gives a bound token no more.
        let odd = caller(&Scope::ALL, Some(&["acme"]));
        assert_eq!(code(odd.may(Admin)), Code::BoundToken);
    }

    #[test]
    fn a_submits_group_is_one_of_the_tokens() {
        let asked = |group: &str| Some(group.to_owned());
        let free = caller(&Scope::ALL, None);
        assert_eq!(free.group(None).unwrap(), None);
        assert_eq!(free.group(asked("any")).unwrap(), asked("any"));
        let one = caller(&[Scope::Submit], Some(&["acme"]));
        assert_eq!(one.group(None).unwrap(), asked("acme"));
        assert_eq!(one.group(asked("acme")).unwrap(), asked("acme"));
        assert_eq!(code(one.group(asked("Acme"))), Code::WrongGroup);
        let two = caller(&[Scope::Submit], Some(&["acme", "b"]));
        assert_eq!(two.group(asked("b")).unwrap(), asked("b"));
        assert_eq!(code(two.group(None)), Code::InvalidJob);
    }
}
