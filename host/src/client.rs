//! A client of a running host: the HTTP API, and its errors in words. It starts nothing.

use crate::cli::Server;
use anyhow::{Context, Result, bail};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

/// A running host.
pub(crate) struct Client {
    http: reqwest::Client,
    server: Url,
    token: Option<String>,
}

impl Client {
    pub(crate) fn new(server: &Server) -> Result<Self> {
        let url = Url::parse(&server.server).with_context(|| {
            format!(
                "--server `{}` isn't an address such as http://127.0.0.1:3000",
                server.server
            )
        })?;
        // The first call wins; it is the same provider every time.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .build()
            .context("the HTTP client")?;
        Ok(Self {
            http,
            server: url,
            token: server.token.clone(),
        })
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder> {
        let request = self.http.request(method, self.server.join(path)?);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    /// The JSON at a path.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.json(self.request(Method::GET, path)?).await
    }

    /// What a post answers.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.json(self.request(Method::POST, path)?.json(body))
            .await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.json(self.request(Method::PUT, path)?.json(body)).await
    }

    /// Asks for something to be taken away; there is no answer but that it is.
    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        self.send(self.request(Method::DELETE, path)?).await?;
        Ok(())
    }

    /// An answer that is read as it comes: events, or an archive.
    pub(crate) async fn open(&self, path: &str) -> Result<Response> {
        self.send(self.request(Method::GET, path)?).await
    }

    async fn json(&self, request: RequestBuilder) -> Result<Value> {
        let response = self.send(request).await?;
        response
            .json()
            .await
            .context("the host's answer isn't JSON")
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let response = request.send().await.map_err(|error| {
            if error.is_connect() {
                anyhow::anyhow!(
                    "no host answers at {}: start one with `gantry serve`, or name it with --server",
                    self.server
                )
            } else {
                error.into()
            }
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let problem: Value = response.json().await.unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("no reason was given");
        if status == StatusCode::UNAUTHORIZED {
            bail!("{detail} (give it with --token or GANTRY_TOKEN)");
        }
        bail!("{detail} ({status})")
    }
}
