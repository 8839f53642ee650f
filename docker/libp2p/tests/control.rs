//! The HTTP of a node, as a client sees it.

use std::time::Duration;

use libp2p_node::node::{Node, Settings};
use libp2p_node::{control, identity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A node with nobody else, and where its HTTP is answered.
async fn lonely() -> std::net::SocketAddr {
    let listener = identity::listener([127, 0, 0, 1].into(), 0);
    let settings = Settings { name: "node-0".into(), listener, entrances: vec![] };
    let (node, handle) = Node::new(settings).unwrap();
    tokio::spawn(node.run());
    let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = http.local_addr().unwrap();
    tokio::spawn(async { axum::serve(http, control::router(handle)).await });
    at
}

/// The status and the rest of an answer.
async fn ask(at: std::net::SocketAddr, what: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let length = body.len();
    let request = format!(
        "{what} HTTP/1.1\r\nhost: node\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

#[tokio::test]
async fn a_status_says_whether_something_may_have_been_done() {
    let at = lonely().await;
    let (status, said) = ask(at, "GET /health", "").await;
    assert_eq!(status, 200); // the first node waits for nobody
    assert!(said.contains(r#""peers": 0, "mesh": 0"#), "{said}");
    assert_eq!(ask(at, "POST /broadcast", "x").await.0, 424); // nobody is there
    assert_eq!(ask(at, "POST /send/node-1/nowhere", "x").await.0, 424);
    assert_eq!(ask(at, "POST /send/node-1/127.0.0.1:1", "x").await.0, 424);
    assert_eq!(ask(at, "POST /dht/key", "x").await.0, 503); // it has it now itself
    assert_eq!(ask(at, "GET /dht/key", "").await.0, 404); // which is no other node's answer
    assert_eq!(ask(at, "GET /nothing", "").await.0, 404);
}

#[tokio::test]
async fn metrics_are_those_of_prometheus() {
    let at = lonely().await;
    let (status, said) = ask(at, "GET /metrics", "").await;
    assert_eq!(status, 200);
    assert!(said.contains("# TYPE libp2p_"), "{said}");
    assert!(said.ends_with("# EOF\n"), "{said}");
}

/// Who reads the events can miss nothing from when the answer has begun.
#[tokio::test]
async fn events_begin_at_once() {
    let at = lonely().await;
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nhost: node\r\n\r\n").await.unwrap();
    let mut begun = [0; 15];
    tokio::time::timeout(Duration::from_secs(60), stream.read_exact(&mut begun))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200 OK");
}
