//! How others ask the node, each in a task of its own, and what they are told.

use std::fmt;
use std::sync::Arc;

use libp2p::metrics::Registry;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::identity::Peer;
use crate::reports::Report;

/// Why the node did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Certainly not done.
    Undone(String),
    /// It may have been done, in part or whole.
    Unknown(String),
}

/// What a node tells of itself.
#[derive(Clone, Debug)]
pub struct Health {
    /// Whether it is in the mesh of broadcasts and knows others of the DHT, or is the first node.
    pub has_entered: bool,
    pub id: PeerId,
    pub listeners: Vec<Multiaddr>,
    pub peers: usize,
    pub mesh: usize,
    pub routing: usize,
}

impl fmt::Display for Health {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, peers, mesh, routing, .. } = self;
        writeln!(to, r#"{{"id": "{id}", "peers": {peers}, "mesh": {mesh}, "routing": {routing}}}"#)
    }
}

pub(crate) type Answer<T> = oneshot::Sender<Result<T, Refused>>;
pub type Found = Option<(Vec<u8>, PeerId)>;

pub(crate) enum Asked {
    Broadcast(Vec<u8>, Answer<String>),
    Send(Peer, Vec<u8>, Answer<()>),
    Connect(Peer, Answer<()>),
    Put(Vec<u8>, Vec<u8>, Answer<()>),
    Get(Vec<u8>, Answer<Found>),
    Health(Answer<Health>),
}

/// Asks the node; each call ends when the node's answer is known.
#[derive(Clone)]
pub struct Handle {
    pub(crate) asked: mpsc::Sender<Asked>,
    pub(crate) reports: broadcast::Sender<Arc<Report>>,
    pub(crate) registry: Arc<Registry>,
}

impl Handle {
    async fn ask<T>(&self, make: impl FnOnce(Answer<T>) -> Asked) -> Result<T, Refused> {
        let (answer, answered) = oneshot::channel();
        let gone = |_| Refused::Undone("the node has ended".into());
        self.asked.send(make(answer)).await.map_err(|_| gone(()))?;
        answered.await.unwrap_or_else(|_| Err(Refused::Unknown("the node gave it up".into())))
    }

    /// Publish to all; the id that gossipsub gave it.
    pub async fn broadcast(&self, payload: Vec<u8>) -> Result<String, Refused> {
        self.ask(|answer| Asked::Broadcast(payload, answer)).await
    }

    /// Have one node receive it.
    pub async fn send(&self, to: Peer, payload: Vec<u8>) -> Result<(), Refused> {
        self.ask(|answer| Asked::Send(to, payload, answer)).await
    }

    /// Make a new connection, whatever others there are.
    pub async fn connect(&self, to: Peer) -> Result<(), Refused> {
        self.ask(|answer| Asked::Connect(to, answer)).await
    }

    /// Store a value at the nodes nearest to its key; done when one other node has it.
    pub async fn put(&self, key: Vec<u8>, value: Vec<u8>) -> Result<(), Refused> {
        self.ask(|answer| Asked::Put(key, value, answer)).await
    }

    /// Find the value of a key at another node, also where this one has it.
    pub async fn get(&self, key: Vec<u8>) -> Result<Found, Refused> {
        self.ask(|answer| Asked::Get(key, answer)).await
    }

    pub async fn health(&self) -> Result<Health, Refused> {
        self.ask(Asked::Health).await
    }

    /// What arrives from now on.
    pub fn reports(&self) -> broadcast::Receiver<Arc<Report>> {
        self.reports.subscribe()
    }

    /// Metrics as Prometheus reads them.
    pub fn metrics(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
