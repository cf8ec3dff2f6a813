"""The command `python -m playground`: its flags, its port, its end, and a recorded run."""

import base64
import json
import os
import re
import runpy
import socket
import sys
import threading
import webbrowser
from threading import Thread

import numpy as np
import pytest

from playground import __main__ as command
from playground.__main__ import main
from playground.page import page
from playground.run import Run
from playground.server import Server
from tests.helpers import help_text, refusal, run_twice_at_once, watch_replacements
from tests.playground.asking import OWN_CSV, trained

QUICK = ["--hidden_units", "3", "--batch_size", "300", "--epochs", "4"]


def interrupt(*_, **__):
    raise KeyboardInterrupt


@pytest.fixture
def ctrl_c(monkeypatch):
    """Let Ctrl-C come as soon as a page is served."""
    monkeypatch.setattr(Server, "serve_forever", interrupt)


@pytest.fixture
def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


# Flags.


def test_the_help_begins_with_what_it_does_and_ends_with_an_example(capsys):
    lines = help_text(main, capsys).splitlines()
    assert lines[0].endswith(".")
    assert lines[-1].startswith("Example: python -m playground ")
    words = " ".join(" ".join(lines).split())
    assert re.search("--noise NOISE [^-]*deviation", words)
    assert re.search("--data_seed DATA_SEED [^-]*data", words)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--noise", "2"], "--noise: '2' .* from 0 to 1"),
        (["--dataset", "digits"], "--dataset: 'digits' .* moons"),
        (["--hidden_units", "99"], "--hidden_units: '99' .* at most 40"),
        (["--batch_size", "half"], "--batch_size: 'half' .* or full"),
        (["--port", "80"], "--port: '80' .* from 1024"),
        (["--epoch", "5"], "--epoch"),
        (["mine", "yours"], "yours"),
        (["--save", "."], "--save: . cannot .* name one in a folder that exists"),
        (["--save", "missing/run.html"], "--save: missing/run.html .* folder that exists"),
    ],
)
def test_a_wrong_flag_is_refused_in_one_line_before_any_work(
    flags, told, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Run, "__init__", None)
    assert re.search(told, refusal(main, flags, capsys))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "--data: points.csv: give from 5"),
        ("0,0,0\n1,1\n", "--data: points.csv: line 2: expected"),
        (None, "--data: points.csv cannot be read"),
    ],
)
def test_a_bad_file_of_points_is_refused(text, told, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "points.csv").write_text(text)
    assert told in refusal(main, ["--data", "points.csv"], capsys)


def test_a_folder_without_the_files_is_refused(tmp_path, capsys):
    assert main([str(tmp_path / "mine")]) == 1
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert "mine has no modules.py" in line
    assert "grading.starter" in line


# The page.


def test_it_says_where_the_page_is_opens_it_and_ctrl_c_ends_it(monkeypatch, capsys):
    opened = []
    is_open = threading.Event()

    def open_page(address):
        opened.append(address)
        is_open.set()

    def serve(self):
        assert is_open.wait(60)
        raise KeyboardInterrupt

    monkeypatch.setattr(webbrowser, "open", open_page)
    monkeypatch.setattr(Server, "serve_forever", serve)
    assert main(QUICK) == 0
    printed = capsys.readouterr()
    assert f"{opened[0]} (Ctrl-C" in printed.out
    assert printed.err.strip() == ""


@pytest.mark.usefixtures("ctrl_c")
def test_without_a_browser_it_only_says_where_the_page_is(monkeypatch, capsys):
    monkeypatch.setattr(webbrowser, "open", None)
    monkeypatch.setattr(Thread, "start", None)  # none is begun that could open it later
    assert main([*QUICK, "--no_browser"]) == 0
    assert "http://127.0.0.1:" in capsys.readouterr().out


