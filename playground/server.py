"""The playground as a page: its server, for this machine alone."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

from playground.page import packed, page

MOST_BYTES = 1_000_000  # a longer question is refused
MOST_TABS = 16
NAMES = ("127.0.0.1", "localhost")  # what this machine is called here


class Server(ThreadingHTTPServer):
    """Serves the page and answers its questions, one at a time.

    Each tab of a browser has a run of its own. Of more than MOST_TABS, the one that has been
    silent for the longest time goes.
    """

    allow_reuse_address = os.name != "nt"  # on Windows, two servers could then have one port

    def __init__(self, port, new_answers, explain):
        """Listen on a port; raise OSError if it is taken.

        `new_answers` makes the Answers of a tab. If it raises an exception, `explain` returns what
        to say about it.
        """
        super().__init__((NAMES[0], port), Handler)
        self.new_answers = new_answers
        self.explain = explain
        self.tabs = {}  # the Answers of each, in the order of their last question
        self.lock = Lock()

    def answer(self, question):
        """Return the answer to a question of a tab."""
        tab = str(question.get("tab"))
        with self.lock:
            if tab in self.tabs:
                answers = self.tabs.pop(tab)
            elif question.get("ask") not in ("show", "restore"):
                return {"is_gone": True}, []  # the tab begins from its state
            else:
                try:
                    answers = self.new_answers()
                except (Exception, SystemExit) as error:
                    return {"note": self.explain(error)}, []
            self.tabs[tab] = answers
            if len(self.tabs) > MOST_TABS:
                oldest = next(iter(self.tabs))
                del self.tabs[oldest]
            return answers.answer(question)

    def handle_error(self, request, client_address):
        """Say nothing of a browser that has closed its tab."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers a request, if it comes from the page itself.

    A page of another site cannot: a browser tells where it comes from, in `Origin`, and what it
    believes this machine to be called, in `Host`.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # send all at once; else each answer is 40 ms late

    def do_GET(self):
        """Send the page."""
        if not self.is_ours():
            self.send_error(403)
        elif self.path != "/":
            self.send_error(404)
        else:
            self.reply("text/html; charset=utf-8", page())

    def do_POST(self):
        """Answer a question."""
        length = self.headers.get("Content-Length", "")
        if not self.is_ours():
            self.send_error(403)
        elif self.path != "/ask":
            self.send_error(404)
        elif not length.isdecimal():
            self.send_error(411)
        elif float(length) > MOST_BYTES:  # int() takes no more than 4300 digits
            self.send_error(413)
        else:
            self.answer(self.rfile.read(int(length)))

    def answer(self, body):
        """Answer the question that these bytes hold."""
        try:
            question = json.loads(body)
        except (ValueError, RecursionError):  # no JSON, or nested too deeply
            question = None
        if isinstance(question, dict):
            answer = packed(*self.server.answer(question))
            self.reply("application/json", json.dumps(answer))
        else:
            self.send_error(400, "A question is a JSON object")

    def is_ours(self):
        """Return whether a request is from the page, and not from one elsewhere."""
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin", f"http://{host}")
        name = host.split(":")[0]
        return name in NAMES and origin == f"http://{host}"

    def reply(self, kind, text):
        """Send a text of this kind."""
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Say nothing."""
