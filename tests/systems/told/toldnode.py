"""A node that tells metrics of itself, each in a way of its own: the first tells the truth.

toldnode.py NUMBER
"""

import itertools
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LIES = (
    "truth",
    "falls",
    "no-number",
    "endless",
    "much",
    "twice",
    "html",
    "refuses",
    "packed",
    "binary",
)
LIE = LIES[int(sys.argv[1])]
MUCH = "".join(f"line_{number} {'1' * 1000}\n" for number in range(4_000)).encode()
COUNTED = itertools.count(10, 10)


def page():
    count = next(COUNTED)
    count = count % 30 if LIE == "falls" else count
    links = "NaN" if LIE == "no-number" else "3"
    return f"""# HELP sent_total Sent.
# TYPE sent_total counter
sent_total{{to="a \\"b\\""}} {count}
# TYPE links gauge
links {links}
# TYPE took_seconds histogram
took_seconds_bucket{{le="0.1"}} {count}
took_seconds_bucket{{le="+Inf"}} {count}
took_seconds_sum {count * 0.05}
took_seconds_count {count}
{"links 4" if LIE == "twice" else ""}
"""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        is_page = self.path == "/metrics"
        self.send_response(503 if is_page and LIE == "refuses" else 200)
        self.send_header("Content-Type", "text/html" if LIE == "html" else "text/plain")
        if LIE == "packed":
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(page().encode() if is_page else b"ready")
        if LIE == "binary":
            self.wfile.write(b"\xff\xfe")
        while is_page and LIE == "endless":
            time.sleep(0.1)
            self.wfile.write(b"# and on\n")
        if is_page and LIE == "much":
            self.wfile.write(MUCH)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", 7000), Handler).serve_forever()
