"""The page in a real browser: what is drawn is what was trained, and hands reach the network.

python -m pytest -m browser
"""

import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from mlp_numpy import MLP
from playground.answers import Answers, explained
from playground.page import save
from playground.server import Server
from tests.browser import (
    button,
    need_browser,
    opened,
    wait_for_epoch,
    wait_for_frames,
    wait_until_idle,
)
from tests.playground.asking import OWN_CSV
from train_mlp_numpy import evaluate

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    need_browser()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        page = opened(driver)
        yield page.context.browser
        page.context.browser.close()


@pytest.fixture
def server():
    """Serve the page with little to train; the Answers of its tabs are in `tabs`."""
    server = Server(0, partial(Answers, {"epochs": "40", "hidden_units": "6"}), explained)
    Thread(target=server.serve_forever).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(browser, server):
    return new_page(browser, server)


def new_page(browser, server, address=None, **options):
    """Return a page with a playground of its own."""
    page = browser.new_page(**options)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(address or f"http://127.0.0.1:{server.server_port}/")
    wait_for_frames(page)
    return page


def run_of(server):
    """Return the run of the tab that asked last."""
    return list(server.tabs.values())[-1].run


def type_into(page, label, text):
    """Type a text into a field, and wait for what comes of it."""
    page.get_by_label(label, exact=True).fill(text)
    page.get_by_label(label, exact=True).press("Enter")
    wait_until_idle(page)


def shown(page, expression):
    """Return what the playground holds: an expression of `view`."""
    return page.evaluate(
        f"() => {{ const {{view}} = document.querySelector('.playground'); return {expression} }}"
    )


def fold_on_page(page, j):
    """Return the two places at which the fold of a unit enters and leaves the map."""
    return shown(page, f"view.map.foldEnds({j}).map(([x, y]) => view.map.toPage(x, y))")


def watch_epochs(page):
    """Let the page collect the epochs that it shows, in window.epochs."""
    page.evaluate(
        """() => {
          const root = document.querySelector(".playground");
          window.epochs = [];
          const note = () => {
            const epoch = Number(root.dataset.shown);
            if (epoch !== window.epochs.at(-1)) window.epochs.push(epoch);
          };
          new MutationObserver(note).observe(root, { attributeFilter: ["data-shown"] });
        }"""
    )


def test_the_loss_that_is_drawn_is_the_loss_that_was_trained(page, server):
    button(page, "To the end").click()
    wait_for_epoch(page, 40)
    run = run_of(server)
    for epoch in (40, 17, 0):
        page.get_by_label("Epoch shown").fill(str(epoch))
        wait_for_epoch(page, epoch)
        told = page.locator(".row", has=page.get_by_label("Epoch shown")).inner_text()
        assert f"loss {run.moments[epoch].metrics['train_loss']:.3f}" in told
        drawn = shown(page, "view.run.params[view.shown]")
        assert np.allclose(drawn, run.moments[epoch].params, rtol=1e-6)
    assert page.locator(".note").inner_text() == ""
    assert page.errors == []


def test_pictures_of_another_network_are_called_wrong(page, server, monkeypatch):
    monkeypatch.setattr("playground.run.fastest_backend", lambda: "numpy")  # it takes any network
    model = run_of(server).model
    forward = model.forward
    model.forward = lambda x: forward(2 * x)
    button(page, "To the end").click()
    page.locator(".note", has_text="wrong").wait_for()


def test_play_shows_each_epoch_at_first_and_pause_stops_it(page):
    watch_epochs(page)
    button(page, "Play").click()
    page.wait_for_function("window.epochs.length >= 10")
    button(page, "Pause").click()
    epochs = page.evaluate("window.epochs")
    assert epochs[:10] == list(range(1, 11))
    wait_until_idle(page)
    assert shown(page, "view.shown") == page.evaluate("window.epochs.at(-1)")


