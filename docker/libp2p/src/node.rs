//! The node: one task that owns the swarm and does what its handles ask.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity, PublishError};
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::kad::{self, GetRecordOk, QueryId, QueryResult, Quorum, Record};
use libp2p::metrics::{Metrics, Recorder, Registry};
use libp2p::request_response::{self, OutboundFailure, OutboundRequestId, ProtocolSupport};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, identify, noise, ping, tcp, yamux};
use tokio::sync::{broadcast, mpsc};
use tokio::time::MissedTickBehavior;

use crate::codec::{self, Codec};
use crate::handle::{Answer, Asked, Found, Handle, Health, Refused};
use crate::identity::{self, Peer};
use crate::reports::{BEHIND_MAX, Kind, Report};

const KAD: StreamProtocol = StreamProtocol::new("/p2p-harness/kad/1.0.0");
const IDENTIFY: &str = "/p2p-harness/1.0.0";
const TOPIC: &str = "broadcast";
/// The library's store has room for 1,024 values; a load of minutes puts more.
const VALUES_MAX: usize = 1 << 16;
/// How long a connection that no protocol needs is kept; the library's 10 s suit lookups alone.
const IDLE: Duration = Duration::from_secs(60);
/// libp2p dials nobody again by itself: so often this node looks whom it lacks.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Below as many peers it dials whom it knows from the DHT too: gossipsub's mesh wants six.
const PEERS_WANTED: usize = 6;
const ASKED_MAX: usize = 1 << 10;

/// What a node is told as it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    pub name: String,
    pub listener: Multiaddr,
    pub entrances: Vec<Peer>,
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    kad: kad::Behaviour<MemoryStore>,
    gossipsub: gossipsub::Behaviour,
    messages: request_response::Behaviour<Codec>,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
}

impl Behaviour {
    fn new(key: &Keypair, registry: &mut Registry) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let id = key.public().to_peer_id();
        let stores = MemoryStoreConfig { max_records: VALUES_MAX, ..Default::default() };
        let store = MemoryStore::with_config(id, stores);
        let mut kad = kad::Behaviour::with_config(id, store, kad::Config::new(KAD));
        // Nobody tells it whether others can dial it, by which it would decide: here all can.
        kad.set_mode(Some(kad::Mode::Server));
        let mut gossipsub = gossipsub::Behaviour::new(
            MessageAuthenticity::Signed(key.clone()),
            gossipsub::Config::default(),
        )?
        .with_metrics(registry.sub_registry_with_prefix("gossipsub"), Default::default());
        gossipsub.subscribe(&IdentTopic::new(TOPIC))?;
        let protocols = [(codec::PROTOCOL, ProtocolSupport::Full)];
        let identity = identify::Config::new(IDENTIFY.into(), key.public());
        Ok(Self {
            kad,
            gossipsub,
            messages: request_response::Behaviour::new(protocols, Default::default()),
            identify: identify::Behaviour::new(identity),
            ping: ping::Behaviour::default(),
        })
    }
}

/// One node. It runs while `run` is awaited.
pub struct Node {
    swarm: Swarm<Behaviour>,
    listener: ListenerId,
    entrances: Vec<Peer>,
    asked: mpsc::Receiver<Asked>,
    reports: broadcast::Sender<Arc<Report>>,
    metrics: Metrics,
    sends: HashMap<OutboundRequestId, Answer<()>>,
    connects: HashMap<ConnectionId, Answer<()>>,
    puts: HashMap<QueryId, Answer<()>>,
    gets: HashMap<QueryId, Answer<Found>>,
}

