"""How the notebook shows code beside formulas, and how runs end beside each other.

Its pictures are drawn elsewhere: those of one run by plots.py, the others by the files here.
"""

import html
import inspect
import textwrap

import numpy as np
import pandas as pd
from IPython.display import HTML
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

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


def final_numbers(ends):
    """Return a table of losses and accuracies, a column for each of a dict of histories by name.

    Of a history it shows the last values. The report's numbers, one for each metric, serve as well.
    """
    columns = {}
    for name, history in ends.items():
        columns[name] = {metric: np.ravel(history[metric])[-1] for metric in METRICS}
    return pd.DataFrame(columns).round(4)
