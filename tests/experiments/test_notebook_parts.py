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
from experiments.worked_example import draw_network, worked_example
from plots import CLASS_COLORS, new_figure
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
    for figure in [*drawings, draw_network([2, 2]), draw_network([64, 30, 20, 10])]:
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


# One point, by hand.

EXAMPLE = {
    "x": [1, 2],
    "y": [0, 1],
    "weight_1": [[1, 0, -1], [0.5, -1, 1]],
    "bias_1": [0, 0.5, 0],
    "weight_2": [[0.5, -0.5], [-1, 1], [-0.5, 1]],
    "bias_2": [0, 0],
    "learning_rate": 0.1,
}


def numbers_of(shown):
    """Return the numbers of a worked example by its formulas, rows of rows."""
    cells = re.findall(r"<i[^>]*>(.*?)</i>.*?<pre[^>]*>(.*?)</pre>", shown.data, re.S)
    return {
        formula.split(" ")[0]: [[*map(float, row.split())] for row in text.split("\n")]
        for formula, text in cells
    }


def test_the_worked_example_is_what_a_pencil_gives():
    shown = numbers_of(worked_example(**EXAMPLE))
    assert shown.pop("x") == [[1, 2]]
    assert shown.pop("y") == [[0, 1]]
    assert shown.pop("a") == [[1 + 1, -2 + 0.5, -1 + 2]]
    assert shown.pop("h") == [[2, 0, 1]]  # the second unit is silent
    assert shown.pop("z") == [[2 * 0.5 - 0.5, -2 * 0.5 + 1]]
    p = 1 / (1 + np.exp(-0.5))  # the logits are 0.5 and 0, and the class is 1
    assert shown.pop("p") == [[round(p, 4), round(1 - p, 4)]]
    assert shown.pop("L") == [[round(-np.log(1 - p), 4)]]
    by_hand = {
        "dz": [[p, -p]],
        "dW₂": [[2 * p, -2 * p], [0, 0], [p, -p]],
        "db₂": [[p, -p]],
        "dh": [[p / 2 + p / 2, -p - p, -p / 2 - p]],
        "da": [[p, 0, -1.5 * p]],
        "dW₁": [[p, 0, -1.5 * p], [2 * p, 0, -3 * p]],
        "db₁": [[p, 0, -1.5 * p]],
    }
    for name, expected in by_hand.items():
        assert shown.pop(name) == np.round(expected, 4).tolist(), name
    ((_, after),) = shown.pop("p,")
    assert after > round(1 - p, 4)
    assert shown.pop("L,") == [[pytest.approx(-np.log(after), abs=1e-3)]]
    assert not shown


def test_the_notebook_shows_this_example_as_the_layers_give_it():
    import nbformat

    cells = {cell.id: cell.source for cell in nbformat.read(PATH, as_version=4).cells}
    taken = []
    exec(cells["worked-example"], {"worked_example": lambda **example: taken.append(example)})
    assert taken == [EXAMPLE]


def test_the_loss_after_an_update_is_that_of_the_changed_parameters():
    shown = numbers_of(worked_example(**EXAMPLE))
    rate, x, y = 0.1, np.array([EXAMPLE["x"]]), np.array([EXAMPLE["y"]])
    w_1, b_1, w_2, b_2 = (
        EXAMPLE[key] - rate * np.array(shown[grad])
        for key, grad in zip(list(EXAMPLE)[2:6], ("dW₁", "db₁", "dW₂", "db₂"), strict=True)
    )
    z = np.maximum(x @ w_1 + b_1, 0) @ w_2 + b_2
    after = -np.sum(y * (z - np.log(np.exp(z).sum())))
    assert shown["L,"] == [[pytest.approx(after, abs=1e-4)]]


# A network drawn.


def parts(figure):
    """Return the units of each column, the number of lines and the texts of a drawing."""
    (axes,) = figure.axes
    texts = [axes.get_title(), *(text.get_text() for text in axes.texts)]
    return [len(c.get_offsets()) for c in axes.collections], len(axes.lines), texts


def test_the_network_is_drawn_with_each_unit_each_weight_and_the_shapes():
    units, n_lines, texts = parts(draw_network([2, 20, 2]))
    assert units == [2, 20, 2, 2]
    assert n_lines == 2 * 20 + 20 * 2 + 2 * 2
    assert texts[0] == "A network 2-20-2: 102 parameters"
    expected = {"2 inputs $x$", "20 hidden units $h$", "2 logits $z$", "2 probabilities $p$"}
    expected |= {"$W_1$ (2, 20)\n$b_1$ (20,)", "$W_2$ (20, 2)\n$b_2$ (2,)", "softmax"}
    expected |= {"$x_1$", "$x_2$", "$z_0$", "$z_1$", "$p_0$", "$p_1$"}
    assert {*texts[1:]} == expected


def test_the_drawn_parameters_are_those_of_the_network():
    from mlp_numpy import MLP

    for sizes in [2, 20, 2], [2, 2], [64, 30, 5, 10]:
        linears = MLP(sizes[0], sizes[1:-1], sizes[-1]).linear_layers
        n = sum(param.size for linear in linears for param in linear.params.values())
        *_, texts = parts(draw_network(sizes))
        assert texts[0].endswith(f": {n} parameters")
        for k, linear in enumerate(linears, 1):
            weight, bias = linear.params.values()
            assert f"$W_{k}$ {weight.shape}\n$b_{k}$ {bias.shape}" in texts


def test_only_the_units_of_classes_have_the_colours_of_classes():
    from matplotlib.colors import to_hex

    (axes,) = draw_network([3, 3, 3]).axes
    colors = [[to_hex(c) for c in column.get_edgecolors()] for column in axes.collections]
    classes = [color.lower() for color in CLASS_COLORS[:3]]
    assert colors == [["#000000"], ["#000000"], classes, classes]


def test_large_layers_are_thinned_out_with_dots():
    units, _, texts = parts(draw_network([64, 20, 10]))
    assert units[0] < 20
    assert units[1:] == [20, 10, 10]
    assert texts.count("⋮") == 1
    assert "64 inputs $x$" in texts


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
