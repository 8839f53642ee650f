//! `libp2p-node NAME ADDRESS CONTROL [ENTRANCES]` runs until SIGTERM.
//!
//! ADDRESS: the one of this node's that others dial, at port 4001. CONTROL: where HTTP is answered,
//! such as 127.0.0.1:7000. ENTRANCES: nodes to enter by, `NAME@ADDRESS` with commas between.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use libp2p_node::node::{Node, Settings};
use libp2p_node::{control, identity};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "usage: libp2p-node NAME ADDRESS CONTROL [NAME@ADDRESS,…]";
const BAD_USAGE: u8 = 64;

fn settings(arguments: &[String]) -> Result<(Settings, SocketAddr), String> {
    let (name, address, at, entrances) = match arguments {
        [name, address, at] => (name, address, at, ""),
        [name, address, at, entrances] => (name, address, at, entrances.as_str()),
        _ => return Err(format!("expected 3 or 4 arguments, found {}", arguments.len())),
    };
    let address: IpAddr =
        address.parse().map_err(|_| format!("expected an IP address, found {address:?}"))?;
    let at = at.parse().map_err(|_| format!("expected ADDRESS:PORT, found {at:?}"))?;
    let listener = identity::listener(address, identity::PORT);
    Ok((Settings { name: name.clone(), listener, entrances: identity::peers(entrances)? }, at))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (settings, at) = match settings(&arguments) {
        Ok(read) => read,
        Err(why) => {
            eprintln!("libp2p-node: {why}\n{USAGE}");
            return ExitCode::from(BAD_USAGE);
        }
    };
    match run(settings, at).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("libp2p-node: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: Settings, at: SocketAddr) -> Result<(), Box<dyn std::error::Error>> {
    let (node, handle) = Node::new(settings)?;
    let listener = TcpListener::bind(at).await?;
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        () = node.run() => Err("the node ended".into()),
        done = async { axum::serve(listener, control::router(handle)).await } => Ok(done?),
        _ = terminated.recv() => Ok(()),
    }
}
