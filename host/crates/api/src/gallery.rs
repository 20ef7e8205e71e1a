//! The gallery's own files, which are part of the program. It knows nothing of jobs: the page asks
//! the API as anybody does.

use crate::problem::{Code, Problem};
use crate::{Shared, pages};
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pipeline::Digest;
use std::collections::HashMap;
use std::sync::Arc;

/// A file of the gallery.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Below `/gallery/`; `index.html` is also at `/`.
    pub path: &'static str,
    /// With its charset, where it is text.
    pub mime: &'static str,
    /// What is served.
    pub bytes: &'static [u8],
}

const POLICY: &str = "default-src 'self'; require-trusted-types-for 'script'; base-uri 'none'; frame-ancestors 'none'";

/// By path, each with its tag.
pub(crate) struct Gallery(HashMap<&'static str, (Asset, String)>);

impl Gallery {
    pub(crate) fn new(assets: &'static [Asset]) -> Self {
        let tagged = |asset: &Asset| {
            let tag = format!("\"{}\"", Digest::of(asset.bytes).short());
            (asset.path, (*asset, tag))
        };
        Self(assets.iter().map(tagged).collect())
    }

    fn answer(&self, path: &str, parts: &Parts) -> Result<Response, Problem> {
        let missing = || Problem::new(Code::NotFound, "the gallery has no such file");
        let (asset, tag) = self.0.get(path).ok_or_else(missing)?;
        let headers = [
            (
                header::ETAG,
                HeaderValue::from_str(tag).map_err(Problem::internal)?,
            ),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(POLICY),
            ),
            (
                header::REFERRER_POLICY,
                HeaderValue::from_static("no-referrer"),
            ),
        ];
        if pages::is_known(parts, tag) {
            return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        let mime = [(header::CONTENT_TYPE, HeaderValue::from_static(asset.mime))];
        Ok((headers, mime, asset.bytes).into_response())
    }
}

pub(crate) async fn index(
    State(shared): State<Arc<Shared>>,
    parts: Parts,
) -> Result<Response, Problem> {
    shared.gallery.answer("index.html", &parts)
}

pub(crate) async fn file(
    State(shared): State<Arc<Shared>>,
    Path(path): Path<String>,
    parts: Parts,
) -> Result<Response, Problem> {
    shared.gallery.answer(&path, &parts)
}
