"""What only the notebook needs: each part shows what it says."""

import base64
import html
import inspect
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.notebook import (
    boundaries,
    check_packages,
    final_numbers,
    gradient_table,
    image_of,
    or_reason,
    picture,
    show_source,
)
from plots import new_figure
from train_mlp_numpy import load_data, train_epoch

PATH = Path(__file__).parent.parent.parent / "mlp_visualization.ipynb"


@pytest.fixture
def shown():
    figure, axes = new_figure(4, 3)
    axes.plot([0, 1])
    return picture(figure, 'a "line" & <more>')


def picture_in(shown):
    from PIL import Image

    (source,) = re.findall(r'src="data:image/webp;base64,([^"]+)"', shown.data)
    return Image.open(io.BytesIO(base64.b64decode(source)))


def test_a_picture_has_its_natural_width_and_two_pixels_for_each_of_the_page(shown):
    assert 'style="width: 400px; max-width: 100%"' in shown.data
    assert picture_in(shown).size == (800, 600)


def test_the_text_beside_a_picture_survives_in_html(shown):
    import nbformat.v4
    from bs4 import BeautifulSoup
    from nbconvert import HTMLExporter

    output = nbformat.v4.new_output("display_data", {"text/html": shown.data})
    cell = nbformat.v4.new_code_cell("", outputs=[output])
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    (image,) = BeautifulSoup(page, "html.parser").find_all("img")
    assert image["alt"] == 'a "line" & <more>'


def test_a_picture_is_packed_and_looks_as_drawn():
    figure, axes = new_figure(4, 3)
    axes.imshow(np.linspace(0, 1, 10_000).reshape(100, 100))
    drawn = np.asarray(image_of(figure, 2), float)
    shown = picture(figure, "")
    assert np.abs(np.asarray(picture_in(shown)) - drawn).mean() < 2
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=2 * figure.dpi)
    assert len(shown.data) < len(png.getvalue())


def test_where_there_is_no_figure_the_reason_is_shown():
    def draw(points):
        raise ValueError("there are no points")

    reason = or_reason(draw, [])
    assert reason == "Nothing to show here: there are no points."
    assert picture(reason, "points").data == reason


def test_a_formula_stands_above_the_source_as_it_stands():
    page = show_source(("y &lt; 2", train_epoch), ("L", picture_in)).data
    text = html.unescape(re.sub("<[^>]+>", "", page))
    expected = [
        f"{f.__name__}{formula}{inspect.getsource(f)}"
        for formula, f in (("y < 2", train_epoch), ("L", picture_in))
    ]
    assert text.split() == "".join(expected).split()
    assert inspect.getsource(train_epoch).rstrip() in text
    assert (
        len(re.findall("<pre style=.*white-space: pre;.*overflow-x: auto", page)) == 2
    )  # no line breaks


