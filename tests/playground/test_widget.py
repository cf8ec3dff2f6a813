"""The playground in a notebook, as far as it needs no browser."""

import base64
import io

import numpy as np
import pytest

pytest.importorskip("anywidget")
pytest.importorskip("PIL")

from PIL import Image

from playground.widget import HINT, Playground
from tests.playground.asking import OWN_CSV


@pytest.fixture
def displayed(monkeypatch):
    """Return the outputs that a notebook would show."""
    outputs = []
    monkeypatch.setattr("playground.widget.display", lambda data, raw=False: outputs.append(data))
    return outputs


def test_it_answers_the_questions_of_a_browser(monkeypatch):
    playground = Playground(hidden_units="3", batch_size=1)
    sent = []
    monkeypatch.setattr(
        playground, "send", lambda content, buffers: sent.append((content, buffers))
    )
    playground.hear(None, {"ask": "show", "tab": "a", "number": 7}, [])
    ((content, buffers),) = sent
    assert (content["tab"], content["number"]) == ("a", 7)
    assert content["texts"]["batch_size"] == "1"
    params = np.frombuffer(buffers[0], "float32")
    assert np.array_equal(params, playground.answers.run.params().astype("float32"))


def test_where_no_kernel_runs_a_picture_stands_in_its_place(displayed):
    Playground(epochs=2)._ipython_display_()
    widget, picture = displayed
    assert "application/vnd.jupyter.widget-view+json" in widget
    assert picture["text/plain"] == HINT
    image = Image.open(io.BytesIO(base64.b64decode(picture["image/png"])))
    assert image.width > 500


def test_the_picture_is_that_of_the_last_whole_epoch_where_training_diverges(displayed):
    Playground(epochs=50, learning_rate=100, batch_size=1)._ipython_display_()
    assert "image/png" in displayed[1]


def test_a_run_is_saved_as_a_page(tmp_path):
    Playground(epochs=2).save(tmp_path / "run.html")
    assert "</html>" in (tmp_path / "run.html").read_text(encoding="utf-8")


def test_it_plays_with_a_file_of_points(tmp_path):
    (tmp_path / "points.csv").write_text(OWN_CSV)
    playground = Playground(data=tmp_path / "points.csv", hidden_units=3)
    assert playground.answers.run.sizes == [2, 3, 3]
    with pytest.raises(OSError, match="missing"):
        Playground(data=tmp_path / "missing.csv")


def test_a_setting_that_is_not_there_or_not_valid_is_refused():
    with pytest.raises(ValueError, match=r"'units'.*hidden_units"):
        Playground(units=3)
    with pytest.raises(ValueError, match="Batch size: '0'"):
        Playground(batch_size=0)


def test_it_plays_with_a_student_s_folder(tmp_path):
    with pytest.raises(ValueError, match=r"modules\.py"):
        Playground(tmp_path)
