//! Where the attempts are made: a host, a neighbour whose agent waits meanwhile, and what an agent
//! may try to reach of the machine. It makes no attempt.

use std::fs;
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tests::harness::{Client, DEADLINE, Docker, Game, Host, Part, Parts, Setup};
use tests::standin::{Asked, Gate, Reply, Script, Standin};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinSet;

use crate::attempts::PROBE;

pub(crate) const KEY: &str = "the-real-key";
pub(crate) const NAME: &str = "a game about a ferry";
const NEIGHBOUR: &str = "a game about the neighbour";

/// What only the prompts of these phases say.
pub(crate) const IDEA: &str = "write it down as `idea.json`";
pub(crate) const BUILD: &str = "Build one small browser game as a single page";

/// What an agent is scripted to do in a phase, before it does the phase's work.
#[derive(Default)]
pub(crate) struct Plan {
    /// Of the phase whose prompt has this in it.
    steps: Mutex<Vec<(&'static str, Vec<Reply>)>>,
    /// Of the neighbour's answers.
    pub(crate) neighbour: Gate,
    /// Of answers to what outlives its run.
    pub(crate) late: Gate,
    /// Where a redirect leads.
    elsewhere: Mutex<String>,
}

impl Plan {
    pub(crate) fn set(&self, phase: &'static str, steps: Vec<Reply>) {
        self.steps.lock().unwrap().push((phase, steps));
    }

    /// The model's side of it.
    pub(crate) fn script(self: &Arc<Self>) -> impl Script + use<> {
        let (plan, game) = (Arc::clone(self), Game::of(NAME).script());
        move |asked: &Asked| plan.reply(asked, &game)
    }

