"""The notebook in JupyterLab in a real browser: it runs, and its controls answer.

    python -m pytest -m browser

needs Chromium (Debian's package `chromium`, say) and `pip install playwright`.
"""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments.playground import HINT
from tests.experiments.test_notebook import changed, outputs, pictures

ROOT = Path(__file__).parent.parent.parent
NOTEBOOK = ROOT / "mlp_visualization.ipynb"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
SECONDS = 1000  # as Playwright counts time

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="needs playwright"),
]


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory):
    """Start JupyterLab on a copy of the project, without anyone's settings; yield both places."""
    folder = tmp_path_factory.mktemp("project")
    for path in [*ROOT.glob("*.py"), NOTEBOOK]:
        shutil.copy(path, folder)
    for wing in ("experiments", "figures", "speed"):
        shutil.copytree(ROOT / wing, folder / wing)
    token = secrets.token_hex()
    homes = {f"JUPYTER_{kind}_DIR": str(folder / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0"]
    command += ["--ip=127.0.0.1", f"--IdentityProvider.token={token}"]
    log = folder / "jupyter.log"
    with open(log, "w") as file:
        server = subprocess.Popen(command, cwd=folder, env=os.environ | homes, stderr=file)
    try:
        for _ in range(600):
            address = re.search(r"http://127\.0\.0\.1:\d+/", log.read_text())
            if address:
                break
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
        else:
            pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")
        query = f"lab/tree/mlp_visualization.ipynb?token={token}"
        yield SimpleNamespace(address=address[0] + query, folder=folder)
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def page(jupyter):
    from playwright.sync_api import sync_playwright

    arguments = "--no-sandbox --disable-gpu --disable-background-networking --disable-sync"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments.split())
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(60 * SECONDS)
        page.goto(jupyter.address)
        title(page).wait_for(timeout=120 * SECONDS)
        page.get_by_role("button", name="No", exact=True).click()  # no news, please
        yield page
        browser.close()


def title(page):
    return page.get_by_role("heading", name="How a small network learns")


@pytest.fixture
def section_7(page):
    return scrolled_to_section_7(page)


def scrolled_to_section_7(page):
    """Scroll to the end of the notebook and return its last output, by now in view."""
    cell, place = page.locator(".jp-Cell").last, None
    for _ in range(50):  # cells get their height as they come into view, and move the last one away
        cell.scroll_into_view_if_needed()
        page.wait_for_timeout(200)
        if place == (place := cell.bounding_box()):
            break
    return cell.locator(".jp-Cell-outputWrapper")


def button(section_7, name):
    return section_7.get_by_role("button", name=name, exact=True)


def epoch(section_7):
    """Return the epoch that the line of text tells, as a number."""
    line = section_7.get_by_text(re.compile(r"Epoch [\d.]+ of")).inner_text()
    return float(re.match(r"Epoch ([\d.]+) of", line)[1])


def wait_until(page, reached):
    for _ in range(600):
        if reached():
            return
        page.wait_for_timeout(100)
    pytest.fail("nothing came of it in a minute")


def test_before_it_runs_section_7_shows_a_picture_and_how_to_start(page, section_7):
    assert section_7.locator("img").is_visible()
    assert button(section_7, "Play").count() == 0
    assert "Error" not in section_7.inner_text()
    assert page.locator("code", has_text=".venv/bin/jupyter lab mlp_visualization").is_visible()


def test_every_cell_runs(page):
    import nbformat

    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    last = page.locator(".jp-Cell").last
    button(last, "Play").wait_for(timeout=240 * SECONDS)
    n_cells = sum(cell.cell_type == "code" for cell in nbformat.read(NOTEBOOK, 4).cells)
    # An error in a cell ends the run, so that the last is not reached.
    assert last.locator(".jp-InputPrompt").inner_text() == f"[{n_cells}]:"


def test_what_is_saved_then_is_what_is_committed(page, jupyter):
    import nbformat

    saved, committed = (nbformat.read(save(page, jupyter), 4), nbformat.read(NOTEBOOK, 4))
    assert outputs(saved) == outputs(committed)
    assert changed(pictures(saved), pictures(committed)) == []
    assert saved.metadata.widgets == committed.metadata.widgets


def save(page, jupyter):
    """Save the notebook and return where it is."""
    path = jupyter.folder / NOTEBOOK.name
    before = path.stat().st_mtime_ns
    page.keyboard.press("Control+s")
    wait_until(page, lambda: path.stat().st_mtime_ns != before)
    page.wait_for_timeout(1 * SECONDS)
    return path


@pytest.mark.parametrize("width", [900, 2560, 1280])
def test_nothing_is_clipped_and_nothing_overlaps(page, width):
    page.set_viewport_size({"width": width, "height": 1000})
    section_7 = scrolled_to_section_7(page)
    parts = section_7.locator(
        ".widget-inline-hbox:not(.widget-html), .widget-button, img, .rendered_html"
    )
    boxes = [box for part in parts.all() if (box := part.bounding_box()) and box["width"] > 0]
    assert len(boxes) > 25  # controls, buttons, pictures, the table
    edges = [(b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]) for b in boxes]
    notebook = page.locator(".jp-WindowedPanel-outer").bounding_box()
    for i, (left, top, right, bottom) in enumerate(edges):
        assert notebook["x"] <= left < right < notebook["x"] + notebook["width"] + 1
        for other in edges[:i]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
    for label in section_7.locator(".widget-label, .widget-readout, .widget-button").all():
        is_whole = label.evaluate("e => e.scrollWidth <= e.clientWidth")
        assert is_whole, label.inner_text()


