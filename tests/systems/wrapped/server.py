"""A server that answers at PORT and is started in all the ways in which servers are.

    server.py [KIND]

KIND is "plain" or one of KINDS.
"""

import os
import signal
import socket
import sys
import threading
import time

PORT = 7000
WORKERS = 3
SHARED_BYTES = 40_000_000
BURN_S, EVERY_S = 0.02, 0.1  # of the children that nobody waits for


def daemon():
    """Leave the parent twice, write a pid file, and serve."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():
        os._exit(0)
    with open("server.pid.new", "w") as file:
        file.write(str(os.getpid()))
    os.rename("server.pid.new", "server.pid")
    serve()


def prefork():
    """Workers that share what their parent has in memory, and its socket."""
    kept = b"x" * SHARED_BYTES
    listener = socket.create_server(("0.0.0.0", PORT))
    for _ in range(WORKERS):
        if not os.fork():
            answer(listener)
    print("ready", len(kept), flush=True)
    os.wait()


def respawn():
    """A supervisor, which starts its server again when it ends."""
    while True:
        if not os.fork():
            serve()
        os.wait()


def unwaited():
    """Children that end unseen: each uses some CPU, and says how much."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    threading.Thread(target=serve, daemon=True).start()
    while True:
        if not os.fork():
            burn()
        time.sleep(EVERY_S)


def orphans():
    """Children of children, whose parents are gone when they end."""
    threading.Thread(target=serve, daemon=True).start()
    while True:
        child = os.fork()
        if not child:
            if not os.fork():
                burn()
            os._exit(0)
        os.waitpid(child, 0)
        time.sleep(EVERY_S)


def burn():
    while time.process_time() < BURN_S:
        pass
    with open("burnt", "a") as file:
        file.write(f"{time.process_time_ns()}\n")
    os._exit(0)


def serve():
    listener = socket.create_server(("0.0.0.0", PORT))
    print("ready", flush=True)
    answer(listener)


def answer(listener):
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"here\n")


KINDS = {
    "daemon": daemon,
    "prefork": prefork,
    "respawn": respawn,
    "unwaited": unwaited,
    "orphans": orphans,
}


if __name__ == "__main__":
    KINDS.get(sys.argv[1] if len(sys.argv) > 1 else "plain", serve)()
