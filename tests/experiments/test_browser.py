"""The notebook in JupyterLab in a real browser: it runs, and the playground in it plays.

The tests are steps on one page: they need this order.

python -m pytest -m browser
"""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.browser import MS, button, need_browser, opened, wait_for_epoch, wait_for_frames
from tests.experiments.run_notebook import edited

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "mlp_visualization.ipynb"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory):
    """Start JupyterLab on a copy of the project, without anyone's settings; yield both places."""
    import nbformat

    need_browser()
    folder = tmp_path_factory.mktemp("project")
    for path in ROOT.glob("*.py"):
        shutil.copy(path, folder)
    nbformat.write(quick_notebook(), folder / NOTEBOOK.name)
    for wing in ("experiments", "figures", "playground", "speed"):
        shutil.copytree(ROOT / wing, folder / wing)
    token = secrets.token_hex()
    homes = {f"JUPYTER_{kind}_DIR": str(folder / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0"]
    command += ["--ip=127.0.0.1", f"--IdentityProvider.token={token}"]
    log = folder / "jupyter.log"
    with open(log, "w") as file:
        server = subprocess.Popen(command, cwd=folder, env=os.environ | homes, stderr=file)
    try:
        address = address_in(log, server)
        query = f"lab/tree/mlp_visualization.ipynb?token={token}"
        yield SimpleNamespace(address=address + query, folder=folder)
    finally:
        server.terminate()
        server.wait()


def quick_notebook():
    """Return the notebook with settings for a shorter time; test_notebook.py runs it as it is."""
    import nbformat

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (settings,) = (cell for cell in notebook.cells if cell.id == "settings")
    settings.source = edited(settings.source, {"epochs": 100, "n_seeds": 2})
    return notebook


def address_in(log, server):
    """Return the address that a server writes to its log, when it is there."""
    for _ in range(600):
        address = re.search(r"http://127\.0\.0\.1:\d+/", log.read_text())
        if address:
            return address[0]
        assert server.poll() is None, log.read_text()
        time.sleep(0.1)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")


@pytest.fixture(scope="module")
def page(jupyter):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        page = opened(driver, viewport={"width": 1280, "height": 1000})
        page.goto(jupyter.address)
        title(page).wait_for(timeout=120 * MS)
        page.get_by_role("button", name="No", exact=True).click()  # no news, please
        yield page
        page.context.browser.close()


def title(page):
    return page.get_by_role("heading", name="How a small network learns")


def last_cell(page):
    """Scroll to the end of the notebook and return its last cell."""
    cell = page.locator(".jp-Cell").last
    place = None
    for _ in range(50):  # cells get their height as they come into view, and move the last one
        cell.scroll_into_view_if_needed()
        page.wait_for_timeout(200)
        new_place = cell.bounding_box()
        if new_place == place:
            break
        place = new_place
    return cell


def wait_for_the_picture(page):
    """Wait until the last output is a picture, with no playground beside it."""
    picture = page.locator(".jp-Cell").last.locator(".jp-OutputArea-output img")
    for _ in range(100):  # a cell is drawn only in view, and those above it may push it out again
        last_cell(page)
        if picture.is_visible():
            break
    assert picture.is_visible()
    assert page.locator(".playground").count() == 0


def test_before_it_runs_a_picture_stands_for_the_playground(page):
    wait_for_the_picture(page)
    assert page.locator("code", has_text=".venv/bin/jupyter lab mlp_visualization").is_visible()


def test_every_cell_runs(page):
    import nbformat

    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.set_default_timeout(240 * MS)
    wait_for_frames(page)
    page.set_default_timeout(60 * MS)
    n_cells = sum(cell.cell_type == "code" for cell in nbformat.read(NOTEBOOK, 4).cells)
    prompt = page.locator(".jp-Cell").last.locator(".jp-InputPrompt")
    prompt.get_by_text(f"[{n_cells}]:").wait_for()  # an error in a cell would have ended the run


def test_the_playground_plays_pauses_and_takes_what_is_typed(page):
    assert not last_cell(page).locator(".jp-RenderedImage img").is_visible()
    button(page, "Play").click()
    wait_for_frames(page, 10)
    button(page, "Pause").click()
    page.get_by_label("Epochs").fill("30")
    page.get_by_label("Epochs").press("Enter")
    button(page, "To the end").click()
    wait_for_epoch(page, 30)
    page.get_by_label("Epoch shown").press("Home")
    wait_for_epoch(page, 0)
    page.get_by_label("Epoch shown").press("ArrowRight")
    wait_for_epoch(page, 1)
    assert page.locator(".playground .note").inner_text() == ""
    assert page.errors == []


def test_without_its_kernel_the_playground_says_so_and_after_a_reload_there_is_the_picture(page):
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name="Shut Down Kernel", exact=True).click()
    page.get_by_text("No Kernel").first.wait_for()
    button(page, "New run").click()
    page.locator(
        ".playground .note", has_text=re.compile("kernel was stopped|busy, or was stopped")
    ).wait_for()
    page.reload()
    title(page).wait_for()
    wait_for_the_picture(page)
