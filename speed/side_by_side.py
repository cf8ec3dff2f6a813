"""What benchmark.py has measured, as a table, a text and a picture.

`results` is a pandas DataFrame with a row for each Result (rounds.py): a contender in a case.
"""

import os

import numpy as np

import plots

HEADINGS = {  # of the functions in contenders.py
    "straightforward": "straightforward",
    "numpy_layers": "ours: numpy",
    "compiled_loop": "ours: numba",
    "scikit_learn": "scikit-learn",
    "torch_eager": "PyTorch",
    "torch_compiled": "PyTorch compiled",
    "jax_scan": "JAX",
    "plain_c": "plain C",  # small networks only
    "matrix_products": "bare products",  # large ones only
}


def table(results):
    """Return the times as a table in Markdown, each with its ratio to ours."""
    with_words = results.assign(words=[in_words(result) for result in results.itertuples()])
    cells = with_words.pivot(index="case", columns="contender", values="words")
    contenders = [name for name in HEADINGS if name in cells.columns]
    cells = cells.reindex(index=results["case"].unique(), columns=contenders).fillna("-")

    lines = [
        ["network, rows of a batch", *[HEADINGS[name] for name in contenders]],
        ["---"] * (1 + len(contenders)),
    ]
    for case, times in cells.iterrows():
        lines.append([case, *times])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def in_words(result):
    """Return the time of a Result in three digits and a unit, and its ratio to ours."""
    time = time_in_words(result.seconds)
    if result.contender == "compiled_loop":
        return time
    return f"{time} ({three_digits(result.ratio)}x)"


def time_in_words(seconds):
    """Return a time in three digits and a unit."""
    if seconds >= 1:
        return f"{three_digits(seconds)} s"
    if seconds >= 1e-3:
        return f"{three_digits(1e3 * seconds)} ms"
    return f"{three_digits(1e6 * seconds)} µs"


def three_digits(number):
    """Return a number rounded to three digits or, from 100,000 on, to a whole number."""
    if number >= 1e5:
        return f"{number:.0f}"
    rounded = float(f"{number:.3g}")
    return f"{rounded:g}"


def spread(results):
    """Return how far quartiles are from their medians, in percent: the most, and the median."""
    above = (results["high"] - results["seconds"]) / results["seconds"]
    below = (results["seconds"] - results["low"]) / results["seconds"]
    percent = 100 * np.maximum(above, below)
    return f"{percent.max():.0f} % at most, {percent.median():.1f} % in the median"


def report(results, machine):
    """Return what was measured as a text in Markdown."""
    return (
        f"# An epoch, side by side\n\n{machine}\n\n"
        f"## One thread, all in float64\n\n{table(results)}\n\n"
        "The median time of an epoch and, in brackets, its ratio to that of ours: numba (the "
        "median of the ratios in each round). "
        f"The quartiles are off by {spread(results)}. Plain C takes one row at a time; the bare "
        "products are those of matrices, and nothing else.\n"
    )


# The picture.

STYLES = {
    "straightforward": {"color": "#56B4E9", "marker": "o"},
    "numpy_layers": {"color": "#0072B2", "marker": "s"},
    "compiled_loop": {"color": "black", "marker": "D"},
    "scikit_learn": {"color": "#E69F00", "marker": "v"},
    "torch_eager": {"color": "#D55E00", "marker": "^"},
    "torch_compiled": {"color": "#CC79A7", "marker": ">"},
    "jax_scan": {"color": "#009E73", "marker": "P"},
    "plain_c": {"color": "0.4", "marker": "|", "markersize": 9, "markeredgewidth": 3},
    "matrix_products": {"color": "0.4", "marker": "*", "markersize": 8},
}
LANES = {  # four for each case, so that markers of equal values do not cover each other
    "straightforward": 0,
    "jax_scan": 0,
    "numpy_layers": 1,
    "compiled_loop": 1,
    "torch_eager": 1,
    "scikit_learn": 2,
    "plain_c": 2,
    "torch_compiled": 3,
    "matrix_products": 3,
}


def draw(results):
    """Return a matplotlib Figure of the time of each contender divided by ours."""
    plots.plt.style.use("default")  # whatever the user's settings of matplotlib are
    cases = list(results["case"].unique())
    figure, axes = plots.new_figure(9, 2.1 + 0.42 * len(cases))
    draw_ratios(axes, results, cases)
    draw_lines_of_cases(axes, cases)
    set_ratio_axis(axes, results["ratio"].min(), results["ratio"].max())
    figure.suptitle("The time of an epoch as a multiple of ours: numba (one thread, float64)")
    figure.legend(loc="outside lower center", ncols=5)
    return figure


def draw_ratios(axes, results, cases):
    """Draw a marker for each result, on the line of its case."""
    for contender, style in STYLES.items():
        its_results = results[results["contender"] == contender]
        shift = 0.2 * (LANES[contender] - 1.5)
        places = [cases.index(case) + shift for case in its_results["case"]]
        axes.plot(its_results["ratio"], places, linestyle="", label=HEADINGS[contender], **style)
    axes.axvline(1, color="0.6", zorder=0)


def draw_lines_of_cases(axes, cases):
    """Name each case beside its line; every other line is shaded."""
    for place in range(0, len(cases), 2):
        axes.axhspan(place - 0.5, place + 0.5, color="0.95", zorder=-1)
    axes.set_yticks(range(len(cases)), cases)
    axes.set_ylim(len(cases) - 0.5, -0.5)  # the first case is on top
    axes.set_ylabel("network, rows of a batch")


def set_ratio_axis(axes, least, most):
    """Set the logarithmic axis of the ratios: ticks at 1, 2 and 5, and at both ends."""
    ticks = []
    for power in range(-3, 6):
        for digit in (1, 2, 5):
            ticks.append(digit * 10.0**power)
    low = max(tick for tick in ticks if tick <= least)
    high = min(tick for tick in ticks if tick >= most)
    axes.set_xscale("log")
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.set_xticks([], minor=True)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="x", color="0.85")
    axes.set_axisbelow(True)
    axes.set_xlabel("ratio of times, the median of all rounds")


def write(folder, results, text):
    """Write side_by_side.md, .csv and .png: all are made first, and only then put in place."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"side_by_side.{ending}" for ending in ("md", "csv", "png")]
    scratches = [folder / f"{path.name}.{os.getpid()}.tmp" for path in paths]
    text_file, table_file, picture_file = scratches
    try:
        text_file.write_text(text, encoding="utf-8", newline="\n")
        results.to_csv(table_file, index=False, lineterminator="\n")
        draw(results).savefig(picture_file, format="png", dpi=150)
        for scratch, path in zip(scratches, paths, strict=True):
            os.replace(scratch, path)
    finally:
        for scratch in scratches:
            scratch.unlink(missing_ok=True)
