//! A host's API under test, a client that sends what it is told to, and a driver's hand to move a
//! job. It checks nothing itself.

use crate::by::By;
use api::{Api, ApiConfig, Asset, FilesError, FilesPage, JobFiles, Packed, Secret, SiteFiles};
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use pipeline::{
    AttemptKey, Changes, Digest, Failure, FailureKind, FileEntry, HostId, Input, Job, JobId,
    LeftOut, Limits, PipelineSpec, PluginPin, Publication, SitePlan, Timestamp, step,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use store::{
    ApiStore as _, Ask, Change, Committed, DriverStore as _, Filter, Hold, OnCancel, Options,
    PipelineEntry, Sqlite, TakeOver,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Nothing here takes as long; a test that waits longer hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

static ASSETS: [Asset; 2] = [
    Asset {
        path: "index.html",
        mime: "text/html; charset=utf-8",
        bytes: b"<title>Gantry</title>",
    },
    Asset {
        path: "app.js",
        mime: "text/javascript; charset=utf-8",
        bytes: b"export {};",
    },
];

const PIPELINE: &str = r#"
name = "game"
summary = "A small browser game"
[[phase]]
id = "idea"
plugin = "idea"
[deploy]
plugin = "static-site"
"#;

pub(crate) struct Host {
    pub(crate) port: u16,
    pub(crate) store: Arc<Sqlite>,
    pub(crate) folder: PathBuf,
    address: SocketAddr,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
    _dir: Arc<tempfile::TempDir>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {:?}", self.status, self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Its status and code, once the rest of the problem is as it should be.
    #[track_caller]
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{:?}",
            self.body
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        for key in ["type", "title", "detail"] {
            assert!(
                problem[key].as_str().is_some_and(|text| !text.is_empty()),
                "{key}"
            );
        }
        (
            self.status.as_u16(),
            problem["code"].as_str().unwrap().to_owned(),
        )
    }

    #[track_caller]
    pub(crate) fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap().to_owned()
    }
}

