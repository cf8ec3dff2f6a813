"""What a submission is, what it is called, and which of its files plays which role."""

import os
from pathlib import Path

import pytest

from grading.submissions import find

MODULES = "class Linear:\n    pass\n"
MLP = "from modules import *\n\nclass MLP:\n    pass\n"
TRAINER = "from mlp_numpy import MLP\n\ndef train(batch_size):\n    pass\n"
TEXTS = {
    "perceptron.py": "class Perceptron:\n    pass\n",
    "modules.py": MODULES,
    "mlp_numpy.py": MLP,
    "train_mlp_numpy.py": TRAINER,
}
PART_2 = ("modules.py", "mlp_numpy.py", "train_mlp_numpy.py")
OUR_HEADER = "submission,part,check,status,message,points,out_of\n"


def put(folder, *names, text=None):
    """Write files into a folder: by default those of the assignment, all of them if none is named.

    A name may have folders before it.
    """
    for name in names or TEXTS:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TEXTS.get(path.name, "") if text is None else text, encoding="utf-8")


def names_in(*paths, **options):
    return [submission.name for submission in find(paths, **options)]


def files_of(folder):
    """Return by role the files of the one submission in a folder, as paths within it."""
    (submission,) = find([folder])
    files = {}
    for role, path in submission.files.items():
        files[role] = path.relative_to(folder).as_posix() if path else None
    return files


def refusal_of(folder):
    (submission,) = find([folder])
    return submission.refusal


# What is one submission


def test_a_folder_with_the_four_files_is_one_submission(tmp_path):
    put(tmp_path / "ada")
    assert names_in(tmp_path / "ada") == ["ada"]
    assert files_of(tmp_path / "ada") == {
        "perceptron": "perceptron.py",
        "modules": "modules.py",
        "mlp": "mlp_numpy.py",
        "trainer": "train_mlp_numpy.py",
    }


@pytest.mark.parametrize(
    ("part_1", "part_2", "part_3"),
    [
        ("Part_1", "Part_2", "Part_3"),
        ("Part 1", "Part 2", "Part 3"),
        ("PartI", "PartII", "PartIII"),
        ("hw/code/Part_I", "hw/code/Part_II", "hw/code/Part_III"),
        ("perceptron", "numpy mlp", "sgd"),
        ("Q1", "Q2", "Q3 (final version)"),
        ("task one", "task two", "task three"),
    ],
)
def test_a_folder_in_parts_is_one_submission(part_1, part_2, part_3, tmp_path):
    ada = tmp_path / "ada"
    put(ada / part_1, "perceptron.py")
    put(ada / part_2, *PART_2)
    put(ada / part_3, *PART_2)
    assert names_in(ada) == ["ada"]
    assert files_of(ada)["perceptron"] == f"{part_1}/perceptron.py"
    assert files_of(ada)["mlp"] == f"{part_2}/mlp_numpy.py"


def test_where_roles_repeat_side_by_side_each_folder_is_one(tmp_path):
    put(tmp_path / "ada")
    put(tmp_path / "grace" / "Part_1", "perceptron.py")
    put(tmp_path / "grace" / "Part_2", *PART_2)
    put(tmp_path / "vera" / "Part_2", "modules.py")
    (tmp_path / "nobody").mkdir()
    assert names_in(tmp_path) == ["ada", "grace", "nobody", "vera"]


def test_a_class_may_lie_deeper_and_in_groups(tmp_path):
    for student in ("monday/ada", "monday/grace", "tuesday/vera", "tuesday/quin"):
        put(tmp_path / "class" / student)
    assert names_in(tmp_path) == ["ada", "grace", "quin", "vera"]


def test_a_class_may_have_handed_in_one_part(tmp_path):
    put(tmp_path / "ada", "perceptron.py")
    put(tmp_path / "grace", "perceptron.py")
    assert names_in(tmp_path) == ["ada", "grace"]


def test_old_versions_are_no_submissions(tmp_path):
    put(tmp_path / "ada")
    put(tmp_path / "ada" / "old")
    put(tmp_path / "ada" / "backup 2")
    assert names_in(tmp_path / "ada") == ["ada"]
    assert files_of(tmp_path / "ada")["modules"] == "modules.py"


def test_one_and_class_say_by_hand_what_is_a_submission(tmp_path):
    put(tmp_path / "hw" / "mine")
    put(tmp_path / "hw" / "ours")
    assert names_in(tmp_path / "hw") == ["mine", "ours"]
    assert names_in(tmp_path / "hw", are="one") == ["hw"]
    put(tmp_path / "c" / "Part_1", "perceptron.py")
    put(tmp_path / "c" / "Part_2", *PART_2)
    assert names_in(tmp_path / "c") == ["c"]
    assert names_in(tmp_path / "c", are="class") == ["Part_1", "Part_2"]


