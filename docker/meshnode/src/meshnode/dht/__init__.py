"""Kademlia (Maymounkov & Mazières, 2002) without sockets, clock or chance of its own: bytes and
`now_ns` in, datagrams out.

contact.py    who a node is and where; positions and the XOR metric
table.py      k-buckets, replacement caches, the neighbourhood
lookup.py     one iterative lookup
operations.py join, put, get and lookup, each a lookup and what follows it
requests.py   requests under way: matching answers, timeouts, repetitions
store.py      values kept for others
messages.py   the bodies of the datagrams (dht.proto)
core.py       `Dht`, which joins these and is all that the rest of the node uses
"""

from meshnode.dht.contact import Contact
from meshnode.dht.core import Dht, Event
from meshnode.dht.messages import Kind, MalformedBody
from meshnode.dht.operations import Finished

__all__ = ["Contact", "Dht", "Event", "Finished", "Kind", "MalformedBody"]