impl Host {
    /// On loopback, without a token.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub(crate) async fn with_token(token: &str) -> Self {
        Self::start_with(|config| config.api_token = Some(Secret::new(token))).await
    }

    pub(crate) async fn start_with(set: impl FnOnce(&mut ApiConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().to_path_buf();
        let store = Sqlite::open(&folder.join("store.db"), Options::default())
            .await
            .unwrap();
        let store = Arc::new(store);
        let spec = PipelineSpec::parse(PIPELINE).unwrap();
        let broken = PipelineEntry::Broken {
            name: "odd".into(),
            error: "phase: is missing".into(),
        };
        store
            .put_pipelines(&[PipelineEntry::Ready(spec), broken])
            .await
            .unwrap();
        Self::serve(store, folder, Arc::new(dir), set).await
    }

    /// Another host on the same store, with settings of its own.
    pub(crate) async fn beside(&self, set: impl FnOnce(&mut ApiConfig)) -> Self {
        let dir = Arc::clone(&self._dir);
        Self::serve(self.store.clone(), self.folder.clone(), dir, set).await
    }

    async fn serve(
        store: Arc<Sqlite>,
        folder: PathBuf,
        dir: Arc<tempfile::TempDir>,
        set: impl FnOnce(&mut ApiConfig),
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut config = ApiConfig {
            api_token: None,
            bind_is_loopback: true,
            port: address.port(),
            domain: None,
            limits: Limits::default(),
            budgets: BTreeMap::new(),
            body_bytes: ApiConfig::BODY_BYTES,
            version: "1.2.3",
            ready: Arc::new(|| Ok(())),
            entropy: Arc::new(|| Ok(*uuid_bytes())),
            now: Arc::new(now),
        };
        set(&mut config);
        let files = Arc::new(Folder(folder.clone()));
        let parts = api::Parts {
            store: store.clone(),
            access: store.clone(),
            money: store.clone(),
            plugins: store.clone(),
            files: files.clone(),
            sites: files,
        };
        let api = Api::new(config, parts, &ASSETS);
        let stop = CancellationToken::new();
        let running = tokio::spawn(api.run(listener, stop.clone(), stop.clone()));
        let port = address.port();
        Self {
            port,
            store,
            folder,
            address,
            stop,
            running: Some(running),
            _dir: dir,
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends exactly this, and gives the answer's head and the body as it comes.
    pub(crate) async fn stream(
        &self,
        request: Request<Body>,
    ) -> axum::http::Response<hyper::body::Incoming> {
        let io = TokioIo::new(self.connect().await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        tokio::time::timeout(DEADLINE, sender.send_request(request))
            .await
            .unwrap()
            .unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let answer = self.stream(request).await;
        let (parts, body) = answer.into_parts();
        let body = tokio::time::timeout(DEADLINE, body.collect())
            .await
            .unwrap()
            .unwrap()
            .to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// A request with this host's own name.
    pub(crate) fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header("host", format!("localhost:{}", self.port))
    }

    /// A client with a token.
    pub(crate) fn by<'a>(&'a self, token: &'a str) -> By<'a> {
        By::new(self, token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).body(Body::empty()).unwrap())
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: impl ToString) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/json");
        self.send(request.body(full(body.to_string())).unwrap())
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(
            self.request(Method::DELETE, path)
                .body(Body::empty())
                .unwrap(),
        )
        .await
    }

    /// From a site's origin.
    pub(crate) async fn site(&self, host: &str, path: &str) -> Answer {
        let request = Request::builder()
            .uri(path)
            .header("host", host)
            .body(Body::empty());
        self.send(request.unwrap()).await
    }

    pub(crate) async fn submit(&self, name: &str) -> JobId {
        let answer = self.post("/api/jobs", json!({ "name": name })).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        answer.json()["id"].as_str().unwrap().parse().unwrap()
    }

    /// Every job, as the store has it.
    pub(crate) async fn jobs(&self) -> Vec<Job> {
        let all = Filter {
            limit: 200,
            ..Filter::default()
        };
        self.store.jobs(&all).await.unwrap().items
    }

    /// Takes the next job, as a driver does.
    pub(crate) async fn claim(&self) -> Held {
        let ask = Ask {
            host: HostId("h1".into()),
            roots: Vec::new(),
            engines: Vec::new(),
            look: true,
            limit: 1,
            lease_time: Duration::from_secs(60),
            held: Vec::new(),
            take_over: TakeOver::None,
        };
        let claimed = self
            .store
            .claim(&ask)
            .await
            .unwrap()
            .pop()
            .expect("a job is ready");
        let hold = Hold {
            job: claimed.job.id,
            lease: claimed.lease,
            host: ask.host,
        };
        let mut held = Held {
            store: self.store.clone(),
            hold,
            job: claimed.job,
        };
        held.give(Input::Claimed { rescued: false }).await;
        held
    }

    /// A job that has published these files.
    pub(crate) async fn publish(&self, plan: SitePlan, files: &[(&str, &str)]) -> String {
        self.submit("Light and fog").await;
        self.publish_next(plan, files).await
    }

    /// The next job publishes these files.
    pub(crate) async fn publish_next(&self, plan: SitePlan, files: &[(&str, &str)]) -> String {
        let mut held = self.claim().await;
        let folder = format!("versions/{}", held.job.id);
        for (path, text) in files {
            let path = self.folder.join(&folder).join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        held.accept().await;
        let slug = self
            .store
            .reserve_slug(&held.hold, &plan.slug, 0)
            .await
            .unwrap()
            .unwrap();
        let sites = vec![Publication {
            slug: slug.clone(),
            plan,
            folder,
        }];
        held.give(Input::Deployed {
            plugin: pin(),
            sites,
        })
        .await;
        slug
    }

    /// Ends the host, and sees that it does end.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.running.take().unwrap())
            .await
            .unwrap()
            .unwrap();
    }
}

/// A job that the test holds.
pub(crate) struct Held {
    store: Arc<Sqlite>,
    pub(crate) hold: Hold,
    pub(crate) job: Job,
}

impl Held {
    pub(crate) async fn give(&mut self, input: Input) {
        let now = now();
        let step = step(&self.job, input, &Limits::default(), now).unwrap();
        self.job = step.next.clone();
        let change = Change {
            step,
            now,
            blobs: Vec::new(),
            on_cancel: OnCancel::Ignore,
        };
        let done = self.store.commit(&self.hold, &change).await.unwrap();
        assert!(matches!(done, Committed::Done { .. }), "{done:?}");
    }

    /// Ends it with this failure, also with one that would make a job wait.
    pub(crate) async fn fail(&mut self, failure: Failure) -> Job {
        let broken = Failure::new(FailureKind::Internal, failure.message.clone());
        let now = now();
        let mut step = step(&self.job, Input::Broken(broken), &Limits::default(), now).unwrap();
        step.next.error = Some(failure);
        let change = Change {
            step,
            now,
            blobs: Vec::new(),
            on_cancel: OnCancel::Ignore,
        };
        let done = self.store.commit(&self.hold, &change).await.unwrap();
        assert!(matches!(done, Committed::Done { .. }), "{done:?}");
        change.step.next
    }

    /// Its only phase is accepted.
    pub(crate) async fn accept(&mut self) {
        let kept = Digest::of(b"[]");
        self.give(Input::Prompted {
            plugin: pin(),
            tasks: Vec::new(),
            kept,
        })
        .await;
        self.give(Input::Validated {
            plugin: pin(),
            verdict: None,
        })
        .await;
    }
}

pub(crate) fn plan(entry: &str, single_page: bool) -> SitePlan {
    SitePlan {
        slug: "keeper".into(),
        title: "Keeper".into(),
        summary: "Keep the light".into(),
        root: String::new(),
        entry: entry.into(),
        metadata: Map::new(),
        single_page,
    }
}

pub(crate) fn full(body: impl Into<Bytes>) -> Body {
    Body::new(Full::new(body.into()))
}

pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

fn uuid_bytes() -> Box<[u8; 32]> {
    let (a, b) = (uuid::Uuid::now_v7(), uuid::Uuid::now_v7());
    let mut bytes = Box::new([0; 32]);
    bytes[..16].copy_from_slice(a.as_bytes());
    bytes[16..].copy_from_slice(b.as_bytes());
    bytes
}

fn pin() -> PluginPin {
    PluginPin {
        name: "idea".into(),
        version: "1.0.0".into(),
        digest: Digest::of(b"idea"),
    }
}

/// Files below a folder, as `host` opens them with `workspace` and `deploy`.
struct Folder(PathBuf);

impl JobFiles for Folder {
    fn list(&self, job: &Job, after: Option<&str>, limit: usize) -> Result<FilesPage, FilesError> {
        let folder =
            std::fs::read_dir(self.0.join(job.id.to_string())).map_err(|_| FilesError::NotFound)?;
        let mut items: Vec<FileEntry> = folder
            .map(|entry| entry.unwrap())
            .map(|entry| FileEntry {
                path: entry.file_name().into_string().unwrap(),
                size: entry.metadata().unwrap().len(),
            })
            .filter(|entry| after.is_none_or(|after| entry.path.as_str() > after))
            .collect();
        items.sort_by(|a, b| a.path.cmp(&b.path));
        let more = items.len() > limit;
        items.truncate(limit);
        Ok(FilesPage { items, more })
    }

    fn open(&self, job: &Job, path: &str) -> Result<(File, u64), FilesError> {
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.contains('\0') {
            return Err(FilesError::Invalid(format!(
                "`{}` isn't a path",
                path.escape_default()
            )));
        }
        open(&self.0.join(job.id.to_string()).join(path))
    }

    /// A file `JOB.tar`, with what `JOB.left-out` says isn't in it. Where `JOB.broken` is there,
    /// it can't be read to its end.
    fn pack(&self, job: &Job) -> Result<Packed, FilesError> {
        let (archive, _) = open(&self.0.join(format!("{}.tar", job.id)))?;
        let left_out = std::fs::read(self.0.join(format!("{}.left-out", job.id)));
        let broken = self.0.join(format!("{}.broken", job.id)).exists();
        Ok(Packed {
            archive: match broken {
                true => Box::new(std::io::Read::chain(archive, Broken)),
                false => Box::new(archive),
            },
            left_out: left_out.map_or(LeftOut::default(), |text| {
                serde_json::from_slice(&text).unwrap()
            }),
        })
    }

    /// As a file `JOB.rREVISION.PHASE.ATTEMPT` says.
    fn changes(&self, job: &Job, key: &AttemptKey) -> Result<Changes, FilesError> {
        let AttemptKey {
            revision,
            phase,
            attempt,
        } = key;
        let name = format!("{}.r{revision}.{phase}.{attempt}", job.id);
        let text = std::fs::read(self.0.join(name)).map_err(|_| FilesError::NotFound)?;
        Ok(serde_json::from_slice(&text).unwrap())
    }
}

/// What can't be read.
struct Broken;

impl std::io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("it is broken"))
    }
}

impl SiteFiles for Folder {
    fn open(&self, folder: &str, path: &str) -> Result<(File, u64), FilesError> {
        let fine = !path.split('/').any(|part| matches!(part, "" | "." | ".."));
        assert!(fine && !path.contains('\0'), "`{path}` reached the files");
        open(&self.0.join(folder).join(path))
    }
}

fn open(path: &Path) -> Result<(File, u64), FilesError> {
    let file = File::open(path).map_err(|_| FilesError::NotFound)?;
    let meta = file.metadata().map_err(FilesError::Io)?;
    if meta.is_dir() {
        Err(FilesError::Folder)
    } else {
        Ok((file, meta.len()))
    }
}
