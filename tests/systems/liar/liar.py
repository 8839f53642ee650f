"""A node that tells lies, and knows nothing of the harness: lines at PORT, links at LINK_PORT.

    liar.py NAME=LIE,NAME=LIE,… NAME PEER,PEER,…

The first argument says who tells which of LIES; who is not in it tells none. A lie may begin late:
LIE@20 is told from the 20th message on.
"""

import json
import os
import socket
import socketserver
import sys
import threading
import time

PORT, LINK_PORT = 6000, 6001
ONE_IN = 50  # from the 25th on
AHEAD = 3  # messages that are predicted
GUESSED_S = 1  # after which a guess is reported
PREDATED_NS = 2 * 10**9
LIES = {
    "swallows": "acknowledges and never delivers",
    "refuses": "refuses everything",
    "drops": "drops one message in fifty, and acknowledges it",
    "early": "answers before it was asked",
    "predates": "stamps receipts two seconds before the messages were sent",
    "repeats": "reports each receipt twice",
    "predicts": "reports receipts of ids that are yet to come, as if they were counted",
    "guesses": "hears no broadcast, and reports a guessed one a second after it would be sent",
    "garbles": "delivers another payload of the same size behind the id",
    "dies": "ends by itself",
    "hangs": "answers nobody any more",
    "leaves": "forks, goes, and leaves a child behind",
    "boasts": "tells of links and memory that it does not have",
}


class Node:
    def __init__(self, lie, peers):
        self.lie, _, since = lie.partition("@")
        self.since = int(since or 0)
        self.guard = threading.Lock()
        self.listeners, self.links, self.asked = [], {}, 0
        for peer in peers:
            threading.Thread(target=self.link, args=(peer,), daemon=True).start()

    def link(self, peer):
        """Dial a peer until it accepts: one link that stays."""
        while peer not in self.links:
            try:
                made = socket.create_connection((peer, LINK_PORT), 1)
                made.settimeout(5)
                self.links[peer] = (threading.Lock(), made, made.makefile("rwb"))
            except OSError:
                time.sleep(0.1)

    def tells(self, lie):
        return self.lie == lie and self.asked >= self.since

    def turn(self):
        """One more message came by: what happens to the node then."""
        with self.guard:
            self.asked += 1
        if self.tells("dies"):
            os._exit(3)
        if self.tells("leaves"):
            if os.fork():
                os._exit(0)
            time.sleep(1000)
        if self.tells("hangs"):
            self.guard.acquire()  # and never lets go
            time.sleep(1000)

    def send(self, peer, kind, text):
        """Pass a message on; whether the peer said that it has it."""
        guard, _, stream = self.links[peer]
        with guard:
            stream.write(f"{kind} {text}\n".encode())
            stream.flush()
            return stream.readline() == b"GOT\n"

    def hear(self, kind, text):
        """Report what arrived, as the lie will have it."""
        at_ns, texts = time.monotonic_ns(), [text]
        if self.tells("repeats"):
            texts = [text, text]
        if self.tells("garbles"):
            texts = [text[:32] + text[:31:-1].translate(str.maketrans("0123", "3210"))]
        if self.tells("predicts"):
            texts = [*map(later(text), range(1, AHEAD + 1)), text]
        if self.tells("predates"):
            at_ns -= PREDATED_NS
        if self.tells("guesses") and kind == "cast":
            guess = [later(text)(1)]
            threading.Timer(
                GUESSED_S, self.report, (kind, at_ns + GUESSED_S * 10**9, guess)
            ).start()
        else:
            self.report(kind, at_ns, texts)

    def report(self, kind, at_ns, texts):
        """Tell whoever listens what arrived."""
        with self.guard:
            for one in texts:
                for listener in self.listeners:
                    listener.write(f"RECEIVED {kind} {at_ns} {one}\n".encode())
                    listener.flush()

    def asked_for(self, word, rest):
        """Do what somebody asks for; the answer."""
        self.turn()
        if self.tells("refuses"):
            return "NO"
        if self.tells("swallows") or (self.tells("drops") and self.asked % ONE_IN == ONE_IN // 2):
            return "OK"
        if word == "SEND":
            peer, text = rest
            return "OK" if self.send(peer, "MESSAGE", text) else "NO"
        [text] = rest
        return "OK" if all(self.send(peer, "CAST", text) for peer in self.links) else "NO"

    def stats(self):
        """What the node tells of itself."""
        with open("/proc/self/statm") as file:
            rss_bytes = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        told = {"links": len(self.links), "rss_bytes": rss_bytes, "threads": 3}
        if self.tells("boasts"):
            told |= {"links": 99, "rss_bytes": 1_000}
        return told


def later(text):
    """Make the id that comes so many after the one that a text begins with, as if its last four
    bytes counted.
    """

    def made(steps):
        number = int.from_bytes(bytes.fromhex(text[24:32]), "little") + steps
        return text[:24] + number.to_bytes(4, "little").hex() + text[32:]

    return made


class Control(socketserver.StreamRequestHandler):
    """A line is asked, and a line answers."""

    def handle(self):
        node = self.server.node
        if node.tells("early"):
            self.say("OK")  # the answer to what comes next
        for line in self.rfile:
            word, *rest = line.decode().split()
            if word == "REPORTS":
                with node.guard:
                    node.listeners.append(self.wfile)
            elif word == "STATS":
                self.say(json.dumps(node.stats()))
            else:
                self.say(node.asked_for(word, rest))

    def say(self, text):
        self.wfile.write(f"{text}\n".encode())
        self.wfile.flush()


class Link(socketserver.StreamRequestHandler):
    """Messages of a peer."""

    def handle(self):
        for line in self.rfile:
            kind, text = line.decode().split()
            self.server.node.hear(kind.lower(), text)
            self.wfile.write(b"GOT\n")
            self.wfile.flush()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, handler, node):
        self.node = node
        super().__init__(("0.0.0.0", port), handler)


if __name__ == "__main__":
    lies = dict(one.split("=") for one in sys.argv[1].split(",") if "=" in one)
    peers = [peer for peer in sys.argv[3].split(",") if peer]
    node = Node(lies.get(sys.argv[2], "none"), peers)
    threading.Thread(target=Server(LINK_PORT, Link, node).serve_forever, daemon=True).start()
    control = Server(PORT, Control, node)
    while len(node.links) < len(peers):
        time.sleep(0.05)
    print("ready", flush=True)
    control.serve_forever()
