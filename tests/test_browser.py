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
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "mlp_visualization.ipynb"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
SECONDS = 1000  # as Playwright counts time

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory):
    """Start JupyterLab on a copy of the project, without anyone's settings; yield its address."""
    folder = tmp_path_factory.mktemp("project")
    for path in [*ROOT.glob("*.py"), NOTEBOOK]:
        shutil.copy(path, folder)
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
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    arguments = "--no-sandbox --disable-gpu --disable-background-networking --disable-sync"
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments.split())
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(30 * SECONDS)
        page.goto(jupyter)
        title = page.get_by_role("heading", name="How a small network learns")
        title.wait_for(timeout=90 * SECONDS)
        page.get_by_role("button", name="No", exact=True).click()  # no news, please
        yield page
        browser.close()


@pytest.fixture(scope="module")
def screenshot(page, tmp_path_factory):
    folder = tmp_path_factory.mktemp("screenshots")

    def take(name):
        page.screenshot(path=folder / f"{name}.png")
        print(f"screenshot: {folder / name}.png")

    return take


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


def changed(page, section_7, act):
    """Do `act`; return the line under the controls, once the run that it asked for is drawn."""
    status, picture = section_7.locator(".widget-html-content"), section_7.locator("img")
    before = picture.get_attribute("src")
    act()
    for _ in range(500):
        page.wait_for_timeout(20)
        if picture.get_attribute("src") != before:
            return status.inner_text()
    return pytest.fail(f"the picture stayed as it was; the line says {status.inner_text()}")


def test_before_it_runs_section_7_shows_a_picture_and_how_to_start(page, section_7, screenshot):
    screenshot("1_before_running")
    assert section_7.locator("img").is_visible()
    assert section_7.locator(".widget-slider").count() == 0
    assert "Error" not in section_7.inner_text()
    assert page.get_by_text(".venv/bin/jupyter lab mlp_visualization.ipynb").is_visible()


def test_every_cell_runs(page, screenshot):
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    last = page.locator(".jp-Cell").last
    last.locator(".widget-slider").first.wait_for(timeout=240 * SECONDS)
    screenshot("2_after_running")
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


def test_the_keyboard_moves_a_slider(page, section_7, screenshot):
    batch_size = control(section_7, "Batch size")
    screenshot("3_before_the_keyboard")
    line = changed(page, section_7, lambda: batch_size.locator(".noUi-handle").press("ArrowRight"))
    screenshot("4_after_the_keyboard")
    assert batch_size.locator(".widget-readout").inner_text() == "32"
    assert line.startswith("37,500 updates: train accuracy")
    assert control(section_7, "Seed").locator(".widget-readout").inner_text() == "42"
    line = changed(page, section_7, lambda: batch_size.locator(".noUi-handle").press("End"))
    assert batch_size.locator(".widget-readout").inner_text() == "full"
    assert line.startswith("1,500 updates: train accuracy")


def test_a_change_is_drawn_within_a_second(page, section_7):
    batch_size, seed = (control(section_7, name) for name in ("Batch size", "Seed"))
    for _ in range(5):  # from full back to 16
        changed(page, section_7, lambda: batch_size.locator(".noUi-handle").press("ArrowLeft"))
    seconds = []
    for _ in range(5):  # the quickest, because other programs may run, too
        start = time.perf_counter()
        changed(page, section_7, lambda: seed.locator(".noUi-handle").press("ArrowRight"))
        seconds.append(time.perf_counter() - start)
    assert batch_size.locator(".widget-readout").inner_text() == "16"
    assert min(seconds) < 1, seconds


def test_the_mouse_moves_a_slider(page, section_7, screenshot):
    seed = control(section_7, "Seed")
    handle, track = (seed.locator(name).bounding_box() for name in (".noUi-handle", ".noUi-target"))
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2

    def drag():
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(track["x"] - 50, y, steps=5)
        page.mouse.up()

    changed(page, section_7, drag)
    screenshot("5_after_the_mouse")
    assert seed.locator(".widget-readout").inner_text() == "0"


def test_a_data_set_is_chosen(page, section_7, screenshot):
    dataset = control(section_7, "Data set").locator("select")
    changed(page, section_7, lambda: dataset.select_option("blobs"))
    screenshot("6_blobs")


def test_without_same_start_a_change_takes_the_next_seed(page, section_7):
    section_7.get_by_label("Same start").uncheck()
    rate = control(section_7, "Learning rate")
    changed(page, section_7, lambda: rate.locator(".noUi-handle").press("ArrowRight"))
    assert control(section_7, "Seed").locator(".widget-readout").inner_text() == "1"
