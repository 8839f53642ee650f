//! One rust-libp2p node, controlled over HTTP on its own loopback: README.md says what it does.

pub mod codec;
pub mod control;
pub mod handle;
pub mod identity;
pub mod node;
pub mod reports;
