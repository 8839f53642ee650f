//! What a node received, as lines: `KIND FROM text|hex PAYLOAD`.

use std::fmt;

use libp2p::PeerId;

/// How many reports a reader may be behind before its stream ends: it would have missed some.
pub const BEHIND_MAX: usize = 1 << 14;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Broadcast,
    Message,
}

/// One payload that arrived, from the node that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub kind: Kind,
    pub from: PeerId,
    pub payload: Vec<u8>,
}

impl fmt::Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Broadcast => "broadcast",
            Kind::Message => "message",
        };
        write!(to, "{kind} {} ", self.from)?;
        match std::str::from_utf8(&self.payload) {
            Ok(text) if !text.contains(char::is_control) => write!(to, "text {text}"),
            _ => {
                to.write_str("hex ")?;
                self.payload.iter().try_for_each(|byte| write!(to, "{byte:02x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_one_line_from_which_it_can_be_read() {
        let line = |payload: &[u8]| {
            let from = crate::identity::peer_id("node-0");
            let report = Report { kind: Kind::Broadcast, from, payload: payload.to_vec() };
            report.to_string().replace(&from.to_string(), "FROM")
        };
        assert_eq!(line(b"0f3a and so on"), "broadcast FROM text 0f3a and so on");
        assert_eq!(line(b"two\nlines"), "broadcast FROM hex 74776f0a6c696e6573");
        assert_eq!(line(b"\xff\r"), "broadcast FROM hex ff0d");
        assert_eq!(line(b""), "broadcast FROM text ");
    }
}
