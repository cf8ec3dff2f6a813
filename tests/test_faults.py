"""Faults lose nothing: signals, full disks, closed pipes, in real processes at random moments."""

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlp_numpy import MLP
from train_mlp_numpy import BACKENDS, FILES, METRICS, evaluate, load_data, save_history

ROOT = Path(__file__).parent.parent
TRAINER = "train_mlp_numpy.py"
SMALL = ("--n_samples", "60", "--batch_size", "16")


def start(folder, script, *args, prefix=(), stdout=subprocess.PIPE):
    """Start a script that hears SIGINT, as one in the foreground of a terminal does."""
    return subprocess.Popen(
        [*prefix, sys.executable, str(ROOT / script), *args],
        cwd=folder,
        env={**os.environ, "MPLBACKEND": "agg"},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def rows_of(path):
    """Return the rows of a history.csv, having seen that it is whole."""
    text = path.read_text()
    assert text.endswith("\n")
    rows = list(csv.DictReader(text.splitlines()))
    assert list(rows[0]) == ["step", *METRICS]
    assert all(None not in row.values() and len(row) == 5 for row in rows)
    return rows


def check_whole(folder):
    """Fail unless every file of the trainer in the folder is whole; return the history's rows."""
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            image.load()
    MLP.load(folder / "model.npz")
    return rows_of(folder / "history.csv")


@pytest.fixture(scope="module")
def earlier(tmp_path_factory):
    """The files of an earlier run, of three epochs."""
    folder = tmp_path_factory.mktemp("earlier")
    process = start(folder, TRAINER, *SMALL, "--max_steps", "3")
    assert process.communicate(timeout=60)[1] == ""
    assert {path.name for path in (folder / "outputs").iterdir()} == {*FILES}
    return folder / "outputs"


N_MOMENTS, N_USUAL, N_KILLS = 100, 12, 20


@pytest.mark.parametrize(
    "moment",
    [pytest.param(k, marks=pytest.mark.slow if k >= N_USUAL else ()) for k in range(N_MOMENTS)],
)
def test_whatever_the_moment_it_ends_quietly_and_every_file_is_whole(earlier, tmp_path, moment):
    backend, signum = BACKENDS[moment % 2], (signal.SIGINT, signal.SIGTERM)[moment // 2 % 2]
    outputs = shutil.copytree(earlier, tmp_path / "outputs")
    n_epochs = {"numpy": "10000", "numba": "50000"}[backend]  # about a second of either
    process = start(tmp_path, TRAINER, *SMALL, "--backend", backend, "--max_steps", n_epochs)
    rng, output = random.Random(moment), ""
    if moment % 3:  # while it trains, writes and draws
        output = process.stdout.readline()
        time.sleep(rng.uniform(0, 2))
    else:  # while it starts. While Python itself does, nothing can be done against its traceback.
        time.sleep(rng.uniform(0.1, 1))
    process.send_signal(signum)
    rest, errors = process.communicate(timeout=60)
    output += rest
    is_training, is_done = "epoch 0:" in output, f"wrote outputs/{FILES[-1]}" in output
    allowed = {128 + signum}
    if not is_training or is_done:
        allowed.add(-signum)  # the system's own way, when there is nothing to lose
    if is_done:
        allowed.add(0)
    assert process.returncode in allowed, errors
    assert "Traceback" not in errors
    assert len(errors.splitlines()) <= 1
    assert {path.name for path in outputs.iterdir()} == {*FILES}  # and no scratch file
    rows = check_whole(outputs)
    if is_training:
        metrics = evaluate(MLP.load(outputs / "model.npz"), load_data(n_samples=60))
        assert {key: float(rows[-1][key]) for key in METRICS} == pytest.approx(metrics, rel=1e-12)
        assert len(rows) > 2 or rows[-1]["step"] != "3"
        assert "wrote outputs/history.csv" in output
        assert "wrote outputs/model.npz" in output
    else:
        assert [row["step"] for row in rows] == ["0", "3"]


SAVE_FOREVER = """
import numpy as np
from mlp_numpy import MLP
from train_mlp_numpy import METRICS, save_history
models = MLP(2, [200, 200], 2, 0), MLP(2, [200, 200], 2, 1)
histories = [{key: np.arange(n) for key in ("step", *METRICS)} for n in (1000, 2000)]
while True:
    for model, history in zip(models, histories):
        model.save("model.npz")
        save_history(history, "history.csv")
    print("ready", flush=True)
"""


@pytest.mark.parametrize("moment", range(N_KILLS))
def test_killed_while_writing_it_leaves_the_old_file_or_the_new_one(tmp_path, moment):
    with subprocess.Popen(
        [sys.executable, "-c", SAVE_FOREVER],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        time.sleep(random.Random(moment).uniform(0.05, 0.2))
        process.kill()
    model = MLP.load(tmp_path / "model.npz")
    weight = model.layers[2].params["weight"]
    saved = [MLP(2, [200, 200], 2, seed).layers[2].params["weight"] for seed in (0, 1)]
    assert any(np.array_equal(weight, other) for other in saved)
    assert len(rows_of(tmp_path / "history.csv")) in (1000, 2000)
    # What was being written stays behind, but not for ever.
    for scratch in tmp_path.glob(".*.tmp"):
        os.utime(scratch, (0, 0))
    model.save(tmp_path / "model.npz")
    save_history({key: np.arange(9) for key in ("step", *METRICS)}, tmp_path / "history.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"model.npz", "history.csv"}


def can_mount():
    """Return whether this user may mount a small disk."""
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return shutil.which("unshare") and subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="a full disk needs unshare and mount")
def test_on_a_full_disk_what_fits_is_written_and_what_was_there_is_kept(earlier, tmp_path):
    (tmp_path / "disk").mkdir()
    on_a_disk = (
        "mount -t tmpfs -o size=400k tmpfs disk && cp before/history.csv before/model.npz disk && "
        '{ dd if=/dev/zero of=disk/filling bs=1k count=385 2>/dev/null; "$@"; status=$?; } && '
        "rm disk/filling && mkdir after && cp -a disk/. after && exit $status"
    )
    shutil.copytree(earlier, tmp_path / "before")
    process = start(
        tmp_path,
        TRAINER,
        *SMALL,
        *("--max_steps", "2000", "--eval_freq", "1", "--output_dir", "disk"),
        prefix=("unshare", "-rm", "bash", "-c", on_a_disk, "bash"),
    )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    lines = errors.splitlines()
    assert "cannot write disk/history.csv: No space left on device" in lines
    assert all(line.endswith(": No space left on device") for line in lines)
    assert {path.name for path in (tmp_path / "after").iterdir()} == {"history.csv", "model.npz"}
    rows = check_whole(tmp_path / "after")
    assert [row["step"] for row in rows] == ["0", "3"]  # the earlier one, not a part of a new one


def test_a_file_that_grows_too_large_leaves_the_old_one(earlier, tmp_path):
    limited = ("bash", "-c", 'ulimit -f 8; "$@"', "bash")  # in kilobytes, for each file
    outputs = shutil.copytree(earlier, tmp_path / "outputs")
    before = {path.name: path.read_bytes() for path in outputs.iterdir()}
    process = start(tmp_path, TRAINER, *SMALL, "--max_steps", "20", prefix=limited)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert [line.split(":")[-1] for line in errors.splitlines()] == [" File too large"] * 3
    assert output.count("wrote") == 2  # the history and the network are small
    assert {path.name for path in outputs.iterdir()} == {*FILES}
    check_whole(outputs)
    assert all((outputs / name).read_bytes() == before[name] for name in FILES[2:])


def test_a_folder_removed_during_training_is_made_again(tmp_path):
    process = start(tmp_path, TRAINER, *SMALL, "--max_steps", "100000")
    process.stdout.readline()  # training is under way
    shutil.rmtree(tmp_path / "outputs")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert {path.name for path in (tmp_path / "outputs").iterdir()} == {*FILES}
    check_whole(tmp_path / "outputs")


def test_a_folder_made_read_only_during_training_costs_nothing_that_is_in_it(earlier, tmp_path):
    outputs = shutil.copytree(earlier, tmp_path / "outputs")
    before = {path.name: path.read_bytes() for path in outputs.iterdir()}
    as_user = ("setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override")
    prefix = () if os.geteuid() else as_user  # root may write anywhere, unless it gives that up
    process = start(tmp_path, TRAINER, *SMALL, "--max_steps", "100000", prefix=prefix)
    process.stdout.readline()
    outputs.chmod(0o555)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    outputs.chmod(0o755)
    assert process.returncode == 143
    assert "wrote" not in output
    first, *lines = errors.splitlines()
    assert "interrupted in epoch" in first
    assert len(lines) == 5
    assert all(line.endswith(": Permission denied") for line in lines)
    assert {path.name: path.read_bytes() for path in outputs.iterdir()} == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_when_the_reader_of_a_pipe_leaves_training_ends_and_is_written(tmp_path, backend):
    script = (
        f'"{sys.executable}" "{ROOT / TRAINER}" --max_steps 20000 --backend {backend} | head -1; '
        "exit ${PIPESTATUS[0]}"
    )
    result = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 141
    assert result.stderr == ""
    assert result.stdout.startswith("epoch 0: train loss")
    steps = [int(row["step"]) for row in rows_of(tmp_path / "outputs" / "history.csv")]
    assert steps == sorted({*steps})
    assert steps[-1] <= 20_000
    assert {path.name for path in (tmp_path / "outputs").iterdir()} == {*FILES}
    check_whole(tmp_path / "outputs")


def test_an_output_that_cannot_be_written_costs_no_file(tmp_path):
    with open("/dev/full", "w") as full:
        process = start(tmp_path, TRAINER, *SMALL, "--max_steps", "20", stdout=full)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors == f"{TRAINER}: error: cannot write to stdout: No space left on device\n"
    assert len(check_whole(tmp_path / "outputs")) == 3


@pytest.mark.parametrize(
    ("args", "status"), [(("--bogus",), 2), (("--learning_rate", "1e300", "--no_output"), 1)]
)
def test_when_nobody_reads_the_errors_the_status_tells(tmp_path, args, status):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, str(ROOT / TRAINER), *SMALL, *args]
    result = subprocess.run(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=writer)
    os.close(writer)
    assert result.returncode == status
