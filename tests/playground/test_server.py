"""The playground's server: it answers its own page, on this machine, and nobody else."""

import base64
import json
import socket
from contextlib import contextmanager, suppress
from functools import partial
from http.client import HTTPResponse
from threading import Thread

import numpy as np
import pytest

from playground import student
from playground.answers import Answers, explained
from playground.server import Server
from tests.playground.asking import POINT, SMALL, state, trained

small_answers = partial(Answers, SMALL)


@contextmanager
def serving(new_answers=small_answers, explain=explained):
    """Serve on a free port, until the end of the block."""
    with Server(0, new_answers, explain) as server:
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server():
    with serving() as server:
        yield server


def connected(server):
    """Return a connection. What is not answered fails in the end, and does not hang."""
    return socket.create_connection(server.server_address, timeout=60)


def request(server, method, path, body="", headers=None):
    """Send a request; return the status, and the text of the answer.

    All is sent at once: the server may close the connection before it has read the body.
    """
    headers = {"Host": "127.0.0.1", "Content-Length": len(body)} | (headers or {})
    lines = [f"{method} {path} HTTP/1.1"]
    for name, value in headers.items():
        if value is not None:
            lines.append(f"{name}: {value}")
    head = "\r\n".join([*lines, "", ""])
    with connected(server) as connection:
        connection.sendall(f"{head}{body}".encode())
        response = HTTPResponse(connection)
        response.begin()
        return response.status, response.read().decode()


def ask(server, question, tab="a", **values):
    """Ask as a tab does; return the answer, without its arrays."""
    body = json.dumps({"ask": question, "tab": tab, "number": 1, "values": values})
    status, text = request(server, "POST", "/ask", body)
    assert status == 200
    return json.loads(text)["content"]


def test_it_listens_on_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1"


def test_the_page_is_whole(server):
    status, text = request(server, "GET", "/")
    assert status == 200
    assert text.startswith("<!doctype html>")
    assert "class Playground" in text
    assert "const recorded = null;" in text


@pytest.mark.parametrize(
    "path",
    [
        "/playground.js",
        "/run.py",
        "/../README.md",
        "/%2e%2e/README.md",
        "//etc/passwd",
        "/etc/passwd",
        "/?file=/etc/passwd",
        "/ask",
        "http://127.0.0.1/run.py",
        "*",
    ],
)
def test_there_is_nothing_but_the_page(path, server):
    status, text = request(server, "GET", path)
    assert status == 404
    assert "root:" not in text


def test_a_question_is_answered_with_the_run(server):
    body = json.dumps({"ask": "show", "tab": "shown"})
    status, text = request(server, "POST", "/ask", body)
    answer = json.loads(text)
    params = np.frombuffer(base64.b64decode(answer["buffers"][0]), "float32")
    expected = trained(0).run.moments[0].params
    assert status == 200
    assert np.array_equal(params, expected.astype("float32"))
    assert answer["content"]["sizes"] == [2, 3, 2]


# Who asks.


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("evil.example", None),
        ("evil.example:8765", "http://evil.example:8765"),
        ("127.0.0.1.evil.example", None),
        ("", None),
        (None, None),
        ("127.0.0.1:8765", "http://evil.example"),
        ("127.0.0.1:8765", "http://127.0.0.1:3000"),
        ("127.0.0.1:8765", "https://127.0.0.1:8765"),
        ("127.0.0.1:8765", "null"),  # a page from a file
        ("localhost:8765", "http://127.0.0.1:8765"),
    ],
)
def test_a_page_from_elsewhere_is_refused(method, host, origin, server):
    headers = {"Host": host, "Origin": origin}
    path = "/" if method == "GET" else "/ask"
    status, text = request(server, method, path, json.dumps({"ask": "show"}), headers)
    assert status == 403
    assert "moons" not in text


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8765", "localhost", "localhost:80"])
def test_its_own_page_is_answered_by_any_name_of_this_machine(host, server):
    headers = {"Host": host, "Origin": f"http://{host}"}
    assert request(server, "GET", "/", headers={"Host": host})[0] == 200
    assert request(server, "POST", "/ask", json.dumps({"ask": "show"}), headers)[0] == 200


