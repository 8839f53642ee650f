//! HTTP for whoever tests the node, on its own loopback. README.md has the table of requests.
//!
//! A status of 400 to 499 says that nothing was done; 500 and more, that it may have been.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures::{StreamExt, future};
use tokio_stream::wrappers::BroadcastStream;

use crate::handle::{Handle, Refused};
use crate::identity::Peer;

/// Who had the value that a get answers with: a peer id.
pub const ANSWERED_BY: &str = "answered-by";

type Node = State<Arc<Handle>>;

pub fn router(handle: Handle) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/events", get(events))
        .route("/broadcast", post(broadcast))
        .route("/send/{name}/{address}", post(send))
        .route("/connect/{name}/{address}", post(connect))
        .route("/dht/{key}", get(look_up).post(store))
        .with_state(Arc::new(handle))
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, why) = match self {
            Self::Undone(why) => (StatusCode::FAILED_DEPENDENCY, why),
            Self::Unknown(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
        };
        (status, format!("{why}\n")).into_response()
    }
}

/// 200 once the node has entered the network, else 503; the numbers in both.
async fn health(State(node): Node) -> Result<impl IntoResponse, Refused> {
    let found = node.health().await?;
    let status = match found.has_entered {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok((status, found.to_string()))
}

async fn metrics(State(node): Node) -> Result<impl IntoResponse, Refused> {
    node.metrics().map_err(|error| Refused::Unknown(error.to_string()))
}

/// Lines for ever. A reader that is too far behind has its stream ended: it never misses a line
/// without being told.
async fn events(State(node): Node) -> impl IntoResponse {
    let reports = BroadcastStream::new(node.reports());
    Body::from_stream(
        reports
            .take_while(|next| future::ready(next.is_ok()))
            .map(|next| next.map(|report| format!("{report}\n"))),
    )
}

async fn broadcast(State(node): Node, payload: Bytes) -> Result<String, Refused> {
    node.broadcast(payload.to_vec()).await
}

fn peer(name: &str, address: &str) -> Result<Peer, Refused> {
    format!("{name}@{address}").parse().map_err(Refused::Undone)
}

async fn send(
    State(node): Node,
    Path((name, address)): Path<(String, String)>,
    payload: Bytes,
) -> Result<String, Refused> {
    node.send(peer(&name, &address)?, payload.to_vec()).await?;
    Ok("received\n".into())
}

async fn connect(
    State(node): Node,
    Path((name, address)): Path<(String, String)>,
) -> Result<String, Refused> {
    node.connect(peer(&name, &address)?).await?;
    Ok("connected\n".into())
}

async fn store(
    State(node): Node,
    Path(key): Path<String>,
    value: Bytes,
) -> Result<String, Refused> {
    node.put(key.into_bytes(), value.to_vec()).await?;
    Ok("stored\n".into())
}

/// The value as it was put; 404 where no other node that was asked has it.
async fn look_up(State(node): Node, Path(key): Path<String>) -> Result<Response, Refused> {
    let Some((value, from)) = node.get(key.into_bytes()).await? else {
        return Ok((StatusCode::NOT_FOUND, "no other node has it\n").into_response());
    };
    let mut headers = HeaderMap::new();
    headers.insert(ANSWERED_BY, from.to_string().parse().expect("a peer id is base58"));
    Ok((headers, value).into_response())
}
