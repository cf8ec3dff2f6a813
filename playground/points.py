"""Points of one's own: a CSV file, or its text, with a line `x1,x2,class` for each point.

The first line may be a header, such as `x1,x2,class`.
"""

from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from train_mlp_numpy import Data

FEWEST = 5  # points, so that a fifth is one
MOST = 2000
FARTHEST = 10  # the largest coordinate
CLASSES = (0, 1, 2)
EXPECTED = (
    f"expected x1 and x2, numbers from {-FARTHEST} to {FARTHEST}, and a class, 0, 1 or 2, "
    "such as 0.5,-0.25,1"
)


def text_of(path):
    """Return the text of a file; what is not text becomes signs that `read_points` refuses."""
    return Path(path).expanduser().read_text(encoding="utf-8", errors="replace")


def read_points(text):
    """Return the points of a text as rows x1, x2, class: an array of shape (N, 3).

    Raises:
        ValueError: for a line that is no point, with its number; if there are too few or too many
            points; if all are of one class.
    """
    rows = []
    lines = text.removeprefix("\ufeff").splitlines()  # some programs begin a file with this mark
    for i, line in enumerate(lines):
        if not line.strip():
            continue
        cells = [number_in(cell) for cell in line.split(",")]
        is_header = cells == [None, None, None]
        if i == 0 and is_header:
            continue
        if not is_point(cells):
            raise ValueError(f"line {i + 1}: {EXPECTED}; got {line[:40]!r}")
        rows.append(cells)
    if not FEWEST <= len(rows) <= MOST:
        raise ValueError(f"give from {FEWEST} to {MOST} points, not {len(rows)}")
    points = np.array(rows)
    if len(np.unique(points[:, 2])) == 1:
        raise ValueError("all points are of one class; give at least two classes")
    return points


def number_in(cell):
    """Return the number that a cell holds, or None."""
    try:
        return float(cell)
    except ValueError:
        return None


def is_point(cells):
    """Return whether these are two coordinates and a class."""
    if len(cells) != 3 or None in cells:
        return False
    x1, x2, label = cells
    return abs(x1) <= FARTHEST and abs(x2) <= FARTHEST and label in CLASSES


def split_points(points, seed):
    """Return points, as `read_points` returns them, as a Data: a fifth of them is for testing."""
    labels = points[:, 2].astype(int)
    targets = np.eye(labels.max() + 1)[labels]
    x_train, x_test, y_train, y_test = train_test_split(
        points[:, :2], targets, test_size=0.2, random_state=seed
    )
    return Data(x_train, y_train, x_test, y_test)


def as_csv(points):
    """Return rows x1, x2, class as the text of a CSV file with all their digits."""
    lines = ["x1,x2,class"]
    for x1, x2, label in points:
        lines.append(f"{float(x1)},{float(x2)},{int(label)}")
    return "\n".join(lines) + "\n"
