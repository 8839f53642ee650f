//! A node's key is made of its name, so that everybody who knows the name knows the peer id.
//!
//! It is no secret. That is what a test wants: the same peers each time, and a node that starts
//! again is the one that it was.

use std::net::IpAddr;
use std::str::FromStr;

use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use sha2::{Digest, Sha256};

pub const PORT: u16 = 4001;

/// The key of the node of that name.
pub fn keypair(name: &str) -> Keypair {
    let secret: [u8; 32] = Sha256::digest(format!("p2p-harness libp2p-node {name}")).into();
    Keypair::ed25519_from_bytes(secret).expect("any 32 bytes are a secret key")
}

/// The peer id of the node of that name.
pub fn peer_id(name: &str) -> PeerId {
    keypair(name).public().to_peer_id()
}

/// Where a node of that address listens.
pub fn listener(address: IpAddr, port: u16) -> Multiaddr {
    Multiaddr::from(address).with(libp2p::multiaddr::Protocol::Tcp(port))
}

/// Another node, as it is written on the command line: `NAME@ADDRESS`, or `NAME@ADDRESS:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    pub id: PeerId,
    pub address: Multiaddr,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("expected NAME@ADDRESS[:PORT], found {text:?}");
        let (name, rest) = text.split_once('@').ok_or_else(wrong)?;
        let (address, port) = match rest.parse::<IpAddr>() {
            Ok(address) => (address, PORT),
            Err(_) => {
                let both: std::net::SocketAddr = rest.parse().map_err(|_| wrong())?;
                (both.ip(), both.port())
            }
        };
        if name.is_empty() {
            return Err(wrong());
        }
        Ok(Self { id: peer_id(name), address: listener(address, port) })
    }
}

/// Several of them, with commas between; none where the text is empty.
pub fn peers(text: &str) -> Result<Vec<Peer>, String> {
    text.split(',').filter(|one| !one.is_empty()).map(str::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_peer_each_time_and_another_than_others() {
        assert_eq!(peer_id("node-1"), peer_id("node-1"));
        assert_ne!(peer_id("node-1"), peer_id("node-2"));
    }

    #[test]
    fn peers_are_read() {
        assert_eq!(peers(""), Ok(vec![]));
        let read = peers("node-0@198.18.0.1,node-1@198.18.0.2:5000").unwrap();
        assert_eq!(read[0].id, peer_id("node-0"));
        assert_eq!(read[0].address.to_string(), "/ip4/198.18.0.1/tcp/4001");
        assert_eq!(read[1].address.to_string(), "/ip4/198.18.0.2/tcp/5000");
        for wrong in ["node-0", "@198.18.0.1", "node-0@nowhere", "node-0@198.18.0.1,x"] {
            assert!(peers(wrong).unwrap_err().starts_with("expected NAME@ADDRESS"), "{wrong}");
        }
    }
}
