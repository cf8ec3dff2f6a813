"""Every command line refuses what it does not understand: status 2, one line, nothing written."""

import importlib
import shlex
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TRAINER, PERCEPTRON, COMPARE = "train_mlp_numpy", "perceptron", "compare_batch_sizes"
ANIMATE, BUGS, GRADIENTS = "animate_boundary", "backprop_bugs", "gradient_check"
BENCHMARK, NOTEBOOK = "benchmarks.side_by_side", "tests.run_notebook"
SCRIPTS = (TRAINER, PERCEPTRON, COMPARE, ANIMATE, BUGS, GRADIENTS, BENCHMARK, NOTEBOOK)

# No number, whatever int() and float() make of it: blanks, digits of other scripts, other bases.
NO_NUMBER = ("", " ", "abc", "None", "--", "+-1", " 5", "5 ", "5\n", "1_000", "0x10", "1 5")
NO_NUMBER += (
    "\uff11\uff16",
    "\u0663",
    "²",
    "½",
    "∞",
    "5\u200b",
    "\udcff",
    "1e",
    "nan",
    "-nan",
    "inf",
    "-inf",
)
NO_NUMBER += ("1e400", "-1", "-0.5", "9" * 5000, "--seed", "-x", "$(date)", "%s", "5;6", "../5")
NOT_WHOLE = (*NO_NUMBER, "1.5", "1e3", "1.", "9223372036854775808", "99999999999999999999")
NOT_POSITIVE = (*NO_NUMBER, "0", "-0.0", "1e-400")

WHOLE = {
    TRAINER: ("max_steps", "eval_freq", "n_samples", "seed", "data_seed", "batch_size"),
    PERCEPTRON: ("max_epochs", "repeats", "seed"),
    COMPARE: ("n_seeds", "n_jobs", "seed", "max_steps", "eval_freq", "batch_sizes"),
    ANIMATE: ("max_steps", "seed", "batch_sizes", "n_samples"),
    BENCHMARK: ("rounds",),
}
POSITIVE = dict.fromkeys((TRAINER, PERCEPTRON, COMPARE, ANIMATE), ("learning_rate",))  # fmt: skip

NUMBERS = [
    (script, [f"--{flag}", text], f"argument --{flag}: ")
    for flags, texts in ((WHOLE, NOT_WHOLE), (POSITIVE, NOT_POSITIVE))
    for script in flags
    for flag, text in product(flags[script], texts)
]

ABBREVIATED = [
    (script, args, "unknown argument")
    for script, args in [
        (TRAINER, ["--batch", "16"]),
        (TRAINER, ["--batch_siz", "16"]),
        (TRAINER, ["--learn", "0.1"]),
        (TRAINER, ["--max", "10"]),
        (TRAINER, ["--no"]),
        (TRAINER, ["--output", "x"]),
        (TRAINER, ["--see", "1"]),
        (TRAINER, ["--data", "moons"]),
        (PERCEPTRON, ["--repeat", "3"]),
        (PERCEPTRON, ["--max_epoch=3"]),
        (COMPARE, ["--res"]),
        (COMPARE, ["--n_job", "1"]),
        (ANIMATE, ["--out", "x"]),
        (BUGS, ["--hel"]),
        (GRADIENTS, ["--hel"]),
        (BENCHMARK, ["--round", "1"]),
        (NOTEBOOK, ["--hel"]),
    ]
]

