"""A node that keeps values for others, and knows nothing of the harness: lines at PORT, peers at
LINK_PORT. What others had of it, it prints.

    keeper.py NAME=LIE,… NAME NAME@ADDRESS,…

The first argument says who tells which of LIES; who is not in it tells none.
"""

import socket
import socketserver
import sys
import threading

PORT, LINK_PORT = 6000, 6001
LIES = {
    "hoards": "says that it put a value, or passed a word on, and keeps it for itself",
    "invents": "says that another node answered a get than the one that did",
    "ignores": "takes no notice of who connects to it",
}


class Node:
    def __init__(self, lie, name, others):
        self.lie, self.name, self.others = lie, name, others  # name → address
        self.values, self.guard = {}, threading.Lock()

    def asked_for(self, word, *rest):
        """Do what the load asks for; the answer."""
        if word == "PUT":
            key, value = rest
            if self.lie == "hoards":
                self.values[key] = value
                return "OK"
            for address in self.others.values():
                self.ask(address, f"STORE {key} {value} {self.name}")
            return "OK"
        if word == "GET":
            for name, address in self.others.items():
                said = self.ask(address, f"GIVE {rest[0]} {self.name}")
                if said != "NONE":
                    who = [*self.others][-1] if self.lie == "invents" else name
                    return f"VALUE {said} from {who}"
        if word in ("TELL", "SHOUT"):
            to = [rest[0]] if word == "TELL" else self.others.values()
            for address in to if self.lie != "hoards" else ():
                self.ask(address, f"{word} {rest[-1]}")
            return "OK"
        if word == "COUNT":
            return f"HAS {len(self.values)}"
        if word == "MEET":
            return self.ask(rest[0], f"HELLO {self.name}")
        return "PONG" if word == "PING" else "NONE"

    def ask(self, address, line):
        with socket.create_connection((address, LINK_PORT), 5) as made:
            made.sendall(f"{line}\n".encode())
            return made.makefile().readline().strip()

    def had_from(self, word, *rest):
        """Do what another node asks for; the answer."""
        if word == "STORE":
            key, value, source = rest
            self.values[key] = value
            return self.tell(f"stored {key} {value} of {source}", "OK")
        if word == "GIVE":
            key, asker = rest
            if key not in self.values:
                return "NONE"
            return self.tell(f"gave {key} to {asker}", self.values[key])
        if word in ("TELL", "SHOUT"):
            return self.tell(f"{'told' if word == 'TELL' else 'heard'} {rest[0]}", "OK")
        return "OK" if self.lie == "ignores" else self.tell(f"met {rest[0]}", "OK")

    def tell(self, line, answer):
        with self.guard:
            print(line, flush=True)
        return answer


def serve(address, port, answer):
    """Answer each line that comes, for ever."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                self.wfile.write(f"{answer(*line.decode().split())}\n".encode())

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True
        request_queue_size = 128

    Server((address, port), Handler).serve_forever()


if __name__ == "__main__":
    lies = dict(one.split("=") for one in sys.argv[1].split(",") if "=" in one)
    name, others = sys.argv[2], dict(one.split("@") for one in sys.argv[3].split(","))
    node = Node(lies.get(name, "none"), name, {at: others[at] for at in others if at != name})
    links = ("0.0.0.0", LINK_PORT, node.had_from)
    threading.Thread(target=serve, args=links, daemon=True).start()
    serve("127.0.0.1", PORT, node.asked_for)
