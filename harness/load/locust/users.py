"""Locust users: one class is one traffic stream. The class picker chooses which streams run.

Locust's number of users is no knob here: a stream's rate is. The users only stand for the streams
in Locust's tables; the load itself is made by load/worker.py, evenly by all workers, for every
class that was chosen.
"""

from __future__ import annotations

from typing import Any, ClassVar

from gevent.event import Event
from locust import User, task

from harness.load.locust import options
from harness.operation import Operation
from harness.scenario.stream import Stream


class StreamUser(User):
    """A traffic stream. Subclass it with an `operation`; override `stream` for other rates, targets
    or sizes.
    """

    abstract = True
    fixed_count = 1
    operation: ClassVar[Operation]

    @classmethod
    def stream(cls, given: Any) -> Stream | None:
        """The stream of this class under these options (Locust's parsed options); None: none
        now.
        """
        return options.stream(given, cls.operation)

    @task
    def stand(self) -> None:
        """Stand for the stream until Locust stops the user."""
        Event().wait()


class PrivateMessageUser(StreamUser):
    """Sealed messages between random pairs of nodes."""

    operation = Operation.PRIVATE_MESSAGE


class BroadcastUser(StreamUser):
    """Broadcasts by random nodes."""

    operation = Operation.BROADCAST


class DhtPutUser(StreamUser):
    """Values stored in the DHT by random nodes."""

    operation = Operation.DHT_PUT


class DhtGetUser(StreamUser):
    """Values read from the DHT that another node stored."""

    operation = Operation.DHT_GET


class DhtLookupUser(StreamUser):
    """Lookups of other nodes' ids."""

    operation = Operation.DHT_LOOKUP


class DhtListenUser(StreamUser):
    """Values put where another node listens; of systems whose nodes can listen."""

    operation = Operation.DHT_LISTEN


class FileTransferUser(StreamUser):
    """Files between random pairs of nodes; none until --file-transfer-rate asks for some."""

    operation = Operation.FILE_TRANSFER


class ConnectUser(StreamUser):
    """Fresh authenticated connections between random pairs of nodes; none until --connect-rate asks
    for some.
    """

    operation = Operation.CONNECT
