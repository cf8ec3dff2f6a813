"""What only the notebook needs: pictures with a text beside them, formulas above code, tables."""

import base64
import html
import inspect
import io
import textwrap
from importlib import import_module

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

import plots
from train_mlp_numpy import METRICS

PRE = "font-family: monospace; white-space: pre; background: none; margin: 0; padding: 0"
PACKAGES = ("sklearn", "pandas", "joblib", "PIL", "anywidget")  # what later cells import


def check_packages():
    """Raise ModuleNotFoundError if a package that a later cell imports is missing."""
    for package in PACKAGES:
        import_module(package)


def picture(figure, alt):
    """Show a Figure, with a text for those who do not see it; show a sentence as text.

    It is HTML, as neither JupyterLab nor nbconvert gives an `image/png` output an `alt`. It has two
    pixels for each one of the page, for fine screens, and is never wider than its place.
    """
    from IPython.display import HTML, Markdown

    if isinstance(figure, str):  # why there is no figure
        return Markdown(figure)
    look = f"width: {figure.get_figwidth() * figure.dpi:.0f}px; max-width: 100%"
    return HTML(as_html(image_of(figure, 2), alt, look))


def image_of(figure, scale=1):
    """Return a Figure as a Pillow image."""
    from PIL import Image

    canvas, dpi = FigureCanvasAgg(figure), figure.dpi
    figure.set_dpi(scale * dpi)
    canvas.draw()
    figure.set_dpi(dpi)
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def as_html(image, alt, look):
    """Return a Pillow image as HTML with a WebP picture, half as large as a PNG.

    `decoding` is for nothing to flicker where one takes the place of another.
    """
    file = io.BytesIO()
    image.save(file, "WEBP", quality=80, method=2)
    source = f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"
    return f'<img alt="{html.escape(alt)}" decoding="sync" style="{look}" src="{source}">'


def or_reason(show, *args, **options):
    """Return what a function returns, or a sentence: why it has nothing to show."""
    try:
        return show(*args, **options)
    except (ValueError, FloatingPointError) as error:
        return f"Nothing to show here: {error}."


def show_source(*pairs):
    """Show formulas, as HTML, each above the function or method that computes it, as it stands.

    A line that is wider than its place is not broken: it can be scrolled.
    """
    from IPython.display import HTML
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    look = {"cssstyles": "color: black; margin: 0 0 1.5em 2em; padding: 0.5em 1em"}
    look["prestyles"] = f"{PRE}; font-size: 90%; overflow-x: auto"
    quote = '<blockquote style="white-space: pre-line"><i>'
    return HTML(
        "".join(
            f"<p><b>{function.__qualname__}</b></p>{quote}{formula}</i></blockquote>"
            + highlight(source_of(function), PythonLexer(), HtmlFormatter(noclasses=True, **look))
            for formula, function in pairs
        )
    )


def source_of(function):
    """Return the source of a function or a method, as it stands, at the left margin."""
    return textwrap.dedent(inspect.getsource(function))


def final_numbers(histories):
    """Return a table of how runs end, a column for each, from a dict of histories by name."""
    import pandas as pd

    ends = {name: {key: h[key][-1] for key in METRICS} for name, h in histories.items()}
    return pd.DataFrame(ends).round(4)


def gradient_table(checks):
    """Return the Checks of gradient_check.py as a table, a row for each layer or network."""
    import pandas as pd

    from gradient_check import LIMIT, error_text

    groups = pd.DataFrame(checks).groupby("subject", sort=False)
    table = groups.agg(
        {"gradient": ", ".join, "elements": "sum", "error": "max", "in_network": "first"}
    )
    in_network = table.pop("in_network")
    table.loc[in_network, "gradient"] = "every weight and bias"
    table["verdict"] = ["right" if error < LIMIT else "WRONG" for error in table["error"]]
    table["error"] = [error_text(error) for error in table["error"]]
    columns = {"gradient": "gradients", "error": "largest relative error"}
    return table.rename_axis(None).rename(columns=columns)


def boundaries(predicts, data):
    """Draw the decision boundaries of networks side by side, with one colour bar.

    `predicts` is a dict of functions from points to probabilities, by title. Rows that are no
    points of the plane have no such picture: a sentence says so.
    """
    if np.shape(data.x_train)[1] != 2:
        return "Nothing to show here: these rows are no points of the plane."
    shape = {"n_columns": len(predicts), "squeeze": False, "sharey": True}
    figure, panels = plots.new_figure(5 * len(predicts) + 1, 4.8, **shape)
    for axes, (title, predict) in zip(panels[0], predicts.items(), strict=True):
        handles = plots.scatter_data(axes, data)
        plots.draw_regions(axes, predict, 300)
        axes.set_title(title)
        axes.label_outer()
    if np.shape(data.y_train)[1] == 2:
        plots.probability_bar(figure, panels[0, -1])
    plots.legend_below(figure, handles)
    return figure
