//! The world outside: what a name resolves to, and how an address is connected to. It judges
//! neither; a test has a world of its own, and the same judge.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use async_trait::async_trait;
use tokio::net::{TcpStream, lookup_host};

/// What lies behind the host's line.
#[async_trait]
pub trait Outside: Send + Sync + fmt::Debug {
    /// Every address of a name.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;

    /// Connects to this very address.
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream>;

    /// Whether it is an address of this machine, whatever kind it is. Sends nothing.
    fn is_own(&self, address: IpAddr) -> bool;
}

/// The machine's own resolver and its own line.
#[derive(Debug, Clone, Copy)]
pub struct System;

#[async_trait]
impl Outside for System {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        // With a dot at its end it is whole: no domain of the machine's own is tried behind it.
        let found = lookup_host((format!("{name}."), 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address).await
    }

    fn is_own(&self, address: IpAddr) -> bool {
        let any: IpAddr = match address {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        // To connect a datagram socket is to ask for the route: towards an address of its own
        // the machine answers from that address.
        let from = std::net::UdpSocket::bind((any, 0)).and_then(|socket| {
            socket.connect((address, 443))?;
            socket.local_addr()
        });
        from.is_ok_and(|from| from.ip() == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_is_known() {
        assert!(System.is_own(Ipv4Addr::LOCALHOST.into()));
        assert!(!System.is_own(Ipv4Addr::new(192, 0, 2, 1).into()));
        assert!(!System.is_own("2001:db8::1".parse().unwrap()));
    }
}
