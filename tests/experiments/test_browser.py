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

import pytest

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
    """Start JupyterLab on a copy of the project, without anyone's settings; yield its address."""
    folder = tmp_path_factory.mktemp("project")
    for path in [*ROOT.glob("*.py"), NOTEBOOK]:
        shutil.copy(path, folder)
    for wing in ("experiments", "speed"):
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
        yield f"{address[0]}lab/tree/mlp_visualization.ipynb?token={token}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def page(jupyter):
    from playwright.sync_api import sync_playwright

    arguments = "--no-sandbox --disable-gpu --disable-background-networking --disable-sync"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments.split())
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(60 * SECONDS)
        page.goto(jupyter)
        title = page.get_by_role("heading", name="How a small network learns")
        title.wait_for(timeout=120 * SECONDS)
        page.get_by_role("button", name="No", exact=True).click()  # no news, please
        yield page
        browser.close()


@pytest.fixture
def section_7(page):
    """Scroll to the end of the notebook and return its last output, by now in view."""
    cell, place = page.locator(".jp-Cell").last, None
    for _ in range(50):  # cells get their height as they come into view, and move the last one away
        cell.scroll_into_view_if_needed()
        page.wait_for_timeout(200)
        if place == (place := cell.bounding_box()):
            break
    return cell.locator(".jp-Cell-outputWrapper")


def control(section_7, name):
    """Return a control by its label."""
    return section_7.locator(".widget-inline-hbox", has_text=name)


def handle(section_7, name):
    return control(section_7, name).locator(".noUi-handle")


def readout(section_7, name):
    return control(section_7, name).locator(".widget-readout").inner_text()


def changed(page, section_7, act):
    """Do `act`; return the line under the controls, once the run that it asked for is drawn."""
    status, picture = section_7.locator(".widget-html-content"), section_7.locator("img")
    before = picture.get_attribute("src")
    act()
    for _ in range(600):
        page.wait_for_timeout(100)
        if picture.get_attribute("src") != before:
            return status.inner_text()
    return pytest.fail(f"the picture stayed as it was; the line says {status.inner_text()}")


def test_before_it_runs_section_7_shows_a_picture_and_how_to_start(page, section_7):
    assert section_7.locator("img").is_visible()
    assert section_7.locator(".widget-slider").count() == 0
    assert "Error" not in section_7.inner_text()
    assert page.get_by_text(".venv/bin/jupyter lab mlp_visualization.ipynb").is_visible()


def test_every_cell_runs(page):
    import nbformat

    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    last = page.locator(".jp-Cell").last
    last.locator(".widget-slider").first.wait_for(timeout=600 * SECONDS)
    n_cells = sum(cell.cell_type == "code" for cell in nbformat.read(NOTEBOOK, 4).cells)
    # An error in a cell ends the run, so that the last is not reached.
    assert last.locator(".jp-InputPrompt").inner_text() == f"[{n_cells}]:"


def test_nothing_is_clipped_and_nothing_overlaps(page, section_7):
    parts = section_7.locator(".widget-inline-hbox, .widget-image")
    boxes = [part.bounding_box() for part in parts.all()]
    assert len(boxes) == 10  # eight controls, the line, the picture
    edges = [(b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]) for b in boxes]
    notebook = page.locator(".jp-WindowedPanel-outer").bounding_box()
    for i, (left, top, right, bottom) in enumerate(edges):
        assert notebook["x"] <= left < right <= notebook["x"] + notebook["width"]
        for other in edges[:i]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
    for label in section_7.locator(".widget-label, .widget-readout").all():
        is_whole = label.evaluate("e => e.scrollWidth <= e.clientWidth")
        assert is_whole, label.inner_text()


def test_the_keyboard_moves_a_slider(page, section_7):
    line = changed(page, section_7, lambda: handle(section_7, "Batch size").press("ArrowRight"))
    assert readout(section_7, "Batch size") == "32"
    assert line.startswith("37,500 updates: train accuracy")
    assert readout(section_7, "Seed") == "42"
    line = changed(page, section_7, lambda: handle(section_7, "Batch size").press("End"))
    assert readout(section_7, "Batch size") == "full"
    assert line.startswith("1,500 updates: train accuracy")


def test_a_data_set_is_chosen_and_without_same_start_a_change_takes_the_next_seed(page, section_7):
    choice = control(section_7, "Data set").locator("select")
    changed(page, section_7, lambda: choice.select_option("blobs"))
    assert readout(section_7, "Seed") == "42"
    section_7.get_by_label("Same start").uncheck()
    changed(page, section_7, lambda: handle(section_7, "Learning rate").press("ArrowRight"))
    assert readout(section_7, "Seed") == "43"
