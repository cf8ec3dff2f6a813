"""The rows of submissions as one table, and what is made of it.

That is the terminal, results.csv, a page for the student, and Gradescope's JSON. Sentences are made
here from the rows' fields. No verdict hangs on them.
"""

import itertools
import re
import textwrap
import unicodedata
from collections import Counter
from dataclasses import dataclass

from grading.checks import BY_NAME, PARTS

COLUMNS = ["submission", "part", "check", "status", "message", "points", "out_of"]
MOST_CHARACTERS = 400  # of a sentence
UNSEEN = "\0"  # takes the second column of a wide character
UNBROKEN = "\xa0"  # a space at which no line is broken


@dataclass
class Result:
    """What was found out about a submission."""

    name: str
    table: object  # a pandas DataFrame with a row for each check; `message` is a list of sentences
    read_as: list  # sentences on the files and the conventions

    def points(self, part=None):
        """Return the points of a part, or of all, as in "12.5 of 20"."""
        table = self.table
        if part is not None:
            table = table[table["part"] == part]
        return f"{amount(table['points'].sum())} of {amount(table['out_of'].sum())}"

    def not_judged(self):
        """Return the points of what could not be judged."""
        table = self.table
        return table.loc[table["status"] == "not judged", "out_of"].sum()


def amount(number):
    """Return a number as text, with two digits behind the point if it needs them: 12.5 or 20."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def result_of(name, rows, read_as, points):
    """Return the Result of a submission from its rows; `points` has a number for each part."""
    import pandas as pd  # takes a second: not before the first submission is on its way

    parts = [BY_NAME[row.check].part for row in rows]
    counts = Counter(parts)
    records = []
    for row, part in zip(rows, parts, strict=True):
        out_of = points[part] / counts[part]
        records.append(
            {
                "submission": name,
                "part": part,
                "check": row.check,
                "status": row.status,
                "message": sentences(row),
                "points": out_of if row.status == "right" else 0.0,
                "out_of": out_of,
                "follows": bool(row.rests_on),  # from another row; not in results.csv
            }
        )
    table = pd.DataFrame(records)
    notes = table.loc[table["status"] == "right", "message"]
    told = [harmless(text) for text in read_as] + list(itertools.chain(*notes))
    return Result(name, table, list(dict.fromkeys(told)))


def sentences(row):
    """Return what is said of a row of checks.py: faults, a reason, or notes."""
    texts = []
    if row.status == "wrong":
        for fault in row.faults:
            place = f": {fault.where}" if fault.where else ""
            texts.append(fault.words + place)
    elif row.status == "right":
        texts = row.notes
    elif row.rests_on:
        texts = [f"first fix {row.rests_on}"]
    elif row.reason:
        texts = [row.reason]
    return [harmless(text) for text in texts]


def harmless(text):
    """Return a text as one line, not too long, in which every character can be seen."""
    line = " ".join(str(text).split())
    if len(line) > MOST_CHARACTERS:
        line = f"{line[:MOST_CHARACTERS]}..."
    seen = [char if char.isprintable() else escaped(char) for char in line]
    return "".join(seen)


def escaped(char):
    return char.encode("unicode_escape").decode()


@dataclass
class Entry:
    """What is shown of a row, or of neighbours that are not right for the same reason."""

    status: str
    checks: list
    message: list  # sentences
    follows: bool  # from another row

    def lines(self):
        """Return the message and, of what is wrong, the lecture's formula."""
        if self.status == "right":
            return []  # its notes are listed under "read as"
        if self.status == "wrong":
            return [*self.message, f"the lecture: {BY_NAME[self.checks[0]].formula}"]
        return self.message


def entries_of(table):
    """Return the Entries of a table."""
    entries = []
    for row in table.itertuples():
        is_open = row.status in ("to do", "not judged")
        last = entries[-1] if entries else None
        if last and is_open and (last.status, last.message) == (row.status, row.message):
            last.checks.append(row.check)
        else:
            entries.append(Entry(row.status, [row.check], row.message, row.follows))
    return entries


# The terminal: one submission


def report(result, width):
    """Return the report on one submission as lines of text."""
    lines = wrapped(f"{result.name}: {headline(result)}", width, "")
    if result.read_as:
        lines.append("read as")
    for text in result.read_as:
        lines += wrapped(text, width, "  ")
    reason = common_reason(result)
    if reason:
        return lines + wrapped(f"not judged: {reason}", width, "")
    for part in PARTS:
        lines += ["", f"{part}: {result.points(part)}"]
        for entry in entries_of(result.table[result.table["part"] == part]):
            lines += entry_lines(entry, entry.lines(), width)
    return lines


def headline(result):
    """Return the points, and those that nobody has judged, in words."""
    text = f"{result.points()} points"
    if result.not_judged():
        text += f", and {amount(result.not_judged())} not judged"
    return text


def common_reason(result):
    """Return the reason for which no check at all was judged, or an empty text."""
    entries = entries_of(result.table)
    if len(entries) == 1 and entries[0].status == "not judged":
        return "; ".join(entries[0].message)
    return ""


