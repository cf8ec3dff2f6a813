"""What the tests of the grader share: a submission in a folder, and what is said of it."""

import shutil
import time
from pathlib import Path

from grading import measure, submissions

RIGHT = Path(__file__).with_name("right")


def copy_right(folder, *names):
    """Copy files of the right submission to a folder."""
    for name in names:
        shutil.copyfile(RIGHT / name, folder / name)


def replace(path, old, new):
    """Replace a text that a file has once."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")


def rows_at(folder, **limits):
    """Return the rows of the submission in a folder by check, and sentences on its conventions."""
    (submission,) = submissions.find([folder], "one")
    rows, read_as = measure.rows_of(submission.folder, submission.files, **limits)
    return {row.check: row for row in rows}, read_as


def faults_in(rows):
    """Return all faults as pairs of the check and the words."""
    return [(row.check, fault.words) for row in rows.values() for fault in row.faults]


def statuses(rows):
    return {row.status for row in rows.values()}


def has_ended(pid):
    """Wait for the end of a process, for a minute at most; return whether it has ended."""
    import psutil

    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True  # nobody has asked yet how it ended
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False