OTHERS = [
    (TRAINER, ["--batchsize", "16"], "did you mean --batch_size?"),
    (TRAINER, ["--batch-size", "16"], "did you mean --batch_size?"),
    (TRAINER, ["--Batch_size", "16"], "did you mean --batch_size?"),
    (TRAINER, ["16"], "--help lists the flags"),
    (TRAINER, [""], "--help lists the flags"),
    (TRAINER, ["--", "16"], "--help lists the flags"),
    (TRAINER, ["-x"], "--help lists the flags"),
    (TRAINER, ["a\nb"], "--help lists the flags"),
    (TRAINER, ["--batch_size", "16", "32"], "unknown argument 32"),
    (TRAINER, ["--no_output=yes"], "ignored explicit argument"),
    (TRAINER, ["--batch_size"], "expected one argument"),
    (TRAINER, ["--batch_size", "0"], "such as 16, or full"),
    (TRAINER, ["--batch_size", "Full"], "such as 16, or full"),
    (TRAINER, ["--dnn_hidden_units", "20,,5"], "such as 20 or 64,32"),
    (TRAINER, ["--dnn_hidden_units", "20, 5"], "such as 20 or 64,32"),
    (TRAINER, ["--dnn_hidden_units", ""], "such as 20 or 64,32"),
    (TRAINER, ["--dnn_hidden_units", "\u0662\u0660"], "such as 20 or 64,32"),
    (TRAINER, ["--dnn_hidden_units", "0"], "such as 20 or 64,32"),
    (TRAINER, ["--dnn_hidden_units", "x"], "such as 20 or 64,32"),
    (TRAINER, ["--dnn_hidden_units", "20,-5"], "such as 20 or 64,32"),
    (TRAINER, ["--dnn_hidden_units", "10001"], "such as 20 or 64,32"),
    (TRAINER, ["--dnn_hidden_units", "9999,9999,9999"], "give fewer units"),
    (TRAINER, ["--learning_rate", "-1e-3"], "give a finite number above 0"),
    (TRAINER, ["--max_steps", "0"], "give a whole number from 1 to 1000000000"),
    (TRAINER, ["--eval_freq", "0"], "give a whole number from 1 to 1000000000"),
    (TRAINER, ["--n_samples", "1"], "give a whole number from 2 to 1000000"),
    (TRAINER, ["--n_samples", "1000001"], "give a whole number from 2 to 1000000"),
    (TRAINER, ["--noise", "-0.1"], "give a finite number from 0 to 1e100"),
    (TRAINER, ["--noise", "1e308"], "give a finite number from 0 to 1e100"),
    (TRAINER, ["--noise", "0,2"], "give a finite number from 0 to 1e100"),
    (TRAINER, ["--dataset", "moon"], "choose from"),
    (TRAINER, ["--dataset", ""], "choose from"),
    (TRAINER, ["--dataset", "moons\n"], "choose from"),
    (TRAINER, ["--dataset", "digits", "--noise", "0.1"], "leave out"),
    (TRAINER, ["--dataset", "digits", "--n_samples", "1798"], "from 2 to 1797"),
    (TRAINER, ["--backend", "torch"], "choose from"),
    (TRAINER, ["--backend", "NumPy"], "choose from"),
    (TRAINER, ["--seed", "4294967296"], "whole number from 0 to 4294967295"),
    (TRAINER, ["--output_dir", ""], "name a folder"),
    (TRAINER, ["--output_dir", "/dev/null"], "it is a file"),
    (TRAINER, ["--output_dir", "/dev/null/below"], "name a folder"),
    (TRAINER, ["--output_dir", "/dev/null/a\nb"], "name a folder"),
    (TRAINER, ["--output_dir", "/proc/a b"], "name a folder"),
    (TRAINER, ["--output_dir", 300 * "x"], "File name too long"),
    (TRAINER, ["--show"], "no display"),
    (PERCEPTRON, ["--seed", "4294967295", "--repeats", "2"], "give a smaller --seed"),
    (PERCEPTRON, ["--repeats", "0"], "give a whole number from 1 to 1000000000"),
    (PERCEPTRON, ["--max_epochs", "0"], "give a whole number from 1 to 1000000000"),
    (PERCEPTRON, ["--output_dir", "/dev/null"], "it is a file"),
    (PERCEPTRON, ["--batch_size", "1"], "unknown argument"),
    (PERCEPTRON, ["--show"], "no display"),
    (COMPARE, ["--batch_size", "16"], "did you mean --batch_sizes?"),
    (COMPARE, ["--batch_sizes", "16,,1"], "such as 16,64,full"),
    (COMPARE, ["--batch_sizes", "16,16"], "each once"),
    (COMPARE, ["--batch_sizes", "0,full"], "such as 16,64,full"),
    (COMPARE, ["--batch_sizes", "16, 1"], "such as 16,64,full"),
    (COMPARE, ["--batch_sizes", "801"], "all of the 800 training rows or more; give full"),
    (COMPARE, ["--batch_sizes", "16,016"], "each once"),
    (COMPARE, ["--n_seeds", "0"], "give a whole number from 1 to 1000000000"),
    (COMPARE, ["--n_jobs", "0"], "give a whole number from 1 to 1000"),
    (COMPARE, ["--n_jobs", "1000000000"], "give a whole number from 1 to 1000"),
    (COMPARE, ["--seed", "4294967295", "--n_seeds", "2"], "give a smaller --seed"),
    (COMPARE, ["--budget", "steps"], "choose from"),
    (COMPARE, ["--dataset", "digits", "--noise", "0.1"], "leave out"),
    (COMPARE, ["--output_dir", "/dev/null"], "it is a file"),
    (COMPARE, ["--no_output", "--resume"], "there are no files to go on with"),
    (ANIMATE, ["--batch_size", "16"], "did you mean --batch_sizes?"),
    (ANIMATE, ["--batch_sizes", "16,,1"], "such as 16,64,full"),
    (ANIMATE, ["--dataset", "digits"], "choose moons, circles or blobs"),
    (ANIMATE, ["--output_dir", "/dev/null"], "it is a file"),
    (ANIMATE, ["--no_output"], "unknown argument"),
    (BUGS, ["--seed", "3"], "--help lists the flags"),
    (BUGS, ["3"], "--help lists the flags"),
    (GRADIENTS, ["--limit", "1"], "--help lists the flags"),
    (BENCHMARK, ["--rounds", "0"], "give a whole number from 1 to 1000000000"),
    (NOTEBOOK, ["mlp_visualization.ipynb"], "--help lists the flags"),
]
BAD_ARGUMENTS = NUMBERS + ABBREVIATED + OTHERS


