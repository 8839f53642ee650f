//! Nodes in one process, over TCP on the loopback: what arrives, and who finds whom again.

use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p_node::handle::{Handle, Refused};
use libp2p_node::identity::{self, Peer};
use libp2p_node::node::{Node, Settings};
use libp2p_node::reports::{Kind, Report};
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

struct Running {
    handle: Handle,
    peer: Peer,
    task: JoinHandle<()>,
}

/// Wait until `look` finds something.
async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(LOOK).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("it came about in time")
}

/// Start a node, at any port unless one is given.
async fn started(name: &str, port: u16, entrances: &[&Peer]) -> Running {
    let listener = identity::listener([127, 0, 0, 1].into(), port);
    let entrances = entrances.iter().map(|peer| (*peer).clone()).collect();
    let (node, handle) = Node::new(Settings { name: name.into(), listener, entrances }).unwrap();
    let task = tokio::spawn(node.run());
    let address = until(async || handle.health().await.unwrap().listeners.into_iter().next()).await;
    Running { handle, peer: Peer { id: identity::peer_id(name), address }, task }
}

fn port(peer: &Peer) -> u16 {
    peer.address
        .iter()
        .find_map(|part| if let Protocol::Tcp(port) = part { Some(port) } else { None })
        .unwrap()
}

/// Three nodes, of which two enter by the first; each in the mesh with both others.
async fn three() -> [Running; 3] {
    let first = started("node-0", 0, &[]).await;
    let second = started("node-1", 0, &[&first.peer]).await;
    let third = started("node-2", 0, &[&first.peer]).await;
    let all = [first, second, third];
    for one in &all {
        until(async || (one.handle.health().await.unwrap().mesh == 2).then_some(())).await;
    }
    all
}

#[tokio::test]
async fn a_broadcast_comes_to_all_others_unchanged_and_not_to_its_sender() {
    let [first, second, third] = three().await;
    let mut heard = [&first, &second, &third].map(|one| one.handle.reports());
    let payload = b"0f3a\n\x00\xff and more".to_vec();
    second.handle.broadcast(payload.clone()).await.unwrap();
    let expected = Report { kind: Kind::Broadcast, from: second.peer.id, payload };
    for one in [0, 2] {
        let report = tokio::time::timeout(PATIENCE, heard[one].recv()).await.unwrap().unwrap();
        assert_eq!(*report, expected);
    }
    assert!(heard[1].try_recv().is_err());
}

#[tokio::test]
async fn a_message_comes_to_its_target_alone_and_is_confirmed() {
    let [first, second, third] = three().await;
    let mut heard = [&first, &second, &third].map(|one| one.handle.reports());
    let payload = vec![7; 100_000];
    first.handle.send(third.peer.clone(), payload.clone()).await.unwrap();
    // It is told before it is confirmed.
    let report = heard[2].try_recv().unwrap();
    assert_eq!(*report, Report { kind: Kind::Message, from: first.peer.id, payload });
    assert!(heard[0].try_recv().is_err() && heard[1].try_recv().is_err());
}

#[tokio::test]
async fn what_cannot_have_been_done_is_told_apart() {
    let lonely = started("node-0", 0, &[]).await;
    let nobody: Peer = "node-9@127.0.0.1:1".parse().unwrap();
    let sent = lonely.handle.send(nobody, b"x".to_vec()).await;
    assert!(matches!(sent, Err(Refused::Undone(_))), "{sent:?}");
    let published = lonely.handle.broadcast(b"x".to_vec()).await;
    assert!(matches!(published, Err(Refused::Undone(_))), "{published:?}");
    let too_long = lonely.handle.put(b"key".to_vec(), vec![0; 1 << 20]).await;
    assert!(matches!(too_long, Err(Refused::Undone(_))), "{too_long:?}");
    // This one it has stored itself, and may give it to others later.
    let put = lonely.handle.put(b"key".to_vec(), b"value".to_vec()).await;
    assert!(matches!(put, Err(Refused::Unknown(_))), "{put:?}");
}

#[tokio::test]
async fn a_value_is_read_from_another_node_also_where_the_asker_has_it() {
    let [first, second, third] = three().await;
    first.handle.put(b"key".to_vec(), b"value".to_vec()).await.unwrap();
    for asker in [&first, &second, &third] {
        let (value, from) = asker.handle.get(b"key".to_vec()).await.unwrap().unwrap();
        assert_eq!(value, b"value");
        assert_ne!(from, asker.peer.id);
    }
    assert_eq!(third.handle.get(b"nothing".to_vec()).await, Ok(None));
}

#[tokio::test]
async fn a_connection_is_made_whatever_there_is() {
    let [first, second, _] = three().await;
    first.handle.connect(second.peer.clone()).await.unwrap();
    let other: Peer = Peer { id: identity::peer_id("node-9"), address: second.peer.address };
    assert!(first.handle.connect(other).await.is_err(), "it is another node than was asked for");
}

#[tokio::test]
async fn who_lost_its_entrance_dials_it_again() {
    let [first, second, third] = three().await;
    let (at, id) = (port(&first.peer), first.peer.id);
    first.task.abort();
    drop(first.handle);
    until(async || (second.handle.health().await.unwrap().peers == 1).then_some(())).await;
    let again = started("node-0", at, &[]).await; // it knows nobody
    assert_eq!(again.peer.id, id);
    for one in [&again, &second, &third] {
        until(async || (one.handle.health().await.unwrap().mesh == 2).then_some(())).await;
    }
    let mut heard = again.handle.reports();
    third.handle.broadcast(b"again".to_vec()).await.unwrap();
    let report = tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    assert_eq!(report.payload, b"again");
}
