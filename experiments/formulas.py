"""What only the notebook needs: formulas beside the source that computes them."""

import inspect
import textwrap

from IPython.display import Markdown


def beside_source(*pairs):
    """Return a table: formulas, as Markdown, each beside a function or method, as it stands."""
    # The blank lines let Markdown be read as such inside HTML.
    rows = [
        f"<tr><td>\n\n{formula}\n\n</td><td>\n\n```python\n{source_of(function)}```\n\n</td></tr>"
        for formula, function in pairs
    ]
    return Markdown("<table>" + "".join(rows) + "</table>")


def source_of(function):
    """Return the source of a function or a method, at the left margin."""
    return textwrap.dedent(inspect.getsource(function))


if __name__ == "__main__":
    raise SystemExit("formulas.py is no script; open mlp_visualization.ipynb")
