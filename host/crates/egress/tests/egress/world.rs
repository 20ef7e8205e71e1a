//! The world outside: what names resolve to, which addresses stand for which server here, and
//! what was asked of it; and the book of attempts. It judges nothing.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use egress::{Attempt, Book, Outside};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::within;

#[derive(Debug, Default)]
pub(crate) struct World {
    /// What each name resolves to, one answer after the other; the last one stays.
    names: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    servers: HashMap<SocketAddr, SocketAddr>,
    own: Vec<IpAddr>,
    hangs: bool,
    resolved: Mutex<Vec<String>>,
    connected: Mutex<Vec<SocketAddr>>,
}

impl World {
    /// One more answer about a name.
    pub(crate) fn name(self, name: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        self.names
            .lock()
            .unwrap()
            .entry(name.to_owned())
            .or_default()
            .push(addresses.collect());
        self
    }

    /// An address and a port that stand for a server here.
    pub(crate) fn server(mut self, address: &str, port: u16, server: &Server) -> Self {
        let address = SocketAddr::new(address.parse().unwrap(), port);
        self.servers.insert(address, server.address);
        self
    }

    /// An address of this machine's own.
    pub(crate) fn own(mut self, address: &str) -> Self {
        self.own.push(address.parse().unwrap());
        self
    }

    /// A resolver that never answers.
    pub(crate) fn without_answers(mut self) -> Self {
        self.hangs = true;
        self
    }

    pub(crate) fn resolved(&self) -> Vec<String> {
        self.resolved.lock().unwrap().clone()
    }

    pub(crate) fn connected(&self) -> Vec<String> {
        let connected = self.connected.lock().unwrap();
        connected.iter().map(ToString::to_string).collect()
    }
}

#[async_trait]
impl Outside for World {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.resolved.lock().unwrap().push(name.to_owned());
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let mut names = self.names.lock().unwrap();
        let answers = names
            .get_mut(name)
            .ok_or_else(|| io::Error::other("there is no such name"))?;
        Ok(match answers.len() {
            1 => answers[0].clone(),
            _ => answers.remove(0),
        })
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.connected.lock().unwrap().push(address);
        match self.servers.get(&address) {
            Some(server) => TcpStream::connect(server).await,
            None => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    fn is_own(&self, address: IpAddr) -> bool {
        self.own.contains(&address)
    }
}

/// A server on loopback.
pub(crate) struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves each connection with this.
    pub(crate) async fn start<F, A>(serve: F) -> Self
    where
        F: Fn(TcpStream) -> A + Send + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        Self { address, task }
    }

    /// Says back what it is told, to its end.
    pub(crate) async fn echo() -> Self {
        Self::start(|mut stream| async move {
            let (mut from, mut to) = stream.split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
        })
        .await
    }

    /// Reads all that it is told, and then says this.
    pub(crate) async fn hears_and_says(said: &'static [u8]) -> Self {
        Self::start(move |mut stream| async move {
            let mut heard = Vec::new();
            let _ = stream.read_to_end(&mut heard).await;
            let _ = stream.write_all(said).await;
        })
        .await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What was noted.
#[derive(Debug)]
pub(crate) struct Notes {
    lines: watch::Sender<Vec<String>>,
    full: AtomicBool,
}

impl Default for Notes {
    fn default() -> Self {
        let lines = watch::Sender::new(Vec::new());
        let full = AtomicBool::new(false);
        Self { lines, full }
    }
}

impl Notes {
    /// As the lines of a log.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// Once there are so many.
    pub(crate) async fn of(self: &Arc<Self>, count: usize) -> Vec<String> {
        let mut lines = self.lines.subscribe();
        let lines = within(lines.wait_for(|lines| lines.len() >= count)).await;
        lines.unwrap().clone()
    }

    /// From now on nothing is kept.
    pub(crate) fn lose_all(&self) {
        self.full.store(true, Ordering::SeqCst);
    }
}

#[async_trait]
impl Book for Notes {
    async fn note(&self, attempt: &Attempt) -> bool {
        let kept = !self.full.load(Ordering::SeqCst);
        if kept {
            let line = attempt.to_string();
            self.lines.send_modify(|lines| lines.push(line));
        }
        kept
    }
}
