"""sd_notify(3): telling whoever started this node how far it is."""

import os
import socket


class Notifier:
    """Sends to the socket named by NOTIFY_SOCKET; does nothing without one."""

    def __init__(self, name: str, path: str | None = None) -> None:
        self._name = name
        path = path if path is not None else os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self._unsent: list[str] = []

    def send(self, *assignments: str) -> bool:
        """One datagram: the node's name, then each assignment on a line, with those that could not
        be sent before.

        False where the receiver's queue is full (the kernel keeps 10 datagrams by default): call
        again, with or without news. Raises OSError where there is no receiver; what was to be sent
        is forgotten then.
        """
        self._unsent += assignments
        if not self._address or not self._unsent:
            return True
        data = "\n".join((f"NODE={self._name}", *self._unsent)).encode()
        with socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        ) as sender:
            try:
                sender.sendto(data, self._address)
            except BlockingIOError:
                return False
            except OSError:
                self._unsent.clear()
                raise
        self._unsent.clear()
        return True
