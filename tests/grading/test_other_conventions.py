"""Conventions are no mistakes: what the checks of grading/ accept, and what they tell a teacher.

other_conventions/ is a right solution in other conventions than this project's. What a test makes
of it is appended to a copy: a class that takes the place of the one of its name.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def other(tmp_path):
    """A copy of a right solution in other conventions, to change."""
    return shutil.copytree(Path(__file__).parent / "other_conventions", tmp_path / "other")


def append(folder, file, code):
    with open(folder / f"{file}.py", "a") as source:
        source.write(code)


def method(kind, code):
    """Return a class that takes the place of the one of its name, with one other method."""
    return f"\n\nclass {kind}({kind}):\n    def {code}\n"


BIAS_AVERAGED = method("Linear", """backward(self, dout):
        dx = super().backward(dout)
        self.grads["bias"] = self.grads["bias"] / len(dout)
        return dx""")  # fmt: skip
WEIGHT_AVERAGED = BIAS_AVERAGED.replace("bias", "weight")
SOFTMAX_DERIVATIVE = method("SoftMax", """backward(self, dout):
        return self.out * (dout - np.sum(dout * self.out, axis=1, keepdims=True))""")  # fmt: skip
OF_PROBABILITIES = method("CrossEntropy", """backward(self, x, y):
        return -y / x / len(x)""")  # fmt: skip
BIAS_ALONE = method("Perceptron", """train(self, points, labels):
        start = self.weights[:-1].copy()
        super().train(points, labels)
        self.weights[:-1] = start""")  # fmt: skip
SUMMED = method("Perceptron", """train(self, points, labels):
        start = self.weights.copy()
        n_wrong = super().train(points, labels)["errors"][0]
        self.weights = start + n_wrong * (self.weights - start)""")  # fmt: skip
FROM_ZERO = method("Perceptron", """train(self, points, labels):
        self.weights = 0 * self.weights
        return super().train(points, labels)""")  # fmt: skip
IN_A_COLUMN = method("Perceptron", """__init__(self, n_inputs, *options, **more):
        super().__init__(n_inputs, *options, **more)
        self.weights = self.weights[:, None]

    def forward(self, point):
        return 1 if (np.append(point, 1) @ self.weights).item() >= 0 else -1

    def train(self, points, labels):
        self.weights = self.weights[:, 0]
        history = super().train(points, labels)
        self.weights = self.weights[:, None]
        return history""")  # fmt: skip
LATE_IMPORT = "\ndel Linear, ReLU, SoftMax\n" + method("MLP", """__init__(self, *sizes):
        global Linear, ReLU, SoftMax
        from modules import Linear, ReLU, SoftMax

        super().__init__(*sizes)""")  # fmt: skip


def test_a_solution_in_other_conventions_passes_and_they_are_listed(other, verdict, capfd):
    assert verdict(other).failures == []
    _, _, told = capfd.readouterr().out.partition("conventions of this solution")
    for convention in (
        "layers take no rng",
        "weights have the shape (out, in)",
        "biases have the shape (1, out)",
        "SoftMax.backward passes the gradient through",
        "CrossEntropy.backward is given its arguments once more",
        "the trainer takes the step, not the MLP",
        "Perceptron.forward takes one point at a time",
        "there is no train_mlp_numpy.py",
    ):
        assert convention in told


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (IN_A_COLUMN, "the perceptron's weights have the shape"),
        (FROM_ZERO, "Perceptron.train begins with zero weights itself"),
        ("del generate_dataset\n", "defines no generate_dataset"),
    ],
    ids=["weights-in-a-column", "training-from-zero", "no-data"],
)
def test_another_convention_is_accepted_and_told(other, verdict, code, told):
    append(other, "perceptron", code)
    found = verdict(other)
    assert found.failures == []
    assert told in "\n".join(found.told)


def test_a_softmax_and_a_loss_that_are_taken_apart_are_right_as_well(other, verdict):
    append(other, "modules", SOFTMAX_DERIVATIVE + OF_PROBABILITIES)
    found = verdict(other)
    assert found.failures == []
    assert "CrossEntropy.backward is the gradient of the probabilities, -y / (p N)" in found.told


def test_a_perceptron_alone_is_checked(other, verdict):
    for file in ("modules.py", "mlp_numpy.py"):
        (other / file).unlink()
    assert verdict(other).failures == []
    append(other, "perceptron", SUMMED)
    assert any("sums the gradient" in text for text in verdict(other).failures)


@pytest.mark.parametrize(
    ("file", "code", "check", "says"),
    [
        ("modules", BIAS_AVERAGED, "linear_sums_the_bias_gradient_over_the_batch",
            "averaged over the batch, but should be summed"),
        ("modules", WEIGHT_AVERAGED, "linear_sums_the_weight_gradient_over_the_batch",
            "averaged over the batch, but should be summed"),
        ("modules", OF_PROBABILITIES,
            "cross_entropy_has_the_gradient_of_the_logits_or_of_the_probabilities",
            "the derivative of the softmax is missing"),
        ("modules", SOFTMAX_DERIVATIVE, "every_gradient_of_the_network_is_that_of_its_loss",
            "derivative of the softmax twice"),
        ("perceptron", BIAS_ALONE, "an_epoch_averages_the_gradient_over_the_misclassified_points",
            "updates the bias alone"),
    ],
    ids=lambda value: value if " " in value and "\n" not in value else "",
)  # fmt: skip
def test_a_bug_is_caught_in_other_conventions_too(other, verdict, file, code, check, says):
    append(other, file, code)
    assert any(says in text for text in verdict(other, check).failures)


def test_nothing_of_this_project_stands_in_for_the_solution(other, verdict):
    append(other, "mlp_numpy", LATE_IMPORT)
    assert verdict(other).failures == []
    append(other, "modules", WEIGHT_AVERAGED)
    found = verdict(other, "every_gradient_of_the_network_is_that_of_its_loss").failures
    assert any("weight gradient of layer" in text for text in found)
    (other / "perceptron.py").write_text("import train_mlp_numpy\n")
    found = verdict(other, "training_the_perceptron_changes_none_of_its_arguments").failures
    assert any("perceptron.py cannot be imported" in text for text in found)


def test_a_call_that_raises_is_told_with_what_it_was_given(other, verdict):
    append(other, "mlp_numpy", method("MLP", "update(self):\n        pass"))
    code = "train(self, points, labels):\n        return len(0)"
    append(other, "perceptron", method("Perceptron", code))
    told = "\n".join(verdict(other).failures)
    assert "MLP.update raises TypeError" in told
    assert re.search(r"Perceptron.train raises TypeError.* for points \(20, 2\), labels", told)
    assert "Traceback" not in told
    assert "test_solution.py:" not in told


def test_the_readme_shows_what_is_told(other, verdict, capfd):
    append(other, "modules", BIAS_AVERAGED)
    verdict(other)
    told = capfd.readouterr().out
    blocks = (ROOT / "grading" / "README.md").read_text().split("```\n")[1::2]
    assert len(blocks) == 2
    for line in "".join(blocks).splitlines():
        assert f"{line}\n" in told


def check_from_a_shell(folder, *options):
    """Run pytest in another process, from this folder; return its status and what it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", str(ROOT / "grading"), "--solution", ".", *options],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    return result.returncode, result.stdout + result.stderr


def test_the_command_tells_a_teacher_what_is_wrong(other):
    append(other, "modules", BIAS_AVERAGED)
    (other / "perceptron.py").write_text("def generate_dataset(:")
    (other / "mlp_numpy.py").unlink()
    status, told = check_from_a_shell(other)
    assert status == 1
    assert "the bias gradient of Linear.backward is averaged over the batch, but should be" in told
    assert "perceptron.py cannot be imported: SyntaxError" in told
    assert "not checked: there is no mlp_numpy.py" in told
    assert "Traceback" not in told


def test_a_folder_without_a_solution_is_a_usage_error(tmp_path):
    status, told = check_from_a_shell(tmp_path)
    assert status == 4
    assert "there is no modules.py, mlp_numpy.py or perceptron.py in '.'" in told


def test_two_processes_list_the_conventions_as_well(other):
    pytest.importorskip("xdist")
    status, told = check_from_a_shell(other, "-n", "2")
    assert status == 0
    assert told.count("- weights have the shape (out, in)") == 1
