"""Take the pictures of playground/README.md again, in Chromium: they are of the page itself.

    python -m tests.playground.take_pictures

needs what the tests in a browser need.
"""

import io
import shutil
import tempfile
from functools import partial
from pathlib import Path
from threading import Thread

from PIL import Image

from playground import student
from playground.answers import Answers, explained
from playground.server import Server
from tests.browser import button, opened, wait_for_epoch, wait_for_frames, wait_until_idle

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "figures"


def main():
    """Take both pictures."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver, tempfile.TemporaryDirectory() as folder:
        page = opened(driver, viewport={"width": 1400, "height": 800})
        write(picture_of_the_page(page), "playground.png")

        right = map_after_training(page, Answers)
        plant_mistake(Path(folder))
        wrong = map_after_training(
            page, partial(Answers, load_code=partial(student.load, Path(folder)))
        )
        write(side_by_side(right, wrong), "playground_mistake.png")


def picture_of_the_page(page):
    """Return the page: seed 5, set free by a change of its batch size, and twenty seeds."""
    with_page(page, partial(Answers, {"seed": "5"}))
    button(page, "To the end").click()
    wait_for_epoch(page, 1500)
    button(page, "20 seeds").click()
    page.locator("figure", has_text="20 of 20 seeds").wait_for()
    wait_until_idle(page)
    page.get_by_label("Epoch shown").fill("700")
    page.get_by_label("Batch size").fill("1")
    page.get_by_label("Batch size").press("Enter")
    wait_until_idle(page)
    button(page, "To the end").click()
    wait_for_epoch(page, 1500)
    return image(page.locator(".playground").screenshot())


def plant_mistake(folder):
    """Write layers whose ReLU lets every gradient pass."""
    shutil.copy(ROOT / "mlp_numpy.py", folder)
    source = (ROOT / "modules.py").read_text(encoding="utf-8")
    mistaken = source.replace("return dout * (self.x > 0)", "return dout")
    assert mistaken != source
    (folder / "modules.py").write_text(mistaken, encoding="utf-8")


def map_after_training(page, new_answers):
    """Return the map of a run at its end."""
    with_page(page, new_answers)
    button(page, "To the end").click()
    wait_for_epoch(page, 1500)
    return image(page.locator(".map").screenshot())


def with_page(page, new_answers):
    """Open the playground of these Answers."""
    server = Server(0, new_answers, explained)
    Thread(target=server.serve_forever, daemon=True).start()
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    wait_for_frames(page)


def image(png):
    """Return a screenshot as a Pillow image."""
    return Image.open(io.BytesIO(png)).convert("RGB")


def side_by_side(left, right):
    """Return two images of one size as one."""
    both = Image.new("RGB", (left.width + 16 + right.width, left.height), "white")
    both.paste(left, (0, 0))
    both.paste(right, (left.width + 16, 0))
    return both


def write(picture, name):
    """Write a picture with 128 colours into figures/; k-means keeps those of thin lines."""
    path = FIGURES / name
    picture.quantize(128, kmeans=3, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"wrote {path}, {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
