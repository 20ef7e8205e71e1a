//! A request's query: every parameter by name, none unknown, none twice. It knows no defaults.

use crate::problem::{Code, Problem};
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use pipeline::JobId;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The parameters that weren't taken yet.
pub(crate) struct Params(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| wrong("it isn't `name=value&…` in UTF-8"))?;
        let mut all = BTreeMap::new();
        for (name, value) in pairs {
            if value.contains('\0') {
                return Err(wrong(format!("`{name}` holds a NUL")));
            }
            if all.contains_key(&name) {
                return Err(wrong(format!("`{name}` is there twice")));
            }
            all.insert(name, value);
        }
        Ok(Self(all))
    }
}

impl Params {
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// A value of a type, which `what` names for people.
    pub(crate) fn parsed<T: FromStr>(
        &mut self,
        name: &str,
        what: impl Display,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.0.remove(name) else {
            return Ok(None);
        };
        let value = text
            .parse()
            .map_err(|_| wrong(format!("`{name}` must be {what}")))?;
        Ok(Some(value))
    }

    /// A number that isn't negative: where a page begins.
    pub(crate) fn place(&mut self, name: &str) -> Result<Option<i64>, Problem> {
        let place = self.parsed(name, "what the last answer gave")?;
        match place {
            Some(..0) => Err(wrong(format!("`{name}` must be what the last answer gave"))),
            place => Ok(place),
        }
    }

    /// How many items at most.
    pub(crate) fn limit(&mut self, most: u32, default: u32) -> Result<u32, Problem> {
        let range: RangeInclusive<u32> = 1..=most;
        match self.parsed("limit", format!("1 to {most}"))? {
            None => Ok(default),
            Some(limit) if range.contains(&limit) => Ok(limit),
            Some(_) => Err(wrong(format!("`limit` must be 1 to {most}"))),
        }
    }

    /// Nothing else may be there: a name that is mistyped would be a filter that isn't one.
    pub(crate) fn done(self, known: &str) -> Result<(), Problem> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => {
                let name: String = name.chars().take(100).collect();
                Err(wrong(format!(
                    "`{name}` isn't known here; known are {known}"
                )))
            }
        }
    }
}

pub(crate) fn wrong(detail: impl Into<String>) -> Problem {
    Problem::new(Code::BadQuery, detail)
}

/// A job's id in a path.
pub(crate) fn job_id(text: &str) -> Result<JobId, Problem> {
    let id = text.parse().ok().filter(|_| text.len() == 36);
    id.ok_or_else(|| Problem::new(Code::BadId, "a job's id is a UUID, as in `id` of the job"))
}