def test_a_path_that_is_given_twice_is_graded_once(tmp_path):
    put(tmp_path / "ada")
    assert names_in(tmp_path / "ada", tmp_path / "ada" / ".." / "ada") == ["ada"]


@pytest.mark.parametrize("folder", [".git", "__pycache__", "venv", "lib/site-packages"])
def test_environments_and_hidden_folders_are_left_out(folder, tmp_path):
    put(tmp_path, "perceptron.py")
    put(tmp_path / folder)
    assert files_of(tmp_path)["modules"] is None


def test_an_environment_may_have_any_name(tmp_path):
    put(tmp_path, "perceptron.py", "tools/pyvenv.cfg")
    put(tmp_path / "tools" / "lib")
    assert files_of(tmp_path)["modules"] is None


def test_the_graders_own_results_are_no_submission(tmp_path):
    put(tmp_path / "ada")
    put(tmp_path / "grace")
    put(tmp_path / "round one", "results.csv", text=OUR_HEADER)
    put(tmp_path / "graded" / "today", "results.csv", text=OUR_HEADER)
    put(tmp_path / "new", "notes.txt")
    put(tmp_path / "vera", "results.csv", text=OUR_HEADER)
    put(tmp_path / "vera")
    found = names_in(tmp_path, output_dir=tmp_path / "new")
    assert found == ["ada", "grace", "vera"]
    assert names_in(*sorted(tmp_path.glob("*e*"))) == ["grace", "new", "vera"]  # not round one


def test_results_may_be_written_into_the_submission_itself(tmp_path):
    put(tmp_path / "ada")
    assert names_in(tmp_path / "ada", output_dir=tmp_path / "ada") == ["ada"]


# Which file plays which role


def test_part_3_is_graded_from_its_own_trainer_and_network(tmp_path):
    put(tmp_path / "Part_2", *PART_2)
    put(tmp_path / "Part_3", "modules.py", "train_mlp_numpy.py")
    put(tmp_path / "Part_3", "main.py", text="from train_mlp_numpy import *\nMLP\n")
    files = files_of(tmp_path)
    assert files["modules"] == "Part_2/modules.py"
    assert files["mlp"] == "Part_2/mlp_numpy.py"
    assert files["trainer"] == "Part_3/train_mlp_numpy.py"
    assert files["trainer_modules"] == "Part_3/modules.py"
    assert "trainer_mlp" not in files


def test_the_name_of_the_assignment_comes_before_other_names(tmp_path):
    put(tmp_path, "my_layers.py", "a/b/modules.py", text=MODULES)
    assert files_of(tmp_path)["modules"] == "a/b/modules.py"


def test_other_names_are_found_by_what_they_define(tmp_path):
    put(tmp_path, "layers.py", text="class softmax_layer:\n    pass\n")
    put(tmp_path, "net.py", text="class NeuralNetwork(object):\n    pass\n")
    put(tmp_path, "main.py", text="from net import *\nfrom layers import *\nMLP = NeuralNetwork\n")
    files = files_of(tmp_path)
    assert files["modules"] == "layers.py"
    assert files["mlp"] == "net.py"
    assert files["trainer"] == "main.py"
    (submission,) = find([tmp_path])
    assert "modules.py is layers.py" in submission.read_as


def test_a_network_may_be_in_one_file(tmp_path):
    put(tmp_path, "all.py", text=MODULES + MLP + TRAINER)
    files = files_of(tmp_path)
    assert files["modules"] == files["mlp"] == files["trainer"] == "all.py"


def test_the_trainer_that_takes_a_batch_size_is_taken(tmp_path):
    put(tmp_path, "train_mlp_numpy.py", text=TRAINER.replace("batch_size", "lr"))
    put(tmp_path, "train_sgd.py", text=TRAINER)
    assert files_of(tmp_path)["trainer"] == "train_sgd.py"
    (submission,) = find([tmp_path])
    assert "not train_mlp_numpy.py" in " ".join(submission.read_as)


@pytest.mark.parametrize(
    "head",
    ["import torch.nn as nn\n", "from torch import nn\n", "import torch\nimport torch.nn\n"],
)
def test_a_network_of_torch_is_never_taken(head, tmp_path):
    base = "torch.nn.Module" if "import torch\n" in head else "nn.Module"
    text = f"{head}\nclass MLP({base}):\n    pass\n\ndef train(batch_size):\n    pass\n"
    put(tmp_path, "train_mlp_numpy.py", "mlp_pytorch.py", text=text)
    put(tmp_path, "mlp_numpy.py", text=f"{head}\nclass MLP({base}):\n    pass\n")
    assert "torch" in refusal_of(tmp_path)