def test_the_final_numbers_are_the_last_of_each_history():
    metrics = ["train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    history = {key: np.array([1.0, k + 0.12346]) for k, key in enumerate(metrics)}
    table = final_numbers({"one": history, "two": {key: 2 * h for key, h in history.items()}})
    assert table["one"].to_dict() == {key: k + 0.1235 for k, key in enumerate(metrics)}
    assert table["two"].tolist() == [0.2469, 2.2469, 4.2469, 6.2469]


def test_the_table_of_gradients_takes_the_worst_of_each_subject():
    from gradient_check import Check

    checks = [Check("Linear", "weight", 12, 1e-11), Check("Linear", "bias", 3, 0.25)]
    checks.append(Check("MLP 2-2", "weight_0", 4, 1e-11, in_network=True))
    checks.append(Check("MLP 2-2", "bias_0", 2, 1e-12, in_network=True))
    table = gradient_table(checks)
    assert table.loc["Linear"].tolist() == ["weight, bias", 15, "2.5e-01", "WRONG"]
    expected = ["every weight and bias", 6, "below 1e-07", "right"]
    assert table.loc["MLP 2-2"].tolist() == expected


def halves(points):
    """Class 1 is right of x_1 = 0.5."""
    p = 1 / (1 + np.exp(1 - 2 * points[:, 0]))
    return np.column_stack([1 - p, p])


def thirds(points):
    return np.full((len(points), 3), 1 / 3)


def test_boundaries_are_drawn_side_by_side_at_the_same_scale():
    left, right = boundaries(
        {"a": halves, "b": lambda x: halves(x + np.eye(2)[0])}, load_data()
    ).axes
    (bar,) = left.child_axes + right.child_axes
    assert [left.get_title(), right.get_title()] == ["a", "b"]
    assert (left.get_xlim(), left.get_ylim()) == (right.get_xlim(), right.get_ylim())
    assert bar.get_ylabel() == "predicted probability of class 1"
    for axes, place in (left, 0.5), (right, -0.5):
        train, test, boundary = axes.collections
        assert len(train.get_offsets()) == 800
        assert len(test.get_offsets()) == 200
        (line,) = boundary.get_paths()
        assert np.allclose(line.vertices[:, 0], place, atol=1e-3)


def test_nothing_of_a_drawing_is_cut_off():
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawings = [boundaries(dict.fromkeys("abc"[:n], halves), load_data()) for n in (1, 2, 3)]
    drawings.append(boundaries(dict.fromkeys("ab", thirds), load_data("blobs")))
    for figure in drawings:
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
        parts = [part for axes in figure.axes for part in (axes, *axes.texts, *axes.child_axes)]
        for part in parts:
            box = part.get_tightbbox(renderer)
            assert box.x0 >= 0
            assert box.y0 >= 0
            assert box.x1 <= figure.bbox.x1
            assert box.y1 <= figure.bbox.y1


def test_three_classes_have_no_bar_and_no_points_of_the_plane_no_picture():
    (axes,) = boundaries({"a": thirds}, load_data("blobs")).axes
    assert not axes.child_axes
    said = boundaries({"a": halves}, load_data("digits"))
    assert said == "Nothing to show here: these rows are no points of the plane."


# What the text says.


def test_another_line_has_more_of_the_training_points_on_their_side():
    data = load_data()
    above = data.x_train @ [0.2453, -0.9694] > -0.0951
    assert np.mean(above == data.y_train[:, 1]) == 0.875


def test_the_line_that_is_drawn_is_closely_that_of_least_loss():
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    from experiments.runs import train_from_seed

    data = load_data()
    options = {"learning_rate": 0.1, "batch_size": 16, "max_steps": 300, "eval_freq": 300}
    _, history = train_from_seed(data, 42, n_hidden=[], **options)
    labels = data.y_train[:, 1]
    best = LogisticRegression(C=1e9).fit(data.x_train, labels).predict_proba(data.x_train)
    assert history["train_loss"][-1] == pytest.approx(log_loss(labels, best), abs=3e-4)
    assert round(history["train_accuracy"][-1], 3) == 0.871


def test_opened_alone_in_a_folder_the_notebook_says_what_is_missing(tmp_path):
    import nbformat

    setup = {cell.id: cell.source for cell in nbformat.read(PATH, as_version=4).cells}["setup"]
    source = setup.replace("%matplotlib inline", "")
    run = subprocess.run(
        [sys.executable, "-"], input=source, cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 1
    assert run.stderr.startswith(
        "No module named 'plots': this notebook needs the whole project: open it in"
    )
    assert "pip install -r requirements.txt -r requirements-extra.txt" in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_missing_package_is_named_at_once(monkeypatch):
    check_packages()
    monkeypatch.setattr("experiments.notebook.PACKAGES", ["sklearn", "no_such_package"])
    with pytest.raises(ModuleNotFoundError, match="No module named 'no_such_package'"):
        check_packages()