def entry_lines(entry, sentences, width):
    """Return an Entry as lines: what is short in one, or else each sentence on its own."""
    names = ", ".join(check.replace(" ", UNBROKEN) for check in entry.checks)
    head = f"  {entry.status:<10}  {names}"
    line = f"{head:<42} {' '.join(sentences)}".rstrip().replace(UNBROKEN, " ")
    is_short = entry.status != "wrong" and len(sentences) < 2 and len(head) < 42
    if is_short and width_of(line) <= width:
        return [line]
    lines = beside(f"  {entry.status:<10}  ", names, width)
    for text in sentences:
        lines += wrapped(text, width, " " * 14)
    return lines


def beside(label, text, width):
    """Return a label and a text beside it, which has lines of its own."""
    lines = wrapped(text, width, " " * len(label))
    lines[0] = label + lines[0].strip()
    return lines


def wrapped(text, width, indent):
    """Return a text as lines of at most this width, all indented. A wide character takes two."""
    spaced = "".join(char + UNSEEN if is_wide(char) else char for char in text)
    lines = textwrap.wrap(
        spaced,
        width - 1,  # a line may end with a wide character that has lost its second column
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
    return [line.replace(UNSEEN, "").replace(UNBROKEN, " ") for line in lines]


def is_wide(char):
    return unicodedata.east_asian_width(char) in "WF"


def width_of(text):
    return len(text) + sum(is_wide(char) for char in text)


# The terminal: a class

HEADINGS = ("total", *PARTS, "not judged")


def class_table(results, width):
    """Return a line with the points of each submission, and below it what is wrong."""
    is_narrow = width < 72
    lines = []
    if not is_narrow:
        lines.append("  ".join([*HEADINGS, "submission"]))
    for result in results:
        numbers = numbers_of(result)
        if is_narrow:
            lines += narrow_line(result.name, numbers, width)
        else:
            lines += wide_line(result.name, numbers, width)
        lines += findings(result, width)
    return lines


def numbers_of(result):
    """Return the points of a submission, as texts in the order of HEADINGS."""
    table = result.table
    by_part = table.groupby("part")["points"].sum()
    numbers = [table["points"].sum()]
    numbers += [by_part.get(part, 0) for part in PARTS]
    numbers.append(result.not_judged())
    return [f"{number:.1f}" for number in numbers]


def wide_line(name, numbers, width):
    """Return the points in columns, and then the name, in more lines if it is long."""
    cells = [f"{number:>{len(name)}}" for name, number in zip(HEADINGS, numbers, strict=True)]
    return beside("  ".join(cells) + "  ", name, width)


def narrow_line(name, numbers, width):
    """Return the name, and below it the points in words."""
    pairs = zip(HEADINGS, numbers, strict=True)
    text = ", ".join(f"{heading} {number}" for heading, number in pairs)
    return wrapped(name, width, "") + wrapped(text, width, "  ")


def findings(result, width):
    """Return as lines what is wrong or kept something from being judged, and how much is to do."""
    reason = common_reason(result)
    if reason:
        return beside("  not judged  ", reason, width)
    lines = []
    for entry in entries_of(result.table):
        if entry.status in ("wrong", "not judged") and not entry.follows:
            lines += entry_lines(entry, entry.message, width)
    n_to_do = (result.table["status"] == "to do").sum()
    if n_to_do:
        lines.append(f"  to do       {n_to_do} of {len(result.table)} checks")
    return lines


# Files


def as_csv(results):
    """Return the text of results.csv: a row for each check of each submission."""
    import pandas as pd

    tables = [result.table for result in results]
    table = pd.concat(tables, ignore_index=True)
    table["message"] = table["message"].map("; ".join)
    return table[COLUMNS].to_csv(index=False, lineterminator="\n")


def page(result):
    """Return a page for the student, in Markdown."""
    lines = [f"# {in_markdown(result.name)}: {headline(result)}", ""]
    if result.read_as:
        lines += ["Your solution was read as follows.", ""]
        lines += [f"- {in_markdown(text)}" for text in result.read_as]
        lines.append("")
    reason = common_reason(result)
    if reason:
        return "\n".join([*lines, f"Not judged: {in_markdown(reason)}", ""])
    for part in PARTS:
        lines += [f"## {part}: {result.points(part)}", ""]
        for entry in entries_of(result.table[result.table["part"] == part]):
            names = ", ".join(f"`{check}`" for check in entry.checks)
            lines.append(f"- **{entry.status}** {names}")
            lines += [f"  - {in_markdown(text)}" for text in entry.lines()]
        lines.append("")
    return "\n".join(lines)


def in_markdown(text):
    """Return a text in which Markdown finds no marks of its own."""
    text = re.sub(r"([\\`*<>\[\]#|])", r"\\\1", text)
    at_edge_of_word = r"(?<![^\W_])_+|_+(?![^\W_])"  # within a word, Markdown lets them be
    return re.sub(at_edge_of_word, lambda match: match.group().replace("_", r"\_"), text)


def gradescope(result):
    """Return the result as Gradescope's autograder reads it from results.json."""
    tests = []
    for row in result.table.itertuples():
        (entry,) = entries_of(result.table.loc[[row.Index]])
        is_right = row.status == "right"
        tests.append(
            {
                "name": f"{row.part}: {row.check}",
                "score": round(row.points, 2),
                "max_score": round(row.out_of, 2),
                "status": "passed" if is_right else "failed",
                "output": "\n".join([row.status, *entry.lines()]),
            }
        )
    total = result.table["points"].sum()
    text = "\n".join([headline(result), *result.read_as])
    return {"score": round(total, 2), "output": text, "tests": tests}