impl Node {
    /// Make a node that listens.
    pub fn new(settings: Settings) -> Result<(Self, Handle), Box<dyn Error>> {
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let mut swarm = SwarmBuilder::with_existing_identity(identity::keypair(&settings.name))
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
            .with_behaviour(|key| Behaviour::new(key, &mut registry))?
            .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE))
            .build();
        let listener = swarm.listen_on(settings.listener)?;
        let (asking, asked) = mpsc::channel(ASKED_MAX);
        let (reports, _) = broadcast::channel(BEHIND_MAX);
        let handle =
            Handle { asked: asking, reports: reports.clone(), registry: Arc::new(registry) };
        let mut node = Self {
            swarm,
            listener,
            entrances: settings.entrances,
            asked,
            reports,
            metrics,
            sends: HashMap::new(),
            connects: HashMap::new(),
            puts: HashMap::new(),
            gets: HashMap::new(),
        };
        for Peer { id, address } in node.entrances.clone() {
            node.swarm.behaviour_mut().kad.add_address(&id, address); // which has it bootstrap
        }
        Ok((node, handle))
    }

    /// Run until no handle is left, or the node can no longer listen.
    pub async fn run(mut self) {
        println!("{} begins", self.swarm.local_peer_id());
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.swarm.select_next_some() => {
                    self.metrics.record(&event);
                    if let SwarmEvent::ListenerClosed { listener_id, reason, .. } = &event
                        && *listener_id == self.listener
                    {
                        eprintln!("cannot listen any more: {reason:?}");
                        return;
                    }
                    self.happened(event);
                }
                asked = self.asked.recv() => match asked {
                    Some(asked) => self.do_it(asked),
                    None => return,
                },
                _ = looks.tick() => self.dial_whom_it_lacks(),
            }
        }
    }

    /// Dial the entrances that it has lost, and others that it knows while it has few peers.
    fn dial_whom_it_lacks(&mut self) {
        let mut wanted: Vec<DialOpts> = Vec::new();
        for Peer { id, address } in &self.entrances {
            let condition = PeerCondition::DisconnectedAndNotDialing;
            let to = DialOpts::peer_id(*id).condition(condition).addresses(vec![address.clone()]);
            wanted.push(to.build());
        }
        let connected: HashSet<PeerId> = self.swarm.connected_peers().copied().collect();
        let lacks = PEERS_WANTED.saturating_sub(connected.len());
        let known = self.swarm.behaviour_mut().kad.kbuckets().flat_map(|bucket| {
            bucket.iter().map(|entry| *entry.node.key.preimage()).collect::<Vec<_>>()
        });
        let others = known.filter(|id| !connected.contains(id)).take(lacks);
        wanted.extend(others.map(|id| DialOpts::peer_id(id).build()));
        for one in wanted {
            let _ = self.swarm.dial(one); // it is connected, or being dialled
        }
    }

    fn do_it(&mut self, asked: Asked) {
        match asked {
            Asked::Broadcast(payload, answer) => {
                let _ = answer.send(self.publish(payload));
            }
            Asked::Send(Peer { id, address }, payload, answer) => {
                if payload.len() as u64 > codec::PAYLOAD_BYTES_MAX {
                    let most = codec::PAYLOAD_BYTES_MAX;
                    let why = format!("expected at most {most} bytes, found {}", payload.len());
                    let _ = answer.send(Err(Refused::Undone(why)));
                    return;
                }
                let messages = &mut self.swarm.behaviour_mut().messages;
                let sent = messages.send_request_with_addresses(&id, payload, vec![address]);
                self.sends.insert(sent, answer);
            }
            Asked::Connect(Peer { id, address }, answer) => {
                let to = DialOpts::peer_id(id).condition(PeerCondition::Always);
                let to = to.addresses(vec![address]).build();
                let connection = to.connection_id();
                match self.swarm.dial(to) {
                    Ok(()) => _ = self.connects.insert(connection, answer),
                    Err(why) => _ = answer.send(Err(Refused::Undone(why.to_string()))),
                }
            }
            Asked::Put(key, value, answer) => {
                let record = Record::new(key, value);
                match self.swarm.behaviour_mut().kad.put_record(record, Quorum::One) {
                    Ok(query) => _ = self.puts.insert(query, answer),
                    Err(why) => _ = answer.send(Err(Refused::Undone(why.to_string()))),
                }
            }
            Asked::Get(key, answer) => {
                let query = self.swarm.behaviour_mut().kad.get_record(key.into());
                self.gets.insert(query, answer);
            }
            Asked::Health(answer) => _ = answer.send(Ok(self.health())),
        }
    }

    fn publish(&mut self, payload: Vec<u8>) -> Result<String, Refused> {
        let published =
            self.swarm.behaviour_mut().gossipsub.publish(IdentTopic::new(TOPIC), payload);
        published.map(|id| format!("{id}\n")).map_err(|why| match why {
            // By then gossipsub has it, and tells others that ask.
            PublishError::AllQueuesFull(_) => Refused::Unknown(why.to_string()),
            _ => Refused::Undone(why.to_string()),
        })
    }

    fn health(&mut self) -> Health {
        let id = *self.swarm.local_peer_id();
        let listeners = self.swarm.listeners().cloned().collect();
        let peers = self.swarm.connected_peers().count();
        let Behaviour { kad, gossipsub, .. } = self.swarm.behaviour_mut();
        let mesh = gossipsub.mesh_peers(&IdentTopic::new(TOPIC).hash()).count();
        let routing = kad.kbuckets().map(|bucket| bucket.num_entries()).sum();
        let has_entered = self.entrances.is_empty() || (mesh > 0 && routing > 0);
        Health { has_entered, id, listeners, peers, mesh, routing }
    }

    fn happened(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Kad(event)) => {
                self.metrics.record(&event);
                if let kad::Event::OutboundQueryProgressed { id, result, .. } = event {
                    self.looked_up(id, result);
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gossipsub(event)) => {
                self.metrics.record(&event);
                if let gossipsub::Event::Message { propagation_source, message, .. } = event {
                    let from = message.source.unwrap_or(propagation_source);
                    self.report(Kind::Broadcast, from, message.data);
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Messages(event)) => self.messaged(event),
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => {
                self.metrics.record(&event);
                if let identify::Event::Received { peer_id, info, .. } = event
                    && info.protocols.contains(&KAD)
                {
                    for address in info.listen_addrs {
                        self.swarm.behaviour_mut().kad.add_address(&peer_id, address);
                    }
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => {
                self.metrics.record(&event);
                if event.result.is_err() {
                    self.swarm.close_connection(event.connection); // libp2p leaves that to us
                }
            }
            SwarmEvent::ConnectionEstablished { connection_id, .. } => {
                if let Some(answer) = self.connects.remove(&connection_id) {
                    let _ = answer.send(Ok(()));
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some(answer) = self.connects.remove(&connection_id) {
                    let _ = answer.send(Err(Refused::Unknown(error.to_string())));
                }
            }
            _ => {}
        }
    }

    fn report(&self, kind: Kind, from: PeerId, payload: Vec<u8>) {
        // Nobody may listen: then nobody misses it.
        let _ = self.reports.send(Arc::new(Report { kind, from, payload }));
    }

    fn messaged(&mut self, event: request_response::Event<Vec<u8>, ()>) {
        use request_response::{Event, Message};
        match event {
            Event::Message { peer, message: Message::Request { request, channel, .. }, .. } => {
                self.report(Kind::Message, peer, request);
                // Where the sender is gone it does not learn of it.
                let _ = self.swarm.behaviour_mut().messages.send_response(channel, ());
            }
            Event::Message { message: Message::Response { request_id, .. }, .. } => {
                if let Some(answer) = self.sends.remove(&request_id) {
                    let _ = answer.send(Ok(()));
                }
            }
            Event::OutboundFailure { request_id, error, .. } => {
                if let Some(answer) = self.sends.remove(&request_id) {
                    let why = error.to_string();
                    let _ = answer.send(Err(match error {
                        OutboundFailure::DialFailure | OutboundFailure::UnsupportedProtocols => {
                            Refused::Undone(why)
                        }
                        _ => Refused::Unknown(why),
                    }));
                }
            }
            _ => {}
        }
    }

    fn looked_up(&mut self, id: QueryId, result: QueryResult) {
        match result {
            QueryResult::PutRecord(stored) => {
                if let Some(answer) = self.puts.remove(&id) {
                    // This node itself has it already, and others may.
                    let stored = stored.map_err(|why| Refused::Unknown(why.to_string()));
                    let _ = answer.send(stored.map(drop));
                }
            }
            // The first of another node ends the search. This node's own comes first, of nobody.
            QueryResult::GetRecord(Ok(GetRecordOk::FoundRecord(found))) => {
                if let Some(from) = found.peer
                    && let Some(answer) = self.gets.remove(&id)
                {
                    let _ = answer.send(Ok(Some((found.record.value, from))));
                    if let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id) {
                        query.finish();
                    }
                }
            }
            QueryResult::GetRecord(_) => {
                if let Some(answer) = self.gets.remove(&id) {
                    let _ = answer.send(Ok(None));
                }
            }
            _ => {}
        }
    }
}
