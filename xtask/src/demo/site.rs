//! Asks for one page as a browser would that resolves `*.localhost` to loopback. It is no
//! HTTP client: one GET, one answer, read to its end.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

const LIMIT: Duration = Duration::from_secs(10);
const MAX_BYTES: u64 = 4 << 20;

/// The title of the page at `url`, which must be on this machine and answer 200.
pub(super) fn title(url: &str) -> Result<String> {
    let rest = url
        .strip_prefix("http://")
        .context("not an http:// address")?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let port = match host.rsplit_once(':') {
        Some((_, port)) => port.parse().context("the port")?,
        None => 80,
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )?;
    let mut bytes = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut bytes)?;
    let answer = String::from_utf8_lossy(&bytes);
    let first = answer.lines().next().unwrap_or_default();
    if first.split_whitespace().nth(1) != Some("200") {
        bail!("answered \"{first}\"");
    }
    title_in(&answer).context("the page has no title")
}

fn title_in(page: &str) -> Option<String> {
    let (title, _) = page.split_once("<title>")?.1.split_once("</title>")?;
    let title = title.trim();
    (!title.is_empty()).then(|| title.to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn answered(answer: &'static str) -> (String, Result<String>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap()
        });
        let title = title(&format!("http://keepers.localhost:{port}/a/b"));
        (server.join().unwrap(), title)
    }

    #[test]
    fn a_site_is_asked_for_by_its_own_name() {
        let (request, title) = answered("HTTP/1.1 200 OK\r\n\r\n<title> Keepers </title>");
        assert!(
            request.starts_with("GET /a/b HTTP/1.1\r\nHost: keepers.localhost:"),
            "{request}"
        );
        assert_eq!(title.unwrap(), "Keepers");
    }

    #[test]
    fn another_status_or_no_title_is_an_error() {
        let (_, missing) = answered("HTTP/1.1 404 Not Found\r\n\r\n<title>No</title>");
        assert_eq!(
            missing.unwrap_err().to_string(),
            "answered \"HTTP/1.1 404 Not Found\""
        );
        let (_, untitled) = answered("HTTP/1.1 200 OK\r\n\r\n<title> </title>");
        assert_eq!(untitled.unwrap_err().to_string(), "the page has no title");
    }
}