def test_a_file_named_after_torch_is_never_taken(tmp_path):
    put(tmp_path, "a_pytorch_network.py", "network.py", text=MLP)
    assert files_of(tmp_path)["mlp"] == "network.py"


def test_a_trainer_may_use_torch_to_seed_and_speak_of_it(tmp_path):
    text = f'"""As torch.nn does."""\nimport torch\ntorch.manual_seed(0)\n# nn.Linear\n{TRAINER}'
    put(tmp_path, "train_mlp_numpy.py", text=text)
    assert files_of(tmp_path)["trainer"] == "train_mlp_numpy.py"


def test_a_multilayer_perceptron_is_no_perceptron(tmp_path):
    put(tmp_path, "network.py", text="class MultiLayerPerceptron:\n    pass\n")
    files = files_of(tmp_path)
    assert files["perceptron"] is None
    assert files["mlp"] == "network.py"


# What cannot be judged


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("hw.zip", "unpack"),
        ("hw.tar.gz", "unpack"),
        ("hw.ipynb", "save this notebook as .py"),
        ("report.pdf", "no Python file"),
        ("hello.py", "perceptron.py, modules.py"),
    ],
)
def test_for_a_folder_without_a_solution_it_says_what_to_do(file, says, tmp_path):
    put(tmp_path / "ada", f"deep/{file}", text="")
    assert says in refusal_of(tmp_path / "ada")
    assert file in refusal_of(tmp_path / "ada")


def test_an_empty_folder_is_called_empty(tmp_path):
    assert "empty" in refusal_of(tmp_path)


def test_in_a_class_what_is_still_packed_is_named(tmp_path):
    put(tmp_path / "ada")
    put(tmp_path, "ada.zip", "grace.zip", "vera.ipynb", "handout.pdf", text="")
    put(tmp_path / "quin", "hw.zip", text="")
    found = find([tmp_path])
    assert [submission.name for submission in found] == ["ada", "grace.zip", "quin", "vera.ipynb"]
    assert "grace.zip" in found[1].refusal
    assert "hw.zip" in found[2].refusal
    assert "vera.ipynb" in found[3].refusal


def test_an_archive_may_be_given_as_a_path(tmp_path):
    put(tmp_path, "ada.zip", text="")
    assert "unpack" in refusal_of(tmp_path / "ada.zip")


# Names


def test_names_are_unique_though_folders_are_alike(tmp_path):
    for folder in ("jane doe", "jane_doe", "Ada", "ada", "a:b", "a?b"):
        put(tmp_path / folder)
    names = names_in(tmp_path)
    assert len({name.casefold() for name in names}) == 6
    assert {"jane doe", "jane_doe"} < set(names)
    assert not any(set(name) & set(':?/\\*"<>|') for name in names)


def test_folders_of_one_name_are_named_with_those_above_them(tmp_path):
    put(tmp_path / "monday" / "ada")
    put(tmp_path / "tuesday" / "ada")
    put(tmp_path / "tuesday" / "grace")
    paths = [tmp_path / "monday" / "ada", tmp_path / "tuesday"]
    assert names_in(*paths) == ["monday_ada", "tuesday_ada", "grace"]


@pytest.mark.parametrize(
    "name",
    [b"x\ty\nz", 120 * b"\xd0\xb6", b"...", b"\xff\xfe"],
    ids=["tab and newline", "long and Cyrillic", "dots", "not UTF-8"],
)
def test_any_name_becomes_one_of_a_file(name, tmp_path):
    name = os.fsdecode(name)
    put(tmp_path / f"a{name}")
    (given,) = names_in(tmp_path / f"a{name}")
    assert given.isprintable()
    Path(tmp_path, f"{given}.json").write_text("", encoding="utf-8")


# Odd folders


def test_links_in_a_circle_pipes_and_odd_encodings_do_no_harm(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("no pipes in folders")
    put(tmp_path / "ada")
    put(tmp_path / "grace")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "ada" / "up").symlink_to("..")
    os.mkfifo(tmp_path / "ada" / "pipe.py")
    (tmp_path / "ada" / "gone.py").symlink_to("nowhere")
    (tmp_path / "ada" / "latin.py").write_bytes(b"# \xe9\n")
    (tmp_path / "grace" / "modules.py").write_text("# coding: rot13\nclass Linear:\n    pass\n")
    (tmp_path / "grace" / "utf16.py").write_text("class MLP: pass", encoding="utf-16")
    (tmp_path / "grace" / "nul.py").write_bytes(b"class MLP:\0\n import torch")
    assert names_in(tmp_path) == ["ada", "grace"]
    assert files_of(tmp_path / "grace")["modules"] == "modules.py"