    fn reply(&self, asked: &Asked, game: &impl Script) -> Reply {
        let prompt = asked.prompt();
        match prompt.as_str() {
            "afterlife" => return Reply::text("late").behind(&self.late),
            "please redirect" => return Reply::redirect(&*self.elsewhere.lock().unwrap()),
            _ if prompt.contains(NEIGHBOUR) => return Reply::text("done").behind(&self.neighbour),
            _ => {}
        }
        let steps = self.steps.lock().unwrap();
        let of_phase = steps.iter().find(|(phase, _)| prompt.contains(phase));
        let step = of_phase
            .filter(|_| asked.tools().contains(&"Bash"))
            .and_then(|(_, steps)| steps.get(asked.tool_uses().len()));
        step.cloned().unwrap_or_else(|| game.reply(asked))
    }
}

/// The probe, laid into the workspace.
pub(crate) fn probe() -> Reply {
    Reply::write_file("/workspace/probe.pl", PROBE)
}

/// A command of the agent's Bash tool.
pub(crate) fn bash(command: impl Into<String>) -> Reply {
    let command = command.into();
    let minutes = 5 * 60 * 1000;
    Reply::tool(
        "Bash",
        json!({ "command": command, "description": "d", "timeout": minutes }),
    )
}

/// These attempts, whose outcome is a file of the workspace.
pub(crate) fn attempts(file: &str, given: &[String], names: &[&str]) -> Reply {
    let words = [
        given.to_vec(),
        names.iter().map(|&it| it.to_owned()).collect(),
    ]
    .concat();
    bash(format!(
        "perl probe.pl out=/workspace/{file} {} 2>/workspace/{file}.err",
        words.join(" ")
    ))
}

/// A file of a job's workspace, as the host gives it out.
pub(crate) async fn file(client: &Client, job: &str, path: &str) -> String {
    let answer = client.get(&format!("/api/jobs/{job}/files/{path}")).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

/// A host in containers, with its neighbour's agent at work.
pub(crate) struct Scene {
    pub(crate) plan: Arc<Plan>,
    pub(crate) host: Host,
    pub(crate) api: Standin,
    pub(crate) machine: Machine,
    /// Of the neighbour: its job, its files, its run's folder.
    neighbour: (String, PathBuf, PathBuf),
}

impl Scene {
    pub(crate) async fn start(pipeline: &str) -> Self {
        let machine = Machine::open().await;
        let plan = Arc::<Plan>::default();
        *plan.elsewhere.lock().unwrap() = format!("http://{}/v1/messages", machine.tcp4);
        let api = Standin::start(plan.script()).await.unwrap();
        let one =
            "name = \"neighbour\"\n[[phase]]\nid = \"idea\"\nplugin = \"idea\"\nattempts = 1\n";
        let setup = Setup::docker(api.url(), KEY)
            .set("GANTRY_ORPHAN_MS", "1000")
            .pipeline("escape", pipeline)
            .pipeline("neighbour", one);
        let host = Host::start(setup).await;
        let job = json!({ "name": NEIGHBOUR, "pipeline": "neighbour" });
        let id = host.client().submit_with(&job).await;
        api.asked_times(1, DEADLINE).await.unwrap();
        let files = host.data().join("workspaces").join(&id).join("files");
        fs::write(files.join("mark"), "the neighbour's").unwrap();
        let run = run_of(&host.data().join("run"), &id);
        fs::write(host.folder().join("secret"), "the machine's").unwrap();
        Self {
            plan,
            host,
            api,
            machine,
            neighbour: (id, files, run),
        }
    }

    pub(crate) async fn submit(&self) -> String {
        let job = json!({ "name": NAME, "pipeline": "escape" });
        self.host.client().submit_with(&job).await
    }

    /// Waits until the model was asked so many times: many attempts take their time on a machine
    /// that has other work.
    pub(crate) async fn asked(&self, times: usize) {
        self.api.asked_times(times, 3 * DEADLINE).await.unwrap();
    }

    /// A file of the machine, which no agent may read.
    pub(crate) fn secret(&self) -> PathBuf {
        self.host.folder().join("secret")
    }

    /// What the attempts are told to reach for. Two of it are spelt backwards, so that whoever is
    /// told of them doesn't hold them.
    pub(crate) fn given(&self) -> Vec<String> {
        let (_, files, run) = &self.neighbour;
        let backwards = |text: &str| text.chars().rev().collect::<String>();
        let token = fs::read_to_string(run.join("token")).unwrap();
        let docker = Docker::find().unwrap();
        let socket = docker.host().strip_prefix("unix://").unwrap_or_default();
        let Machine {
            tcp4,
            tcp6,
            udp4,
            named,
            ..
        } = &self.machine;
        let tcp6 = tcp6.map_or_else(|| "::1:9".to_owned(), |it| format!("::1:{}", it.port()));
        vec![
            format!("key={}", backwards(KEY)),
            format!("neighbour-token={}", backwards(&token)),
            format!("neighbour-file={}", files.join("mark").display()),
            format!("neighbour-socket={}", run.join("run/model.sock").display()),
            format!("host-file={}", self.secret().display()),
            format!("engine={socket},/var/run/docker.sock,/run/containerd/containerd.sock"),
            format!("tcp4={tcp4}"),
            format!("tcp6={tcp6}"),
            format!("udp4={udp4}"),
            format!("abstract={named}"),
            "memory=1200".to_owned(),
        ]
    }

    /// The neighbour wasn't disturbed: its agent goes on, and its job ends.
    pub(crate) async fn neighbour_goes_on(&self) {
        let (id, files, _) = &self.neighbour;
        assert_eq!(
            fs::read_to_string(files.join("mark")).unwrap(),
            "the neighbour's"
        );
        let client = self.host.client();
        let job = client.job(id).await;
        assert_eq!(job["status"], "running", "{job:#}");
        self.plan.neighbour.open();
        client.ended(id).await;
    }
}

/// The folder of the one run that this job has.
fn run_of(runs: &Path, job: &str) -> PathBuf {
    let folders = fs::read_dir(runs).unwrap().flatten();
    let of_job = |folder: &PathBuf| {
        let key = fs::read(folder.join("key.json")).unwrap_or_default();
        let key: Value = serde_json::from_slice(&key).unwrap_or_default();
        key["job"] == job
    };
    let mut folders = folders.map(|entry| entry.path()).filter(of_job);
    folders.next().expect("its run has a folder")
}

/// Listeners on this machine: each greets whoever comes, and all who came are counted.
pub(crate) struct Machine {
    pub(crate) tcp4: SocketAddr,
    /// None on a machine without IPv6.
    pub(crate) tcp6: Option<SocketAddr>,
    udp4: SocketAddr,
    /// A unix socket without a file.
    named: String,
    came: Arc<AtomicUsize>,
    _listening: JoinSet<()>,
}

const GREETING: &[u8] = b"hello\n";

impl Machine {
    async fn open() -> Self {
        let (came, mut listening) = (Arc::<AtomicUsize>::default(), JoinSet::new());
        let tcp4 = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp6 = tokio::net::TcpListener::bind("[::1]:0").await.ok();
        let udp4 = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let named = format!("gantry-escapes-{}", uuid::Uuid::new_v4());
        let unix = UnixListener::bind_addr(&UnixAddr::from_abstract_name(&named).unwrap()).unwrap();
        unix.set_nonblocking(true).unwrap();
        let unix = tokio::net::UnixListener::from_std(unix).unwrap();
        let machine = Self {
            tcp4: tcp4.local_addr().unwrap(),
            tcp6: tcp6.as_ref().map(|it| it.local_addr().unwrap()),
            udp4: udp4.local_addr().unwrap(),
            named,
            came: Arc::clone(&came),
            _listening: JoinSet::new(),
        };
        for tcp in [Some(tcp4), tcp6].into_iter().flatten() {
            let came = Arc::clone(&came);
            listening.spawn(async move {
                while let Ok((stream, _)) = tcp.accept().await {
                    came.fetch_add(1, Ordering::SeqCst);
                    greet(stream).await;
                }
            });
        }
        let also = Arc::clone(&came);
        listening.spawn(async move {
            while let Ok((stream, _)) = unix.accept().await {
                also.fetch_add(1, Ordering::SeqCst);
                greet(stream).await;
            }
        });
        listening.spawn(async move {
            let mut asked = [0; 64];
            while let Ok((_, from)) = udp4.recv_from(&mut asked).await {
                came.fetch_add(1, Ordering::SeqCst);
                let _ = udp4.send_to(GREETING, from).await;
            }
        });
        Self {
            _listening: listening,
            ..machine
        }
    }

    /// How many came so far.
    pub(crate) fn came(&self) -> usize {
        self.came.load(Ordering::SeqCst)
    }
}

/// Once it was asked: whoever asks of a connection that has ended hears of that alone.
pub(crate) async fn greet(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut asked = [0; 64];
    if stream.read(&mut asked).await.is_ok() {
        let _ = stream.write_all(GREETING).await;
    }
}

/// The image of the agent.
pub(crate) fn image(parts: Parts) -> String {
    parts.place(Part::WorkerImage)
}
