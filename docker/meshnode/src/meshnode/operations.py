"""What callers ask over the control socket: rows in, outcomes out, no operation forgotten."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from meshnode.broadcasting import Broadcasting
from meshnode.control import Client, ControlError
from meshnode.dht import Finished
from meshnode.files import MAX_FILE_BYTES, Files
from meshnode.identity import Identity
from meshnode.messaging import Messaging, Outcome
from meshnode.overlay import Overlay
from meshnode.pulse import Pulse
from meshnode.wheel import Wheel
from meshnode.wire import ID_BYTES, NODE_ID_BYTES

PRIVATE_MESSAGE, BROADCAST, DHT_PUT, DHT_GET, DHT_LOOKUP, FILE_TRANSFER, CONNECT = range(1, 8)
TO_A_NODE = {PRIVATE_MESSAGE, FILE_TRANSFER, CONNECT}
SIZE_BYTES = 8  # a FILE_TRANSFER's payload: the file's size, little-endian
WITH_VALUE = "value"
MAX_TIMEOUT_MS = 3_600_000
_TIMEOUT_SLOT_NS = 50 * 10**6


class _Row(NamedTuple):
    id: bytes
    operation: int
    target: bytes | None
    payload: Any
    timeout_ms: int


@dataclass(slots=True)
class _Pending:
    client: Client
    operation: int
    target: bytes | None
    number: int | None = None  # of the DHT's operation


class Operations:
    """The operations under way. Its `messaging` and `files` are set once, right after building:
    they need each other.
    """

    messaging: Messaging
    files: Files

    def __init__(
        self,
        *,
        identity: Identity,
        broadcasting: Broadcasting,
        overlay: Overlay,
        pulse: Pulse,
        max_message_bytes: int,
        probe: Callable[[bytes, Callable[[str | None], None]], None],
    ) -> None:
        self._probe = probe
        self._node_id = identity.node_id
        self._broadcasting = broadcasting
        self._overlay = overlay
        self._pulse = pulse
        self._max_message_bytes = max_message_bytes
        self._pending: dict[bytes, _Pending] = {}
        self._deadlines: Wheel[bytes] = Wheel(_TIMEOUT_SLOT_NS)
        self._armed_ns: int | None = None
        self._begin: dict[int, Callable[[_Row, _Pending], None]] = {
            PRIVATE_MESSAGE: self._private_message,
            BROADCAST: self._broadcast,
            DHT_PUT: self._dht_put,
            DHT_GET: self._dht_get,
            DHT_LOOKUP: self._dht_lookup,
            FILE_TRANSFER: self._file_transfer,
            CONNECT: self._connect,
        }

    def start(self, client: Client, rows: list[Any]) -> None:
        """Begin every row. Raises ControlError, with nothing begun, if one is malformed."""
        checked = [_check(row) for row in rows]
        now_ns = time.monotonic_ns()
        for row in checked:
            refusal = self._refusal(row)
            if refusal is not None:
                client.done([row.id, Outcome.FAILED, now_ns, {"error": refusal}])
                continue
            pending = self._pending[row.id] = _Pending(client, row.operation, row.target)
            self._deadlines.add(now_ns + row.timeout_ms * 1_000_000, row.id)
            self._begin[row.operation](row, pending)
        self._arm()

    def finish(
        self, operation_id: bytes, outcome: Outcome, done_ns: int, detail: dict[str, Any]
    ) -> None:
        """An operation ended; unknown ids are ignored (it had timed out before)."""
        pending = self._pending.pop(operation_id, None)
        if pending is not None:
            pending.client.done([operation_id, int(outcome), done_ns, detail])

    def _refusal(self, row: _Row) -> str | None:
        if row.id in self._pending:
            return "an operation of this id is under way"
        if row.operation in TO_A_NODE and row.target == self._node_id:
            return "a node sends nothing to itself"
        if (
            row.operation == FILE_TRANSFER
            and not 0 < int.from_bytes(row.payload, "little") <= MAX_FILE_BYTES
        ):
            return f"a file has 1 to {MAX_FILE_BYTES} bytes"
        if (
            row.operation in {PRIVATE_MESSAGE, BROADCAST}
            and len(row.payload) > self._max_message_bytes
        ):
            return (
                f"a message has at most {self._max_message_bytes} bytes, this one "
                f"{len(row.payload)}"
            )
        return None

    def _arm(self) -> None:
        next_ns = self._deadlines.next_ns()
        if next_ns is not None and (self._armed_ns is None or next_ns < self._armed_ns):
            self._armed_ns = next_ns
            self._pulse.at(next_ns, self._expire)

    def _expire(self) -> None:
        self._armed_ns = None
        now_ns = time.monotonic_ns()
        for operation_id in self._deadlines.expire(now_ns):
            pending = self._pending.get(operation_id)
            if pending is None:
                continue
            outcome = Outcome.UNKNOWN
            if pending.operation == PRIVATE_MESSAGE and self.messaging.time_out(
                operation_id, pending.target or b""
            ):
                outcome = Outcome.FAILED
            if pending.operation == FILE_TRANSFER and self.files.time_out(operation_id):
                outcome = Outcome.FAILED
            if pending.number is not None:
                self._overlay.cancel(pending.number)
            error = (
                "no link in time, it was not sent"
                if outcome is Outcome.FAILED
                else "no answer in time"
            )
            self.finish(operation_id, outcome, now_ns, {"error": error})
        self._arm()

    # Each operation

    def _private_message(self, row: _Row, pending: _Pending) -> None:
        del pending
        self.messaging.send(row.id, row.target or b"", row.payload)

    def _broadcast(self, row: _Row, pending: _Pending) -> None:
        del pending
        fanout = self._broadcasting.start(row.id, row.payload)
        outcome = Outcome.OK
        detail: dict[str, Any] = {"fanout": fanout}
        if fanout is None:
            outcome, detail = Outcome.FAILED, {"error": "no link stands"}
        elif not fanout:  # whoever is advertised it may ask for it yet
            outcome, detail = Outcome.UNKNOWN, {"error": "no link takes it now; it is advertised"}
        self.finish(row.id, outcome, time.monotonic_ns(), detail)

    def _dht_put(self, row: _Row, pending: _Pending) -> None:
        def finished(result: Finished) -> None:
            # nobody was asked to store: certainly not done; asked but silent: it may be stored all
            # the same
            outcome = (
                Outcome.OK if result.ok else (Outcome.UNKNOWN if result.found else Outcome.FAILED)
            )
            detail = (
                {"stored": result.stored, "hops": result.hops}
                if result.ok
                else {"error": result.error}
            )
            self.finish(row.id, outcome, time.monotonic_ns(), detail)

        pending.number = self._overlay.put(row.target or b"", row.payload, finished)

    def _dht_get(self, row: _Row, pending: _Pending) -> None:
        def finished(result: Finished) -> None:
            detail: dict[str, Any] = {"error": result.error}
            if result.ok:
                detail = {
                    "hops": result.hops,
                    "from": result.value_from,
                    "size": len(result.value or b""),
                }
                if row.payload == WITH_VALUE:
                    detail["value"] = result.value
            self.finish(
                row.id, Outcome.OK if result.ok else Outcome.FAILED, time.monotonic_ns(), detail
            )

        pending.number = self._overlay.get(row.target or b"", finished)

    def _dht_lookup(self, row: _Row, pending: _Pending) -> None:
        def finished(result: Finished) -> None:
            detail: dict[str, Any] = {"error": result.error}
            if result.ok:
                closest = [contact.id for contact in result.closest]
                detail = {"hops": result.hops, "found": result.found, "closest": closest}
            self.finish(
                row.id, Outcome.OK if result.ok else Outcome.FAILED, time.monotonic_ns(), detail
            )

        pending.number = self._overlay.lookup(row.target or b"", finished)

    def _file_transfer(self, row: _Row, pending: _Pending) -> None:
        del pending
        self.files.send(row.id, row.target or b"", int.from_bytes(row.payload, "little"))

    def _connect(self, row: _Row, pending: _Pending) -> None:
        del pending

        def ended(error: str | None) -> None:
            detail = {"hops": 1} if error is None else {"error": error}
            self.finish(
                row.id, Outcome.OK if error is None else Outcome.FAILED, time.monotonic_ns(), detail
            )

        self._probe(row.target or b"", ended)


def _check(row: Any) -> _Row:
    """A row with fields of the right kinds. Raises ControlError."""
    match row:
        case [bytes(operation_id), int(operation), target, payload, int(timeout_ms)]:
            checked = _Row(operation_id, operation, target, payload, timeout_ms)
        case _:
            raise ControlError("an operation is [id, operation, target, payload, timeout_ms]")
    if len(checked.id) != ID_BYTES:
        raise ControlError(f"an operation's id has {ID_BYTES} bytes, this one {len(checked.id)}")
    if not PRIVATE_MESSAGE <= checked.operation <= CONNECT:
        raise ControlError(
            f"operations are {PRIVATE_MESSAGE} to {CONNECT}, not {checked.operation}"
        )
    if not 0 < checked.timeout_ms <= MAX_TIMEOUT_MS:
        raise ControlError(f"timeout_ms is 1 to {MAX_TIMEOUT_MS}, not {checked.timeout_ms}")
    if checked.operation == BROADCAST:
        if checked.target is not None:
            raise ControlError("a broadcast's target is nil")
    elif not isinstance(checked.target, bytes) or len(checked.target) != NODE_ID_BYTES:
        raise ControlError(f"operation {checked.operation} needs a target of {NODE_ID_BYTES} bytes")
    if checked.operation <= DHT_PUT and not isinstance(checked.payload, bytes):
        raise ControlError(f"operation {checked.operation} needs a payload of bytes")
    if checked.operation == FILE_TRANSFER and (
        not isinstance(checked.payload, bytes) or len(checked.payload) != SIZE_BYTES
    ):
        raise ControlError(f"a file transfer's payload is the size, {SIZE_BYTES} bytes")
    return checked
