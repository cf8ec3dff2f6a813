"""The same seed gives the same bits: in one process, in another, with one thread or two."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from train_mlp_numpy import BACKENDS, load_data, save_history, train_from_seed

ROOT = Path(__file__).parent.parent
BATCH_SIZES = (1, 16, 64, None)
IN_A_PROCESS = """
from threadpoolctl import threadpool_info
from tests.test_same_bits import digests
print(max(pool["num_threads"] for pool in threadpool_info()), *digests("."), sep="\\n")
"""


def digests(folder):
    """Return what tells each run's history and saved network from any other's, a line for each."""
    lines, data = [], load_data()
    for backend in BACKENDS:
        for batch_size in BATCH_SIZES:
            model, history = train_from_seed(
                data, 42, batch_size=batch_size, max_steps=15, eval_freq=2, backend=backend
            )
            save_history(history, Path(folder) / "history.csv")
            model.save(Path(folder) / "model.npz")
            arrays = b"".join(values.tobytes() for values in history.values())
            for name in ("history.csv", "model.npz"):
                arrays += (Path(folder) / name).read_bytes()
            lines.append(f"{backend} {batch_size} {hashlib.sha256(arrays).hexdigest()}")
    return lines


def n_cores():
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    return digests(tmp_path_factory.mktemp("first"))


def test_runs_of_one_process_are_the_same_to_the_bit(here, tmp_path):
    assert digests(tmp_path) == here
    assert len({line.split()[-1] for line in here}) == len(BACKENDS) * len(BATCH_SIZES)


@pytest.mark.parametrize(
    ("threads", "hash_seed"), [("1", "0"), ("2", "1"), ("1", "random"), ("2", "random")]
)
def test_another_process_gives_the_same_bits(here, tmp_path, threads, hash_seed):
    if int(threads) > n_cores():
        pytest.skip("there is one core: no two threads")
    settings = {f"{library}_NUM_THREADS": threads for library in ("OPENBLAS", "OMP", "MKL")}
    settings |= {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", IN_A_PROCESS],
        cwd=tmp_path,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    assert result.stderr == ""
    assert result.stdout.split("\n") == [threads, *here, ""]