def test_what_a_refused_request_holds_is_never_taken_for_the_next_one(server):
    hidden = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    head = b"POST /ask HTTP/1.1\r\nHost: evil.example\r\nContent-Length: %d\r\n\r\n"
    with connected(server) as connection:
        connection.sendall(head % len(hidden) + hidden)
        with connection.makefile("rb") as file:
            answer = read_to_end(file)
    assert answer.startswith(b"HTTP/1.1 403")
    assert answer.count(b"HTTP/1.1") == 1


def read_to_end(file):
    """Return what comes, until the server closes the connection, in whatever way."""
    lines = []
    with suppress(ConnectionResetError):
        lines.extend(file)
    return b"".join(lines)


# What is asked.


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/", "{}", {}, 404),
        ("POST", "/ask/../", "{}", {}, 404),
        ("POST", "/ask", "", {"Content-Length": "1000001"}, 413),
        ("POST", "/ask", "", {"Content-Length": "9" * 5000}, 413),
        ("POST", "/ask", "", {"Content-Length": "-1"}, 411),
        ("POST", "/ask", "", {"Content-Length": "many"}, 411),
        ("POST", "/ask", "", {"Content-Length": ""}, 411),
        ("POST", "/ask", "", {"Content-Length": None}, 411),
        ("POST", "/ask", "", {}, 400),
        ("POST", "/ask", "ask=show", {}, 400),
        ("POST", "/ask", "\0", {}, 400),
        ("POST", "/ask", "[" * 100_000, {}, 400),
        ("POST", "/ask", '["show"]', {}, 400),
        ("POST", "/ask", "null", {}, 400),
        ("PUT", "/ask", "{}", {}, 501),
    ],
)
def test_what_is_no_question_is_refused_and_the_server_goes_on(
    method, path, body, headers, status, server, capfd
):
    assert request(server, method, path, body, headers)[0] == status
    assert ask(server, "show")["note"] == ""
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("question", "values", "told"),
    [("dance", {}, "no question 'dance'"), ("train", {"n": 1}, "'n'"), ("show", [1], "list")],
)
def test_the_answer_to_a_wrong_question_says_what_is_wrong(question, values, told, server):
    ask(server, "show")
    body = json.dumps({"ask": question, "tab": "a", "values": values})
    status, text = request(server, "POST", "/ask", body)
    assert status == 200
    assert told in json.loads(text)["content"]["note"]


# Tabs.


def test_each_tab_has_a_run_of_its_own():
    with serving() as server:
        for tab in ("a", "b"):
            ask(server, "show", tab)
        ask(server, "train", "a", n_epochs=1)
        ask(server, "change", "b", change={"epoch": 0, **POINT})
        assert ask(server, "set_epochs", "a", text="9")["changes"] == []
        assert ask(server, "set_epochs", "a", text="9")["known"] == 2
        assert len(ask(server, "set_epochs", "b", text="9")["changes"]) == 1
        assert ask(server, "set_epochs", "b", text="9")["known"] == 1


def test_a_tab_may_be_called_anything(server):
    for tab in ("", "../..", None, 7, ["a"], {"a": 1}, "é" * 1000):
        assert ask(server, "show", tab)["known"] == 0
        assert ask(server, "undo", tab)["known"] == 1


def test_the_seventeenth_tab_takes_the_place_of_the_one_that_was_silent_longest():
    with serving() as server:
        for tab in range(16):
            ask(server, "show", tab)
        ask(server, "show", 0)  # so that 1 has been silent longest
        ask(server, "show", "the seventeenth")
        for tab in (0, 2, 15, "the seventeenth"):
            assert ask(server, "undo", tab)["known"] == 1
        assert ask(server, "train", 1, n_epochs=1) == {"is_gone": True}


def test_a_tab_that_is_gone_begins_again_from_its_state():
    with serving() as server:
        ask(server, "show")
    with serving() as server:  # another one
        assert ask(server, "train", n_epochs=1) == {"is_gone": True}
        content = ask(server, "restore", text=state(5, seed="3"))
        assert (content["goal"], content["texts"]["seed"]) == (5, "3")


def test_the_answer_says_that_the_folder_is_broken_by_now(tmp_path):
    load_code = partial(student.load, tmp_path)
    explain = partial(student.explained_in, tmp_path)
    with serving(partial(Answers, SMALL, load_code, explain), explain) as server:
        content = ask(server, "show")
        assert list(content) == ["note"]
        assert "modules.py" in content["note"]
        assert ask(server, "train", n_epochs=1) == {"is_gone": True}