def is_named(value, line):
    """Return whether a line tells this value, unless it was taken for a flag."""
    forms = (" ".join(form.split()) for form in (value, repr(value), shlex.quote(value)))
    was_flag = value.startswith("-") and "expected one argument" in line
    return was_flag or any(form in line for form in forms if form)


def check_refusal(script, status, output, errors, remedy, folder):
    """Fail unless this is how a script refuses its arguments."""
    assert status == 2
    assert output == ""
    (line,) = errors.splitlines()
    assert line.startswith(f"{script.split('.')[-1]}.py: error: ")
    assert remedy in line
    assert list(folder.iterdir()) == []


def shown(case):
    """Return a name for a bad invocation, in plain ASCII."""
    script, args, _ = case
    return ascii(f"{script} {' '.join(args)}")[1:60]


@pytest.mark.parametrize("case", BAD_ARGUMENTS, ids=shown)
def test_a_usage_error_is_status_2_and_one_line(tmp_path, monkeypatch, capsys, case):
    script, args, remedy = case
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{script.split('.')[-1]}.py", *args])
    monkeypatch.setenv("DISPLAY", "")
    with pytest.raises(SystemExit) as end:
        importlib.import_module(script).main()
    captured = capsys.readouterr()
    check_refusal(script, end.value.code, captured.out, captured.err, remedy, tmp_path)
    assert is_named(args[-1].partition("=")[2] or args[-1], captured.err)


@pytest.mark.parametrize("script", SCRIPTS)
def test_so_it_is_in_a_process(tmp_path, script):
    result = subprocess.run(
        [sys.executable, "-W", "error", "-m", script, "--sed", "1e400\n", "\udcff", "\uff11\uff16"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    check_refusal(script, result.returncode, result.stdout, result.stderr, "--sed", tmp_path)


def test_no_command_line_is_forgotten():
    sources = [*ROOT.glob("*.py"), *ROOT.glob("benchmarks/*.py"), *ROOT.glob("tests/*.py")]
    scripts = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sources
        if "\n    run(main)\n" in path.read_text()
    }
    assert scripts == {*SCRIPTS}
