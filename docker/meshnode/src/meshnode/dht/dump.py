"""What of a DHT node survives a restart, as plain data: contacts, and values with their expiry."""

from collections.abc import Iterable, Mapping
from typing import Any

from meshnode.dht.contact import ID_BYTES, Contact
from meshnode.dht.messages import MAX_VALUE_BYTES

FORMAT = "meshnode-dht-1"
Value = tuple[bytes, bytes, int]  # key, value, expires_ns


def write(node_id: bytes, contacts: Iterable[Contact], values: Iterable[Value]) -> dict[str, Any]:
    """A dump of the node with this id; str, int, bytes and lists only."""
    return {
        "format": FORMAT,
        "node_id": node_id,
        "contacts": [[contact.id, contact.address, contact.port] for contact in contacts],
        "values": [[key, value, expires_ns] for key, value, expires_ns in values],
    }


def read(data: object, own_id: bytes) -> tuple[list[Contact], list[Value]]:
    """Contacts and values of a dump. Raises ValueError where it is no dump of this node."""
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        raise ValueError(f"this is no DHT state of the format {FORMAT}")
    if data.get("node_id") != own_id:
        raise ValueError("this DHT state is of another node")
    try:
        contacts = [Contact(*row) for row in data["contacts"]]
        values = [(key, value, expires_ns) for key, value, expires_ns in data["values"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"this DHT state is damaged: {error!r}") from error
    for key, value, expires_ns in values:
        sound = isinstance(key, bytes) and isinstance(value, bytes) and isinstance(expires_ns, int)
        if not sound or len(key) != ID_BYTES or len(value) > MAX_VALUE_BYTES:
            raise ValueError("this DHT state is damaged: a value's key, size or expiry cannot be")
    return contacts, values
