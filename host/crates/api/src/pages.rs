//! The sites, each on an origin of its own: an agent wrote them, so nothing of the API is here, and
//! a page may load and call its own origin only. Which files are a site's, its row says.

use crate::Shared;
use crate::files::{FilesError, blocking, streamed};
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pipeline::{Digest, Publication};
use std::fs::File;
use std::sync::Arc;

/// The files of published sites. Calls may block: they are made on threads for that.
pub trait SiteFiles: Send + Sync {
    /// A file below a publication's folder, open for reading, and its size in bytes. `path` is
    /// relative, without empty parts, `.` and `..`; links in it may not be followed.
    ///
    /// # Errors
    /// [`FilesError`].
    fn open(&self, folder: &str, path: &str) -> Result<(File, u64), FilesError>;
}

/// What a page may do: everything within its own origin, nothing beyond.
const POLICY: &str = "default-src 'self' 'unsafe-inline' data: blob:; connect-src 'self'; \
    form-action 'none'; base-uri 'none'";

/// A file to be served.
struct Found {
    path: String,
    file: File,
    size: u64,
}

enum Looked {
    File(Found),
    /// A folder was named without the `/` at its end: links of its page would lead elsewhere.
    Folder,
    Nothing,
}

/// The answer to a request for the site `name`.
pub(crate) async fn answer(shared: &Shared, name: &str, parts: &Parts) -> Response {
    let mut answer = match parts.method {
        Method::GET | Method::HEAD => of_site(shared, name, parts).await,
        _ => {
            let mut answer = page(StatusCode::METHOD_NOT_ALLOWED, "A site can only be read.");
            answer
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            answer
        }
    };
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

async fn of_site(shared: &Shared, name: &str, parts: &Parts) -> Response {
    if !pipeline::is_slug(name) {
        return no_site();
    }
    let site = match shared.store.site(name).await {
        Ok(Some(site)) => site.publication,
        Ok(None) => return no_site(),
        Err(error) => {
            tracing::error!(error = %error, site = name, "a site's row can't be read");
            return page(
                StatusCode::SERVICE_UNAVAILABLE,
                "Not now: try again in a moment.",
            );
        }
    };
    let Some(path) = clean_path(parts.uri.path()) else {
        return page(StatusCode::BAD_REQUEST, "This address can't be read.");
    };
    // The entry's own links are relative to its folder.
    if path.is_empty() && site.plan.entry.contains('/') {
        return redirect(&format!("/{}", encoded(&site.plan.entry)), parts);
    }
    match look(shared, &site, &path).await {
        Ok(Looked::File(found)) => served(&site, found, parts),
        Ok(Looked::Folder) => redirect(&format!("{}/", parts.uri.path()), parts),
        Ok(Looked::Nothing) => page(
            StatusCode::NOT_FOUND,
            "There is nothing at this address of the site.",
        ),
        Err(error) => {
            tracing::error!(error = %error, site = name, "a site's file can't be read");
            page(
                StatusCode::INTERNAL_SERVER_ERROR,
                "This page can't be read.",
            )
        }
    }
}

fn no_site() -> Response {
    page(
        StatusCode::NOT_FOUND,
        "There is no site at this address: it was taken back, or never published.",
    )
}

/// The decoded path without the `/` at its begin; none where a part is empty, `.`, `..`, or holds
/// what no file's name should.
fn clean_path(raw: &str) -> Option<String> {
    let path = percent_decoded(raw.strip_prefix('/')?)?;
    let inner = path.strip_suffix('/').unwrap_or(&path);
    let fine = |part: &str| {
        !matches!(part, "" | "." | "..") && !part.contains(|c: char| c.is_control() || c == '\\')
    };
    (path.is_empty() || inner.split('/').all(fine)).then_some(path)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(*hex::decode(digits).ok()?.first()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn encoded(path: &str) -> String {
    let mut text = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => {
                text.push('%');
                text.push_str(&hex::encode_upper([byte]));
            }
        }
    }
    text
}

/// The file, the folder's page, or the entry where the site is a single page.
async fn look(shared: &Shared, site: &Publication, path: &str) -> Result<Looked, FilesError> {
    let wanted = match path {
        "" => site.plan.entry.clone(),
        folder if folder.ends_with('/') => format!("{folder}index.html"),
        file => file.to_owned(),
    };
    match open(shared, site, wanted).await {
        Ok(found) => return Ok(Looked::File(found)),
        Err(FilesError::Folder) => {
            if open(shared, site, format!("{path}/index.html"))
                .await
                .is_ok()
            {
                return Ok(Looked::Folder);
            }
        }
        Err(FilesError::NotFound | FilesError::Invalid(_) | FilesError::Denied) => {}
        Err(error) => return Err(error),
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    if !site.plan.single_page || last.contains('.') {
        return Ok(Looked::Nothing);
    }
    match open(shared, site, site.plan.entry.clone()).await {
        Ok(found) => Ok(Looked::File(found)),
        Err(FilesError::Io(error)) => Err(FilesError::Io(error)),
        Err(_) => Ok(Looked::Nothing),
    }
}

async fn open(shared: &Shared, site: &Publication, path: String) -> Result<Found, FilesError> {
    let sites = Arc::clone(&shared.sites);
    let folder = site.folder.clone();
    blocking(move || {
        let (file, size) = sites.open(&folder, &path)?;
        Ok(Found { path, file, size })
    })
    .await
}

fn served(site: &Publication, found: Found, parts: &Parts) -> Response {
    // A folder is written once, for one revision: what has its name never changes.
    let of = format!("{}\0{}\0{}", site.folder, found.path, found.size);
    let tag = format!("\"{}\"", Digest::of(of.as_bytes()).short());
    let Ok(tag_value) = HeaderValue::from_str(&tag) else {
        return page(
            StatusCode::INTERNAL_SERVER_ERROR,
            "This page can't be read.",
        );
    };
    let tagged = [(header::ETAG, tag_value)];
    if is_known(parts, &tag) {
        return (StatusCode::NOT_MODIFIED, tagged).into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, content_type(&found.path)),
        (header::CONTENT_LENGTH, HeaderValue::from(found.size)),
    ];
    let body = match parts.method {
        Method::HEAD => Body::empty(),
        _ => streamed(found.file, found.size),
    };
    (tagged, headers, body).into_response()
}

/// Whether the client has what has this tag.
pub(crate) fn is_known(parts: &Parts, tag: &str) -> bool {
    let given = parts.headers.get_all(header::IF_NONE_MATCH).iter();
    given
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .map(|one| one.trim().trim_start_matches("W/"))
        .any(|one| one == tag || one == "*")
}

fn content_type(path: &str) -> HeaderValue {
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    let essence = mime.essence_str();
    let is_text = essence.starts_with("text/")
        || matches!(
            essence,
            "application/javascript" | "application/json" | "image/svg+xml"
        );
    let text = if is_text {
        format!("{essence}; charset=utf-8")
    } else {
        essence.to_owned()
    };
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

fn redirect(path: &str, parts: &Parts) -> Response {
    let query = parts
        .uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    match HeaderValue::from_str(&format!("{path}{query}")) {
        Ok(to) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response(),
        Err(_) => page(StatusCode::BAD_REQUEST, "This address can't be read."),
    }
}

/// A page for people; `says` is ours, so that nothing has to be escaped.
fn page(status: StatusCode, says: &'static str) -> Response {
    let title = status.canonical_reason().unwrap_or("Sorry");
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>body{{font:1.1rem/1.5 \
         system-ui;max-width:32rem;margin:20vh auto;padding:0 1rem}}</style>\
         <h1>{title}</h1><p>{says}</p></html>"
    );
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let robots = (
        HeaderName::from_static("x-robots-tag"),
        HeaderValue::from_static("noindex"),
    );
    (status, [(header::CONTENT_TYPE, html), robots], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for (raw, path) in [
            ("/", ""),
            ("/a/b.js", "a/b.js"),
            ("/a/", "a/"),
            ("/a%20b", "a b"),
            ("/...", "..."),
        ] {
            assert_eq!(clean_path(raw).as_deref(), Some(path), "{raw}");
        }
        for raw in [
            "",
            "//",
            "//etc/passwd",
            "/a//b",
            "/..",
            "/../x",
            "/a/../b",
            "/%2e%2e/x",
            "/..%2fx",
            "/%2fetc/passwd",
            "/%00",
            "/a%0ab",
            "/a\\b",
            "/..%5cx",
            "/%",
            "/%4",
            "/%zz",
            "/%ff",
            "/./a",
        ] {
            assert_eq!(clean_path(raw), None, "{raw}");
        }
    }
}
