"""How the notebook shows code below formulas, and the final numbers of runs side by side.

Its pictures are drawn elsewhere: those of one run by plots.py, the others by the files here.
"""

import html
import inspect
import textwrap

import pandas as pd
from IPython.display import HTML
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from experiments import report
from train_mlp_numpy import METRICS


def show_source(*pairs):
    """Show formulas, each above the function or method that computes it, as it stands in its file.

    The HTML needs no CSS, which some viewers remove.

    Args:
        pairs: of a formula, lines of text, and a function.
    """
    # <pre> keeps the lines, and the <code> in it the font, which nbconvert takes from <pre>.
    formatter = HtmlFormatter(noclasses=True, nobackground=True, wrapcode=True)
    parts = []
    for formula, function in pairs:
        name = function.__qualname__
        lines = html.escape(formula).replace("\n", "<br>")
        source = textwrap.dedent(inspect.getsource(function))
        parts.append(f"<p><b>{name}</b></p>")
        parts.append(f"<blockquote><i>{lines}</i></blockquote>")
        parts.append(highlight(source, PythonLexer(), formatter))
    return HTML("".join(parts))


def final_numbers(histories, with_report=False):
    """Return a table of final losses and accuracies, a column for each history.

    Args:
        histories: a dict by name of what `train` returns.
        with_report: whether to add the report's numbers for the full batch.
    """
    columns = {}
    for name, history in histories.items():
        columns[name] = {metric: history[metric][-1] for metric in METRICS}
    if with_report:
        columns["report: full batch"] = report.FULL_BATCH
    return pd.DataFrame(columns).round(4)
