"""A peer-to-peer node in a hundred lines that knows nothing of the harness: HTTP, flooding, a value
on every node that hears of it.

    tinynode.py LISTEN-ADDRESS PEER,PEER,…

It is what `harness init --system NAME` starts with, and a stranger's binary in the tests of command
files: broadcasts flood, messages go straight to the address named, values are kept where they are
put and asked of the peers.
"""

import http.client
import json
import queue
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler

PORT = 7000


class Node:
    def __init__(self, peers):
        self.peers, self.seen, self.values, self.listeners, self.guard = (
            peers,
            set(),
            {},
            [],
            threading.Lock(),
        )

    def hear(self, kind, text):
        """A message arrived, or was made here: report it, and pass a broadcast on."""
        with self.guard:
            if (kind, text) in self.seen:
                return
            self.seen.add((kind, text))
            print(f"received {kind} {text}", flush=True)
            for listener in self.listeners:
                listener.put(f"{kind} {text}\n".encode())
        if kind == "broadcast":
            for peer in self.peers:
                threading.Thread(
                    target=ask, args=(peer, "POST", "/broadcast", text.encode()), daemon=True
                ).start()


def ask(address, method, path, body=None):
    connection = http.client.HTTPConnection(address, PORT, timeout=5)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError as error:
        return 503, str(error)
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    node = None

    def log_message(self, *_):
        pass

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def text(self):
        return self.rfile.read(int(self.headers["Content-Length"])).decode()

    def do_POST(self):
        word, _, rest = self.path[1:].partition("/")
        if word == "broadcast":
            self.node.hear("broadcast", self.text())
            self.answer(200, "ok")
        elif word == "deliver":
            self.node.hear("message", self.text())
            self.answer(200, "ok")
        elif word == "send":
            self.answer(*ask(rest, "POST", "/deliver", self.text().encode()))
        elif word == "put":
            self.node.values[rest] = self.text()
            self.answer(200, "ok")
        else:
            self.answer(404, "no such path")

    def do_GET(self):
        word, _, rest = self.path[1:].partition("/")
        if word == "health":
            self.answer(200, json.dumps({"peers": len(self.node.peers)}))
        elif word == "value":
            self.answer(200, self.node.values[rest]) if rest in self.node.values else self.answer(
                404, "not here"
            )
        elif word == "get":
            found = [
                text
                for status, text in (ask(peer, "GET", f"/value/{rest}") for peer in self.node.peers)
                if status == 200
            ]
            self.answer(200, found[0]) if found else self.answer(404, "not found")
        elif word == "events":
            self.send_response(200)
            self.end_headers()
            mine = queue.Queue()
            with self.node.guard:
                self.node.listeners.append(mine)
            self.wfile.write(b"\n")
            while True:
                self.wfile.write(mine.get())
        else:
            self.answer(404, "no such path")


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    Handler.node = Node([peer for peer in sys.argv[2].split(",") if peer])
    print("tinynode listens", flush=True)
    Server((sys.argv[1], PORT), Handler).serve_forever()
