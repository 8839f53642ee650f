"""A publish-subscribe node that speaks lines, and knows nothing of the harness: SUBSCRIBE, PUBLISH
TEXT, PUT KEY TEXT, GET KEY.

linenode.py PORT PEER-ADDRESS…
"""

import socket
import socketserver
import sys
import threading

guard, subscribers, values, seen = threading.Lock(), [], {}, set()


def publish(text):
    with guard:
        if text in seen:
            return
        seen.add(text)
        for subscriber in subscribers:
            subscriber.write(f"EVENT {text}\n".encode())
            subscriber.flush()
    for peer in sys.argv[2:]:
        threading.Thread(target=tell, args=(peer, text), daemon=True).start()


def tell(peer, text):
    with socket.create_connection((peer, int(sys.argv[1])), 5) as connection:
        connection.sendall(f"PUBLISH {text}\n".encode())
        connection.recv(100)


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            word, *rest = line.decode().split()
            if word == "SUBSCRIBE":
                with guard:
                    subscribers.append(self.wfile)
                continue
            if word == "PUBLISH":
                publish(rest[0])
                answer = "OK"
            elif word == "PUT":
                values[rest[0]] = rest[1]
                answer = "OK"
            else:
                answer = f"VALUE {values[rest[0]]}" if rest[0] in values else "NONE"
            self.wfile.write(f"{answer}\n".encode())
            self.wfile.flush()


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


if __name__ == "__main__":
    with Server(("0.0.0.0", int(sys.argv[1])), Handler) as server:
        print("ready for lines", flush=True)
        server.serve_forever()
