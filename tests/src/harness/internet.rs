//! An internet of the test's own: two network namespaces with a line between them, and no other.
//! The test runs in one, as on a machine whose resolver and whose only line lead into the other,
//! where a name server and a server answer at addresses that are public elsewhere.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::mpsc;

use rustix::process::geteuid;
use rustix::thread::{UnshareFlags, gettid, unshare_unsafe};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::parts::not_run;

/// Says that the test is in its namespace.
const INSIDE: &str = "GANTRY_TEST_APART";
/// The server outside, and this machine's end of the line.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(5, 5, 5, 1);
const OWN: Ipv4Addr = Ipv4Addr::new(5, 5, 5, 2);
/// The ends of the line.
const LINE: [&str; 2] = ["gt-in", "gt-out"];
const PORT: u16 = 8080;

/// What the server outside says.
pub const GREETING: &str = "hello from outside";

/// What a machine finds outside, for as long as this value lives.
pub struct Internet {
    servers: [JoinHandle<()>; 2],
    _folder: TempDir,
}

impl Internet {
    /// The test of that name, its module's included, with an internet around it. None: it has run in a process of its
    /// own, apart from this machine's network, and passed; or the list of what did not run says
    /// why.
    ///
    /// # Panics
    /// Where it failed there, or isn't called so.
    pub async fn of(test: &str) -> Option<Self> {
        // Of another name, no test would run there, and none would fail.
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        assert!(
            name == test || name == "main",
            "this is `{name}`, not `{test}`"
        );
        if std::env::var_os(INSIDE).is_some() {
            return Some(Self::make());
        }
        if !geteuid().is_root() {
            not_run(test, "only root may make network namespaces");
            return None;
        }
        if let Some(missing) = ["ip", "mount", "unshare"].iter().find(|it| !is_there(it)) {
            let mend = "apt-get install iproute2 mount util-linux";
            not_run(test, &format!("there is no `{missing}` on PATH: {mend}"));
            return None;
        }
        let mut apart = Command::new("unshare");
        apart
            .args(["--net", "--mount", "--propagation", "private", "--"])
            .arg(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(INSIDE, "1")
            .process_group(0);
        let status = tokio::task::spawn_blocking(move || apart.status());
        let status = status.await.unwrap().unwrap();
        assert!(status.success(), "{test} failed in its own namespace");
        None
    }

    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (listener, names) = outside();
        let resolver = format!("nameserver {OUTSIDE}\noptions timeout:5 attempts:2\n");
        put(&folder, "/etc/resolv.conf", &resolver);
        // Nobody else is asked, who would ask somebody on the machine's own line.
        put(&folder, "/etc/nsswitch.conf", "hosts: files dns\n");
        Self {
            servers: [
                tokio::spawn(greet(listener)),
                tokio::spawn(answer_names(names)),
            ],
            _folder: folder,
        }
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        for server in &self.servers {
            server.abort();
        }
    }
}

/// What the names outside resolve to; others aren't there.
fn resolve(name: &str) -> Option<Ipv4Addr> {
    match name {
        "listed.test" | "unlisted.test" => Some(OUTSIDE),
        "private.test" => Some(Ipv4Addr::new(10, 1, 2, 3)),
        "metadata.test" => Some(Ipv4Addr::new(169, 254, 169, 254)),
        "own.test" => Some(OWN),
        _ => None,
    }
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Lays a line to a namespace that lives as long as its sockets do; the sockets.
fn outside() -> (TcpListener, UdpSocket) {
    run("ip", &["link", "set", "lo", "up"]);
    let (tell, told) = mpsc::channel();
    let (go, going) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        // SAFETY: the descriptors stay shared; only what this thread opens and starts from now
        // on is elsewhere in the network.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }.unwrap();
        tell.send(gettid()).unwrap();
        going.recv().unwrap();
        let address = format!("{OUTSIDE}/24");
        run("ip", &["address", "add", &address, "dev", LINE[1]]);
        run("ip", &["link", "set", LINE[1], "up"]);
        let listener = TcpListener::bind((OUTSIDE, PORT)).unwrap();
        (listener, UdpSocket::bind((OUTSIDE, 53)).unwrap())
    });
    let there = told.recv().unwrap().as_raw_nonzero().to_string();
    let line = [
        "link", "add", LINE[0], "type", "veth", "peer", "name", LINE[1],
    ];
    run("ip", &line);
    run("ip", &["link", "set", LINE[1], "netns", &there]);
    let address = format!("{OWN}/24");
    run("ip", &["address", "add", &address, "dev", LINE[0]]);
    run("ip", &["link", "set", LINE[0], "up"]);
    go.send(()).unwrap();
    thread.join().unwrap()
}

/// For this process and those that it starts, that file says this.
fn put(folder: &TempDir, file: &str, text: &str) {
    let place = folder.path().join(file.rsplit('/').next().unwrap());
    fs::write(&place, text).unwrap();
    run("mount", &["--bind", place.to_str().unwrap(), file]);
}

fn run(program: &str, args: &[&str]) {
    let ended = Command::new(program).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{program} {args:?}: {said}");
}

async fn greet(listener: TcpListener) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let length = GREETING.len();
            let head = format!("HTTP/1.0 200 OK\r\ncontent-length: {length}\r\n\r\n");
            let _ = stream.write_all((head + GREETING).as_bytes()).await;
        });
    }
}

/// Answers questions for IPv4 addresses, one a message, as RFC 1035 has them.
async fn answer_names(socket: UdpSocket) {
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
    let mut question = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut question).await {
        if let Some(answer) = answer_to(&question[..length]) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

fn answer_to(question: &[u8]) -> Option<Vec<u8>> {
    const HEAD: usize = 12;
    let mut labels = Vec::new();
    let mut at = HEAD;
    while *question.get(at)? > 0 {
        let end = at + 1 + usize::from(question[at]);
        labels.push(std::str::from_utf8(question.get(at + 1..end)?).ok()?);
        at = end;
    }
    let end = at + 5;
    let is_ipv4 = question.get(at + 1..at + 3)? == [0, 1];
    let found = resolve(&labels.join(".").to_lowercase());
    let address = found.filter(|_| is_ipv4);
    let mut answer = question.get(..2)?.to_vec();
    // An answer, with recursion; a name that isn't there is error 3.
    answer.extend([0x81, if found.is_some() { 0x80 } else { 0x83 }]);
    answer.extend([0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    answer.extend(question.get(HEAD..end)?);
    if let Some(address) = address {
        // The name of the question, type A, class IN, no time to live, four bytes.
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}
