//! The provider: its address, its key, and the one client that knows both. It
//! forwards what it is given and judges nothing; it follows no redirect.

use std::fmt;

use bytes::Bytes;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, Url, redirect};

use crate::admit::BETA;
use crate::{Error, Limits};

const OAUTH: &str = "oauth-2025-04-20";

/// Who answers the model's calls.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Without `/v1`: `https://api.anthropic.com`.
    pub base_url: String,
    /// What the gateway shows it.
    pub credential: Credential,
}

/// The real key. Its `Debug` doesn't show it.
#[derive(Clone)]
pub enum Credential {
    /// Sent as `x-api-key`.
    ApiKey(String),
    /// Sent as `authorization: Bearer …`.
    AuthToken(String),
    /// A subscription's: sent in the same way, with the beta word without which the provider
    /// takes no such token.
    OAuthToken(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApiKey(_) => "ApiKey(…)",
            Self::AuthToken(_) => "AuthToken(…)",
            Self::OAuthToken(_) => "OAuthToken(…)",
        })
    }
}

impl Credential {
    fn header(&self) -> Result<(HeaderName, HeaderValue), Error> {
        let (name, secret, text) = match self {
            Self::ApiKey(key) => (HeaderName::from_static("x-api-key"), key, key.clone()),
            Self::AuthToken(token) | Self::OAuthToken(token) => {
                (AUTHORIZATION, token, format!("Bearer {token}"))
            }
        };
        if secret.is_empty() {
            return Err(Error::Credential);
        }
        let mut value = HeaderValue::try_from(text).map_err(|_| Error::Credential)?;
        value.set_sensitive(true);
        Ok((name, value))
    }

    /// The `anthropic-beta` words that it needs, beside those that were asked for.
    fn beta(&self, asked: Option<&HeaderValue>) -> Option<HeaderValue> {
        let asked = asked.and_then(|value| value.to_str().ok()).unwrap_or("");
        match self {
            Self::OAuthToken(_) if !asked.split(',').any(|word| word == OAUTH) => {
                let words = [asked, OAUTH].into_iter().filter(|word| !word.is_empty());
                HeaderValue::try_from(words.collect::<Vec<_>>().join(",")).ok()
            }
            _ => None,
        }
    }
}

/// A provider that can be asked.
pub(crate) struct Upstream {
    client: Client,
    base_url: String,
    credential: Credential,
    header: (HeaderName, HeaderValue),
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    pub(crate) fn new(provider: &Provider, limits: &Limits) -> Result<Self, Error> {
        let url = base_url(&provider.base_url)?;
        // The first one to install a provider for the process wins; all of ours are this one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(limits.connect);
        if is_loopback(&url) {
            // HTTPS_PROXY and the like are meant for what is outside.
            client = client.no_proxy();
        }
        Ok(Self {
            client: client.build().map_err(Error::Client)?,
            base_url: url.as_str().trim_end_matches('/').to_owned(),
            header: provider.credential.header()?,
            credential: provider.credential.clone(),
        })
    }

    /// Sends one request; answers when the head of the answer is there.
    pub(crate) async fn send(
        &self,
        path: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> reqwest::Result<Response> {
        if let Some(words) = self.credential.beta(headers.get(BETA)) {
            headers.insert(BETA, words);
        }
        let (name, value) = self.header.clone();
        headers.insert(name, value);
        self.client
            .post(format!("{}{path}", self.base_url))
            .headers(headers)
            .body(body)
            .send()
            .await
            .map_err(reqwest::Error::without_url)
    }
}

fn base_url(text: &str) -> Result<Url, Error> {
    let refused = |url: &str, reason: String| Error::BaseUrl {
        url: url.to_owned(),
        reason,
    };
    let url: Url = text
        .parse()
        .map_err(|error| refused(text, format!("can't be read: {error}")))?;
    let hidden = || format!("{}://…", url.scheme());
    if !url.username().is_empty() || url.password().is_some() {
        Err(refused(&hidden(), "holds a user name or password".into()))
    } else if url.query().is_some() || url.fragment().is_some() {
        Err(refused(&hidden(), "has a query or a fragment".into()))
    } else if !matches!(url.scheme(), "http" | "https") {
        Err(refused(text, "isn't http or https".into()))
    } else if url.path().trim_end_matches('/').ends_with("/v1") {
        Err(refused(text, "ends with /v1".into()))
    } else {
        Ok(url)
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_work_is_refused_with_the_reason() {
        for (url, reason) in [
            ("api.anthropic.com", "can't be read"),
            ("ftp://a", "isn't http"),
            ("https://a/v1/", "ends with /v1"),
            ("https://u:secret@a", "user name"),
            ("https://a?key=secret", "query"),
        ] {
            let error = base_url(url).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(base_url("https://api.z.ai/api/anthropic/").is_ok());
    }

    #[test]
    fn a_subscription_s_word_is_added_once() {
        let oauth = Credential::OAuthToken("t".into());
        let asked = HeaderValue::from_static;
        let words = |asked: Option<HeaderValue>| oauth.beta(asked.as_ref());
        assert_eq!(words(None).unwrap(), OAUTH);
        assert_eq!(words(Some(asked("a-1"))).unwrap(), "a-1,oauth-2025-04-20");
        assert_eq!(words(Some(asked("oauth-2025-04-20,a-1"))), None);
        assert_eq!(Credential::AuthToken("t".into()).beta(None), None);
    }

    #[test]
    fn a_key_that_no_header_takes_is_refused_and_never_shown() {
        let key = Credential::ApiKey("secret\n".into());
        assert!(matches!(key.header(), Err(Error::Credential)));
        assert!(Credential::AuthToken(String::new()).header().is_err());
        let provider = Provider {
            base_url: "https://a".into(),
            credential: Credential::AuthToken("secret".into()),
        };
        assert!(!format!("{provider:?}").contains("secret"));
        let (_, value) = provider.credential.header().unwrap();
        assert!(!format!("{value:?}").contains("secret"));
    }
}