def test_a_fold_that_is_dragged_is_moved_in_python_and_undo_takes_it_back(page, server):
    type_into(page, "Epochs", "5")
    button(page, "To the end").click()
    wait_for_epoch(page, 5)
    before = run_of(server).moments[5].params.copy()
    (x0, y0), (x1, y1) = fold_on_page(page, 0)
    middle = {"x": (x0 + x1) / 2, "y": (y0 + y1) / 2}
    box = page.locator(".map").bounding_box()
    page.mouse.move(box["x"] + middle["x"], box["y"] + middle["y"])
    unit = shown(page, "view.pointed[1]")  # the nearest, if several cross there
    page.mouse.down()
    page.mouse.move(box["x"] + middle["x"] + 30, box["y"] + middle["y"] + 20, steps=5)
    page.mouse.up()
    wait_until_idle(page)
    run = run_of(server)
    (change,) = run.changes
    assert (change["what"], change["epoch"], change["unit"]) == ("fold", 5, unit)
    x, y = shown(
        page, f"view.map.toPlane({{offsetX: {middle['x'] + 30}, offsetY: {middle['y'] + 20}}})"
    )
    w1, w2 = run.linears[0].params["weight"][:, unit]
    distance = abs(w1 * x + w2 * y + run.linears[0].params["bias"][unit]) / np.hypot(w1, w2)
    assert distance < 0.02  # the fold goes through the place where it was let go
    button(page, "Undo").click()
    wait_until_idle(page)
    assert np.array_equal(run.moments[5].params, before)
    assert page.errors == []


def test_a_click_adds_a_point_there(page, server):
    page.locator(".map").click(position={"x": 20, "y": 30})
    wait_until_idle(page)
    x, y = shown(page, "view.map.toPlane({offsetX: 20, offsetY: 30})")
    assert run_of(server).data.x_train[-1] == pytest.approx([x, y], abs=0.01)  # half a pixel
    assert run_of(server).data.y_train[-1].tolist() == [1, 0]


def test_a_click_while_it_plays_adds_a_point_and_it_plays_on(page, server):
    type_into(page, "Epochs", "2000")
    button(page, "Play").click()
    page.wait_for_function("document.querySelector('.playground').view.shown > 3")
    page.locator(".map").click(position={"x": 20, "y": 30}, delay=100)
    page.wait_for_function("document.querySelector('.playground').view.run.changes.length === 1")
    epoch = shown(page, "view.shown")
    page.wait_for_function(f"document.querySelector('.playground').view.shown > {epoch}")
    assert shown(page, "view.work") == "play"


def test_by_keyboard_a_fold_moves_and_a_point_is_added(page, server):
    page.get_by_label("Unit", exact=True).select_option("2")
    before = run_of(server).moments[0].params.copy()
    page.locator(".map").press("ArrowRight")
    wait_until_idle(page)
    assert run_of(server).changes[0]["unit"] == 2
    assert not np.array_equal(run_of(server).moments[0].params, before)
    page.get_by_label("x₁ of a new point").fill("0.5")
    page.get_by_label("x₂ of a new point").fill("-0.25")
    page.get_by_label("Class of new points").select_option("class 1")
    button(page, "Add").click()
    wait_until_idle(page)
    assert run_of(server).data.x_train[-1].tolist() == [0.5, -0.25]
    assert run_of(server).data.y_train[-1].tolist() == [0, 1]


def test_a_link_opened_in_a_fresh_tab_gives_the_same_pictures(browser, page, server):
    page.locator(".map").click(position={"x": 20, "y": 30})
    wait_until_idle(page)
    button(page, "Step").click()
    wait_for_epoch(page, 1)
    type_into(page, "Batch size", "4")
    wait_until_idle(page)
    button(page, "To the end").click()
    wait_for_epoch(page, 40)
    page.mouse.move(0, 0)  # or a unit might be under it
    page.wait_for_function("document.querySelector('.playground').view.pointed === null")
    page.wait_for_function("!document.querySelector('.playground').view.isStale")
    page.wait_for_function("location.hash.includes('epoch=40')")
    other = new_page(browser, server, page.url)
    wait_for_epoch(other, 40)
    assert [change["what"] for change in run_of(server).changes] == ["point", "batch_size"]
    for name in ("map", "diagram", "curves"):
        picture = f"document.querySelector('.{name}').toDataURL()"
        is_same = page.evaluate(picture) == other.evaluate(picture)
        assert is_same, name


