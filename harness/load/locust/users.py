"""Locust users: one class is one traffic stream, and the class picker chooses which streams run.

The classes come from the table of operations (PrivateMessageUser, BroadcastUser and so on) and from
what the cluster's system has of its own (EnqueueUser).
The number of Locust users sets nothing here; a stream's rate does. A user only stands for its
stream in Locust's tables: load/worker.py makes the load itself, evenly by all workers, for every
class that was chosen.
"""

from __future__ import annotations

from typing import Any, ClassVar

from gevent.event import Event
from locust import User, task

from harness.load.locust import options, own_operations
from harness.operations import Operation
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
        """The stream of this class under these options (Locust's, parsed); None: none now."""
        return options.stream(given, cls.operation)

    @task
    def stand(self) -> None:
        """Stand for the stream until Locust stops the user."""
        Event().wait()


def _user(operation: Operation) -> type[StreamUser]:
    name = "".join(part.capitalize() for part in operation.word.split("_")) + "User"
    body = {
        "__doc__": operation.spec.sentence,
        "__module__": __name__,
        "operation": operation,
    }
    return type(name, (StreamUser,), body)


# By name, in the order of the names: Locust runs the classes in the order in which it finds them,
# and a stream's position is part of what its seed chooses.
USERS: dict[str, type[StreamUser]] = {
    each.__name__: each
    for each in sorted(
        map(_user, (*Operation, *own_operations.here())), key=lambda each: each.__name__
    )
}


def __getattr__(name: str) -> type[StreamUser]:
    if name not in USERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return USERS[name]