def test_the_controls_have_names_and_values_that_a_screen_reader_says(section_7):
    assert section_7.get_by_label("Batch size", exact=True).input_value() == "16"
    assert section_7.get_by_label("Learning rate", exact=True).input_value() == "0.01"
    assert section_7.get_by_label("Noise", exact=True).input_value() == "0.2"
    assert section_7.get_by_label("Hidden units", exact=True).input_value() == "20"
    assert section_7.get_by_role("img", name="a small map of each hidden unit").is_visible()
    assert section_7.get_by_role("slider").get_attribute("aria-valuetext") == "1500"


def test_it_asks_plays_pauses_and_goes_back(page, section_7):
    button(section_7, "Another seed").click()
    section_7.get_by_text("What do you expect?").wait_for()
    assert section_7.get_by_label("Seed", exact=True).input_value() == "5"
    pictures = section_7.get_by_role("img").first
    untrained = pictures.get_attribute("src")
    button(section_7, "no").click()
    section_7.get_by_text("You expect: no. Look at the loss until epoch 1000").wait_for()
    wait_until(page, lambda: epoch(section_7) >= 3)
    assert pictures.get_attribute("src") != untrained
    button(section_7, "Pause").click()
    button(section_7, "Play").wait_for()
    stopped = epoch(section_7)
    assert stopped < 1500
    page.wait_for_timeout(1 * SECONDS)
    assert epoch(section_7) == stopped
    section_7.get_by_role("slider").press("Home")
    wait_until(page, lambda: epoch(section_7) == 0)
    section_7.get_by_role("slider").press("ArrowRight")
    wait_until(page, lambda: epoch(section_7) == 1)
    section_7.get_by_role("slider").press("Home")
    wait_until(page, lambda: epoch(section_7) == 0)
    assert pictures.get_attribute("src") == untrained
    button(section_7, "To the end").click()
    wait_until(page, lambda: epoch(section_7) == 1500)


def test_a_planted_fold_sets_the_run_free(page, section_7):
    test_accuracy = section_7.locator("tbody tr").first.locator("td").last
    assert float(test_accuracy.inner_text()) < 92  # stuck
    button(section_7, "Plant a fold up").click()
    section_7.get_by_text("One unit now folds upwards").wait_for()
    button(section_7, "To the end").click()
    wait_until(page, lambda: epoch(section_7) == 3000)
    assert float(test_accuracy.inner_text()) > 94


def test_twenty_seeds_are_trained_with_a_bar_and_drawn(page, section_7):
    page.get_by_label("Epochs", exact=True).select_option("30")
    wait_until(page, lambda: epoch(section_7) == 0)
    button(section_7, "20 seeds").click()
    section_7.locator(".widget-hprogress").wait_for()
    section_7.get_by_role("img", name=re.compile("a ring for each seed")).wait_for()
    button(section_7, "Play").wait_for()
    assert not section_7.locator(".widget-hprogress").is_visible()


def test_saved_and_opened_again_it_shows_the_picture_and_how_to_start(page, jupyter):
    saved = save(page, jupyter)
    assert saved.stat().st_size == pytest.approx(NOTEBOOK.stat().st_size, rel=0.1)
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name="Shut Down Kernel", exact=True).click()
    page.get_by_text("No Kernel").first.wait_for()
    page.reload()
    title(page).wait_for()
    section_7 = scrolled_to_section_7(page)
    section_7.get_by_text(HINT).wait_for()
    assert section_7.get_by_role("img").is_visible()
    assert button(section_7, "Play").count() == 0
    assert "not found" not in section_7.inner_text()