def saved_by(page, name, path):
    """Press a button that saves a file; return the path that it was saved to."""
    with page.expect_download() as download:
        button(page, name).click()
    download.value.save_as(path / download.value.suggested_filename)
    return path / download.value.suggested_filename


def drop(page, text):
    """Drop a file with this text onto the page, and wait for what comes of it."""
    page.evaluate(
        """(text) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([text], "dropped.csv"));
          const event = new DragEvent("drop", { dataTransfer, bubbles: true });
          document.querySelector(".playground").dispatchEvent(event);
        }""",
        text,
    )
    page.locator(".note", has_text=re.compile("line|dropped.csv")).wait_for()


def place_of_weight(page, layer, j, k):
    """Return a place of the window on the line of a weight, near its end; and its value."""
    line = shown(
        page,
        f"view.diagram.lines.find((line) => line.layer === {layer} && line.from === {j} "
        f"&& line.to === {k})",
    )
    corner = page.locator(".diagram").bounding_box()
    x = corner["x"] + 0.8 * line["end"][0] + 0.2 * line["start"][0]
    y = corner["y"] + 0.8 * line["end"][1] + 0.2 * line["start"][1]
    return x, y, line["w"]


def gradient_on_page(page):
    """Return the three numbers of the gradient that the words below the map tell."""
    told = page.locator(".told", has_text="gradient of the next batch").inner_text()
    numbers = re.search(r"these three numbers: (.*?)\.( |$)", told)[1]
    return [float(number) for number in numbers.split(", ")]


