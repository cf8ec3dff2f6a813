"""What the tests in a real browser share. They need Chromium and `pip install playwright`."""

import os
import re
import shutil
from importlib.util import find_spec

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
MS = 1000  # of a second, as Playwright counts


def missing():
    """Return what is missing for a test in a browser, or an empty text."""
    if CHROMIUM is None:
        return "Chromium is missing, such as Debian's package chromium"
    if find_spec("playwright") is None:
        return "playwright is missing: pip install playwright"
    return ""


def need_browser():
    """Skip a test, or on CI fail it, where there is no browser."""
    if missing() and os.environ.get("CI"):
        pytest.fail(missing())
    if missing():
        pytest.skip(missing())


def opened(driver, **options):
    """Return a new page in a browser. Its `errors` gets what goes wrong in the page's scripts."""
    browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    page = browser.new_page(**options)
    page.set_default_timeout(60 * MS)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    return page


def button(page, name):
    """Return a button of the playground; a symbol may stand before its name."""
    return page.locator(".playground").get_by_role("button", name=re.compile(rf"^\W*{name}$"))


def wait_for_frames(page, n=1):
    """Wait until the playground has been drawn so often."""
    root = "document.querySelector('.playground')"
    page.wait_for_function(f"Number({root}?.dataset.frames) >= {n}")


def wait_for_epoch(page, epoch):
    """Wait until the playground shows this epoch, and nothing is under way."""
    root = "document.querySelector('.playground').dataset"
    page.wait_for_function(f"{root}.shown === '{epoch}' && {root}.work === ''")


def wait_until_idle(page):
    """Wait until the playground has no question open and nothing under way."""
    root = "document.querySelector('.playground')"
    page.wait_for_function(f"{root}.dataset.work === '' && !{root}.view.isWaiting")
