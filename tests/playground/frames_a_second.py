"""Measure the page in Chromium: how fast it plays, how soon a fold follows the mouse.

    python -m tests.playground.frames_a_second

needs what the tests in a browser need, and idle cores.
"""

import re
import statistics
import subprocess
import sys
import time

from tests.browser import button, opened, wait_for_frames, wait_until_idle

CASES = {
    "2-20-2, batch size 16": [],
    "2-20-2, batch size 1": ["--batch_size", "1"],
    "2-40-40-2, batch size 16": ["--hidden_units", "40,40"],
}
SECONDS = 4

WATCH = """() => {
  const root = document.querySelector(".playground");
  window.delays = [];
  let start = null;
  const noteMove = () => { start ??= performance.now(); };
  const noteFrame = () => {
    if (start !== null) window.delays.push(performance.now() - start);
    start = null;
  };
  root.querySelector(".map").addEventListener("pointermove", noteMove, true);
  new MutationObserver(noteFrame).observe(root, { attributeFilter: ["data-frames"] });
}"""


def main():
    """Print the figures of each case."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        page = opened(driver, viewport={"width": 1400, "height": 800})
        for name, flags in CASES.items():
            begin = time.monotonic()
            server, address = started(flags)
            page.goto(address)
            wait_for_frames(page)
            first_frame = time.monotonic() - begin
            try:
                play(page, 1)  # the compiled loop is prepared
                frames, python_ms = play(page, SECONDS)
            finally:
                delay = dragging(page) if not flags else None
                server.terminate()
            print(f"{name}: first frame after {first_frame:.1f} s, {frames:.1f} frames a second,")
            print(f"    {python_ms:.1f} ms of Python a frame")
            if delay is not None:
                print(f"    {delay:.0f} ms from the mouse to the picture of a dragged fold")


def started(flags):
    """Return a process that serves the page, and its address."""
    command = [sys.executable, "-m", "playground", "--no_browser", *flags]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in server.stdout:
        address = re.search(r"http\S+", line)
        if address:
            return server, address[0]
    raise SystemExit("the playground did not start")


def play(page, seconds):
    """Play from the start; return frames a second, and milliseconds of Python for each."""
    button(page, "New run").click()
    wait_until_idle(page)
    before = data_of(page)
    begin = time.monotonic()
    button(page, "Play").click()
    page.wait_for_timeout(1000 * seconds)
    after = data_of(page)
    passed = time.monotonic() - begin
    button(page, "Pause").click()
    wait_until_idle(page)
    n_frames = int(after["frames"]) - int(before["frames"])
    python_seconds = float(after["kernelSeconds"]) - float(before["kernelSeconds"])
    return n_frames / passed, 1000 * python_seconds / n_frames


def data_of(page):
    """Return what the root element says of the playground."""
    return page.evaluate("({...document.querySelector('.playground').dataset})")


def dragging(page):
    """Return the median delay, in milliseconds, from a move of the mouse to the next picture."""
    page.evaluate(WATCH)
    ends = """() => {
      const { map } = document.querySelector(".playground").view;
      for (let j = 0; j < 20; j++) {
        const fold = map.foldEnds(j);
        if (fold) return fold.map(([x, y]) => map.toPage(x, y));
      }
    }"""
    (x0, y0), (x1, y1) = page.evaluate(ends)
    box = page.locator(".map").bounding_box()
    x = box["x"] + (x0 + x1) / 2
    y = box["y"] + (y0 + y1) / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for k in range(60):
        page.mouse.move(x + k / 2, y + k / 3)
        page.wait_for_timeout(30)
    page.mouse.up()
    return statistics.median(page.evaluate("window.delays"))


if __name__ == "__main__":
    main()
