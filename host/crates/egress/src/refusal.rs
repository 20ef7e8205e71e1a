//! Why an attempt came to nothing: the status and the words that the agent is given, and those of
//! the job's log. The agent isn't told what a name resolves to, or how the host's line is.

use std::net::IpAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::ext::ReasonPhrase;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

/// Why an attempt came to nothing. Its `Display` is for the job's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What came isn't HTTP, or its head is too long.
    #[error("refused: it isn't an HTTP request, or its head is too long")]
    NotHttp,
    /// The request's head didn't come in time.
    #[error("refused: the request's head did not arrive in time")]
    LateHead,
    /// A request other than CONNECT.
    #[error("refused: only CONNECT is understood, as for https://")]
    NotConnect,
    /// CONNECT to what isn't a name and a port.
    #[error("refused: what CONNECT asks for isn't a name and a port")]
    NoTarget,
    /// CONNECT to an address.
    #[error("refused: an address, and only names can be listed")]
    Address,
    /// A name that the phase doesn't list, or another port of it.
    #[error("refused: not in the `network` of this phase")]
    NotListed,
    /// A name that the operator lets no pipeline list.
    #[error("refused: not among NETWORK_ALLOW of this host")]
    BeyondCap,
    /// The run has made all the attempts that it may.
    #[error("refused, as all that follow: this run has made {most} attempts, and may make no more")]
    TooMany {
        /// How many it may make.
        most: u64,
    },
    /// The run has sent, or was sent, all the bytes that it may.
    #[error("refused: this run has sent or received all the bytes that it may")]
    UsedUp,
    /// This host's lease is past, or the run is over.
    #[error("refused: this host lets nothing out at the moment")]
    Fenced,
    /// The attempt can't be written down.
    #[error("refused: it couldn't be written into the job's log")]
    NotLogged,
    /// One of the name's addresses isn't of the public internet.
    #[error("refused: the name resolves to {address}, {why}")]
    NotPublic {
        /// The first such address of the answer.
        address: IpAddr,
        /// What it is.
        why: &'static str,
    },
    /// The name doesn't resolve.
    #[error("failed: the name doesn't resolve ({reason})")]
    Unresolved {
        /// The resolver's words.
        reason: String,
    },
    /// No address of the name takes a connection.
    #[error("failed: no connection ({reason})")]
    Unreachable {
        /// The system's words about the last address.
        reason: String,
    },
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotHttp | Self::NoTarget => StatusCode::BAD_REQUEST,
            Self::LateHead => StatusCode::REQUEST_TIMEOUT,
            Self::NotConnect => StatusCode::METHOD_NOT_ALLOWED,
            Self::Address | Self::NotListed | Self::BeyondCap | Self::NotPublic { .. } => {
                StatusCode::FORBIDDEN
            }
            Self::TooMany { .. } | Self::UsedUp => StatusCode::TOO_MANY_REQUESTS,
            Self::Fenced | Self::NotLogged => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unresolved { .. } | Self::Unreachable { .. } => StatusCode::BAD_GATEWAY,
        }
    }

    /// For the agent.
    fn words(&self) -> &'static str {
        match self {
            Self::NotHttp => "this proxy speaks HTTP",
            Self::LateHead => "the request did not arrive in time",
            Self::NotConnect => {
                "this proxy takes CONNECT only: ask for https:// addresses, since plain http:// is not forwarded"
            }
            Self::NoTarget => "CONNECT wants a host name and a port",
            Self::Address => "addresses cannot be reached here, only names that the pipeline lists",
            Self::NotListed => {
                "this name and port are not in the network list of the pipeline's phase"
            }
            Self::BeyondCap => "the operator of this host lets no pipeline reach this name",
            Self::TooMany { .. } => "this run has made all the connections that it may",
            Self::UsedUp => "this run has sent or received all the bytes that it may",
            Self::Fenced | Self::NotLogged => "the host lets nothing out at the moment; ask again",
            Self::NotPublic { .. } => "this name does not resolve to public addresses alone",
            Self::Unresolved { .. } => "this name could not be resolved",
            Self::Unreachable { .. } => "this name could not be reached",
        }
    }

    /// Some clients show the body, some only the reason behind the status.
    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let words = self.words();
        let mut response = Response::new(Full::from(format!("gantry: {words}\n")));
        *response.status_mut() = self.status();
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        if let Ok(reason) = ReasonPhrase::try_from(words.as_bytes()) {
            response.extensions_mut().insert(reason);
        }
        response
    }
}