@pytest.mark.usefixtures("ctrl_c")
def test_of_a_port_that_is_taken_it_says_so_and_takes_another(taken_port, capsys):
    assert main([*QUICK, "--no_browser", "--port", str(taken_port)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert f"port {taken_port} is taken" in first
    port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", second)[1])
    assert taken_port < port < taken_port + 100


@pytest.mark.usefixtures("ctrl_c")
def test_where_no_port_is_free_it_says_so(taken_port, monkeypatch, capsys):
    monkeypatch.setattr("playground.__main__.N_PORTS", 1)
    assert main([*QUICK, "--no_browser", "--port", str(taken_port)]) == 1
    assert "another --port" in capsys.readouterr().err


def test_ctrl_c_before_that_ends_it_without_a_traceback(monkeypatch, capsys):
    monkeypatch.setattr("playground.run.load_problem", interrupt)
    monkeypatch.setattr(sys, "argv", ["playground", *QUICK])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(command.__file__, run_name="__main__")
    assert end.value.code == 130
    assert capsys.readouterr().err == ""


# A recorded run.


def recorded_in(text):
    """Return the recorded answer in a page, and its arrays."""
    (line,) = (line for line in text.splitlines() if line.startswith("const recorded = "))
    answer = json.loads(line.removeprefix("const recorded = ").removesuffix(";"))
    buffers = [base64.b64decode(buffer) for buffer in answer["buffers"]]
    return answer["content"], [np.frombuffer(buffer, "float32") for buffer in buffers]


def test_a_recorded_run_has_every_epoch_in_one_file(tmp_path, monkeypatch, capsys):
    sizes = watch_replacements(monkeypatch)
    path = tmp_path / "run.html"
    assert main([*QUICK, "--save", str(path)]) == 0
    assert f"wrote {path}" in capsys.readouterr().out
    assert os.listdir(tmp_path) == ["run.html"]
    assert sizes == {"run.html": path.stat().st_size}

    content, (params, metrics, train, test) = recorded_in(path.read_text("utf-8"))
    run = trained(4).run
    expected = [moment.params.astype("float32") for moment in run.moments]
    assert np.array_equal(params.reshape(5, 17), expected)
    assert len(metrics) == 5 * 4
    assert (len(train), len(test)) == (3 * 800, 3 * 200)
    assert (content["known"], content["n_new"], content["note"]) == (0, 5, "")
    assert content["texts"]["epochs"] == "4"


def test_a_file_of_points_is_what_the_run_learns(tmp_path):
    (tmp_path / "points.csv").write_text(OWN_CSV)
    path = tmp_path / "run.html"
    assert main([*QUICK, "--data", f"{tmp_path}/points.csv", "--save", str(path)]) == 0
    content, (*_, train, test) = recorded_in(path.read_text("utf-8"))
    assert content["texts"]["dataset"] == "own"
    assert (len(train), len(test)) == (3 * 32, 3 * 8)


def test_two_runs_may_be_saved_to_one_file_at_the_same_time(tmp_path):
    path = tmp_path / "run.html"
    run_twice_at_once(lambda: main([*QUICK, "--save", str(path)]), "run.html")
    assert os.listdir(tmp_path) == ["run.html"]


def test_a_recorded_page_needs_no_other_file(tmp_path):
    path = tmp_path / "run.html"
    main([*QUICK, "--save", str(path)])
    text = path.read_text("utf-8")
    assert "<link" not in text.replace('<link rel="icon" href="data:,">', "")
    assert " src=" not in text
    assert "import " not in text
    assert "[playground.js]" not in text


def test_1500_epochs_take_about_a_megabyte(tmp_path):
    sizes = []
    for n_epochs in (10, 110):
        path = tmp_path / f"{n_epochs}.html"
        assert main(["--batch_size=full", f"--epochs={n_epochs}", f"--save={path}"]) == 0
        sizes.append(path.stat().st_size)
    assert sizes[0] + 14.9 * (sizes[1] - sizes[0]) < 1.1e6


def test_nothing_that_is_recorded_ends_the_script_of_the_page():
    answer = {"content": {"note": "</script><!-- <script>"}, "buffers": []}
    text = page(answer)
    assert text.count("</script>") == page().count("</script>") == 1
    content, _ = recorded_in(text)
    assert content == answer["content"]


def test_where_training_diverges_the_recorded_run_ends_and_says_so(tmp_path, capsys):
    path = tmp_path / "run.html"
    flags = ["--learning_rate=100", "--batch_size=64", "--epochs=50", f"--save={path}"]
    assert main(flags) == 1
    content, (params, *_) = recorded_in(path.read_text("utf-8"))
    assert len(params) == 102 * content["n_new"]
    assert np.isfinite(params).all()
    assert "below 100" in content["note"]
    assert content["note"] in capsys.readouterr().err


def test_ctrl_c_while_it_trains_keeps_the_epochs_so_far(tmp_path, monkeypatch, capsys):
    advance = Run.advance

    def advance_twice(run):
        if run.epoch == 2:
            raise KeyboardInterrupt
        advance(run)

    monkeypatch.setattr(Run, "advance", advance_twice)
    path = tmp_path / "run.html"
    assert main([*QUICK, "--save", str(path)]) == 1
    content, _ = recorded_in(path.read_text("utf-8"))
    assert content["n_new"] == 3
    assert "nterrupted" in content["note"]
    assert "epoch 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (KeyboardInterrupt(), 130, ""),
        (OSError(28, "No space left on device"), 1, "run.html was not written: No space"),
    ],
)
def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_other(
    error, status, told, tmp_path, monkeypatch, capsys
):
    path = tmp_path / "run.html"
    path.write_text("old")

    def fail(*_):
        raise error

    monkeypatch.setattr(os, "replace", fail)
    assert main([*QUICK, "--save", str(path)]) == status
    assert os.listdir(tmp_path) == ["run.html"]
    assert path.read_text() == "old"
    assert told in capsys.readouterr().err