def test_own_points_and_a_weight_by_hand_leave_the_page_as_a_script(page, server, tmp_path):
    drop(page, "0,0,0\n1,0,1\n2,0,0\n3,0,1\n4,0,0\n")
    assert "NaN" not in page.locator(".playground").inner_text()  # though they lie on one line
    (tmp_path / "own.csv").write_text(OWN_CSV)
    page.locator("input[type=file]").set_input_files(tmp_path / "own.csv")
    page.locator(".note", has_text="32 points for training, 8 for testing").wait_for()
    drop(page, "0,0,0\n1;1;1\n")
    assert "line 2" in page.locator(".note").inner_text()
    assert run_of(server).sizes == [2, 6, 3]  # what was there stays

    button(page, "To the end").click()
    wait_for_epoch(page, 40)
    x, y, value = place_of_weight(page, 1, 2, 0)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 50, steps=5)
    page.mouse.up()
    wait_until_idle(page)
    weight = run_of(server).linears[1].params["weight"]
    assert weight[2, 0] == pytest.approx(value + 1, abs=0.05)
    page.get_by_label("Weight", exact=True).fill("0.25")
    x, y, _ = place_of_weight(page, 1, 4, 1)
    page.mouse.click(x, y)  # what was typed is for the weight before
    wait_until_idle(page)
    weight = run_of(server).linears[1].params["weight"]
    assert weight[2, 0] == 0.25
    page.locator(".diagram").press("ArrowRight")
    page.locator(".told", has_text="from unit 4 to class 2").wait_for()

    type_into(page, "Epochs", "60")
    button(page, "To the end").click()
    wait_for_epoch(page, 60)
    metrics = run_of(server).moments[60].metrics
    printed = subprocess.run(
        [sys.executable, saved_by(page, "Save script", tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.splitlines() == [f"{name} {value}" for name, value in metrics.items()]
    model = MLP.load(saved_by(page, "Save network", tmp_path))
    assert evaluate(model, run_of(server).data) == metrics

    content, _ = list(server.tabs.values())[-1].answer({"ask": "gradient", "values": {"epoch": 60}})
    of_layer_0 = np.reshape(content["gradient"]["values"][:18], (3, 6))  # two weights and a bias
    unit = int(np.abs(of_layer_0).min(axis=0).argmax())
    page.get_by_label("Unit", exact=True).select_option(str(unit))
    page.get_by_text("gradient of the next batch").wait_for()
    assert gradient_on_page(page) == pytest.approx(of_layer_0[:, unit], rel=0.06)
    assert page.errors == []


def test_a_link_is_taken_in_the_tab_and_a_bad_one_is_told(page, server):
    button(page, "To the end").click()
    wait_for_epoch(page, 40)
    page.evaluate("location.hash = 'sed=5'")
    page.locator(".note", has_text="no setting 'sed'").wait_for()
    page.wait_for_timeout(500)
    assert page.url.endswith("#sed=5")  # so that it can be mended
    assert run_of(server).epoch == 40
    page.evaluate("location.hash = 'seed=5&epoch=3'")
    wait_for_epoch(page, 3)
    assert run_of(server).texts["seed"] == "5"


def test_a_question_hides_the_best_rule_until_there_is_a_guess(page):
    caption = page.locator("figure", has=page.locator(".curves"))
    assert "best possible" in caption.inner_text()
    button(page, "Large steps").click()
    wait_until_idle(page)
    assert "best possible" not in caption.inner_text()
    button(page, "yes").click()
    button(page, "To the end").click()
    page.locator(".question", has_text="What came out: after 100 epochs").wait_for()
    assert "best possible" in caption.inner_text()
    type_into(page, "Noise", "0.3")
    assert "What came out" not in page.locator(".question").inner_text()


def test_a_question_goes_when_what_it_asks_about_changes(page):
    button(page, "Full batch").click()
    wait_until_idle(page)
    button(page, "higher").click()
    button(page, "Pause").click()
    type_into(page, "Batch size", "16")
    assert page.locator(".question").inner_text() == ""


def test_a_value_that_is_not_valid_is_refused_and_the_last_valid_one_stays(page):
    type_into(page, "Learning rate", "<b>fast</b>")
    page.locator(".note", has_text="Learning rate: '<b>fast</b>'").wait_for()  # as text, not HTML
    assert page.get_by_label("Learning rate").input_value() == "0.01"


def test_twenty_seeds_are_dots_and_a_click_on_one_trains_it(page, server):
    type_into(page, "Epochs", "2")
    wait_until_idle(page)
    button(page, "20 seeds").click()
    page.locator("figure", has_text="20 of 20 seeds").wait_for()
    wait_until_idle(page)
    dots = shown(page, "view.ends.dots")
    assert len(dots) == 20
    for i, dot in enumerate(dots):
        for other in dots[:i]:
            assert np.hypot(dot["x"] - other["x"], dot["y"] - other["y"]) > 3
    dot = dots[7]
    page.locator(".ends").click(position={"x": dot["x"], "y": dot["y"]})
    wait_for_epoch(page, 2)
    run = run_of(server)
    assert run.texts["seed"] == str(dot["end"]["seed"])
    assert run.moments[2].metrics["train_loss"] == pytest.approx(dot["end"]["train_loss"])


def test_a_tab_that_was_forgotten_goes_on_from_its_state_with_what_was_asked(page, server):
    button(page, "Step").click()
    wait_for_epoch(page, 1)
    weights = shown(page, "view.run.params[1]")
    server.tabs.clear()
    button(page, "Step").click()
    wait_for_epoch(page, 2)
    assert shown(page, "view.run.params[1]") == weights
    server.tabs.clear()
    type_into(page, "Seed", "9")
    assert run_of(server).texts["seed"] == "9"


def test_where_no_run_can_begin_it_says_so_and_can_try_again(browser):
    is_broken = [True]

    def new_answers():
        if is_broken:
            raise ValueError("modules.py is broken")
        return Answers()

    server = Server(0, new_answers, explained)
    Thread(target=server.serve_forever).start()
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    page.locator(".note", has_text="modules.py is broken").wait_for()
    assert not button(page, "Play").is_visible()
    is_broken.clear()
    button(page, "Try again").click()
    wait_for_frames(page)
    assert button(page, "Play").is_visible()
    server.shutdown()
    server.server_close()


def test_without_a_server_a_dragged_fold_goes_back_and_it_says_so(page, server):
    button(page, "To the end").click()
    wait_for_epoch(page, 40)
    page.get_by_label("Unit", exact=True).select_option("2")
    server.shutdown()
    server.server_close()
    page.route("**/ask", lambda route: route.abort())
    page.locator(".map").press("ArrowRight")
    page.locator(".note", has_text="server has ended").wait_for()
    assert shown(page, "view.moved") is None
    assert shown(page, "view.run.params[view.shown]") == shown(page, "view.run.params[40]")


def test_a_change_that_is_refused_leaves_the_epoch_that_is_shown(page):
    button(page, "To the end").click()
    wait_for_epoch(page, 40)
    page.get_by_label("Epoch shown").fill("10")
    type_into(page, "Learning rate", "x")
    assert page.locator(".note", has_text="Learning rate").is_visible()
    assert shown(page, "view.shown") == 10
    assert page.get_by_label("Learning rate").input_value() == "0.01"


def test_what_is_typed_stays_while_seeds_are_trained(page):
    button(page, "20 seeds").click()
    page.get_by_label("Seed", exact=True).press_sequentially("789", delay=100)
    assert "789" in page.get_by_label("Seed", exact=True).input_value()


def test_seeds_under_way_end_where_something_else_is_asked(page):
    type_into(page, "Epochs", "3000")  # so that they do not end before
    button(page, "20 seeds").click()
    page.locator("figure", has_text=re.compile("[1-9] of 20 seeds")).wait_for()
    type_into(page, "Learning rate", "-1")
    assert page.locator(".note", has_text="Learning rate").is_visible()
    assert button(page, "20 seeds").is_visible()  # not "Stop"


def test_each_of_several_fast_keys_moves_the_fold(page, server):
    page.get_by_label("Unit", exact=True).select_option("2")
    before = shown(page, "[...view.map.scene.layers[0].bias]")[2]
    for _ in range(5):
        page.locator(".map").press("ArrowRight")
    wait_until_idle(page)
    weight = run_of(server).linears[0].params["weight"][0, 2]
    bias = run_of(server).linears[0].params["bias"][2]
    step = shown(page, "view.run.frame.width") / 100
    assert bias == pytest.approx(before - 5 * step * weight, rel=1e-4)


def test_training_that_diverges_is_reported_with_the_remedy(page):
    type_into(page, "Hidden units", "20")
    type_into(page, "Learning rate", "100")
    type_into(page, "Batch size", "full")
    button(page, "To the end").click()
    page.locator(".note", has_text="try a learning rate below 100").wait_for()
    last = shown(page, "view.shown")
    assert last < 40
    type_into(page, "Learning rate", "0.01")
    button(page, "Step").click()
    wait_for_epoch(page, last + 1)


@pytest.mark.parametrize("width", [900, 1400, 2560])
def test_nothing_is_clipped_and_nothing_overlaps(browser, server, width):
    page = new_page(browser, server, viewport={"width": width, "height": 900})
    parts = page.locator("canvas, figcaption, label, button")
    boxes = [part.bounding_box() for part in parts.all() if part.is_visible()]
    for i, box in enumerate(boxes):
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        for other in boxes[:i]:
            is_beside = (
                box["x"] >= other["x"] + other["width"] or other["x"] >= box["x"] + box["width"]
            )
            is_below = (
                box["y"] >= other["y"] + other["height"] or other["y"] >= box["y"] + box["height"]
            )
            assert is_beside or is_below


def test_a_saved_run_opens_from_disk_and_plays(browser, tmp_path):
    path = tmp_path / "run.html"
    save(path, Answers({"epochs": "30"}))
    page = browser.new_page(viewport={"width": 400, "height": 800})  # a telephone, upright
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    wait_for_frames(page)
    assert shown(page, "view.shown") == 30
    watch_epochs(page)
    button(page, "Play").click()
    wait_for_epoch(page, 30)
    assert page.evaluate("window.epochs") == list(range(1, 31))
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert not button(page, "New run").is_visible()
    assert not button(page, "Save script").is_visible()
    page.locator(".diagram").scroll_into_view_if_needed()
    x, y, _ = place_of_weight(page, 1, 2, 0)
    page.mouse.click(x, y)
    field = page.get_by_label("Weight", exact=True)
    field.wait_for()  # one can see a weight, but not change it
    assert field.is_disabled()
    assert "python -m playground" in page.locator(".playground").inner_text()
    assert page.locator(".note").inner_text() == ""
    assert errors == []
