"""Part III: things to try in the notebook's playground: a button each."""

from typing import NamedTuple


class Trial(NamedTuple):
    """Settings other than the first ones, a question about them, and what to look at in the run."""

    name: str
    settings: dict
    question: str
    answers: tuple
    look_at: str


TRIALS = (
    Trial(
        "Full batch",
        {"batch_size": "full"},
        "With the full batch an epoch is one update, with 16 rows it is 50. How far will it get?",
        ("as far", "less far"),
        "the loss: it is still falling at the end. Now give it a learning rate of 0.3.",
    ),
    Trial(
        "Another seed",
        {"seed": 5},
        "Only the seed differs: other initial weights, other shuffles. Will it learn the moons?",
        ("yes", "no"),
        "the loss: it stops near 0.25. Pause. Which maps have a line across the points, and is any "
        "of these orange? Plant a fold up and play on. Then: how many of 20 seeds end like this?",
    ),
    Trial(
        "Row by row",
        {"seed": 5, "batch_size": "1"},
        "The same initial weights with 16 times as many updates. Will it learn the moons now?",
        ("yes", "no"),
        "the curves: they shake, as each update sees a single row. Do all of 20 seeds get free?",
    ),
    Trial(
        "Few units",
        {"hidden_units": "5", "learning_rate": 0.1},
        "Three folds are enough for this boundary. Will five hidden units find them?",
        ("always", "sometimes", "never"),
        "the maps: what is each unit for? Then try 20 seeds, and 20 more with ten units.",
    ),
    Trial(
        "Much noise",
        {"noise": 0.5},
        "The moons now overlap. Which test accuracy can be reached?",
        ("95 %", "90 %", "80 %"),
        "the line of the best rule: nobody can expect more. Do training and test data agree?",
    ),
    Trial(
        "Too fast",
        {"learning_rate": 1.0, "batch_size": "1", "epochs": 100},
        "A hundred times the learning rate, row by row. What will be left of the network?",
        ("it learns faster", "it never settles"),
        "the maps: units that fire on no point are dead, and no gradient reaches them any more.",
    ),
    Trial(
        "A spiral",
        {"data_set": "spiral", "noise": 0.05, "learning_rate": 0.1, "hidden_units": "6"},
        "Two arms, one around the other, and six hidden units. Will they do?",
        ("yes", "no"),
        "the boundary: it is short of folds. Now give the network a second layer: 6,6.",
    ),
)


if __name__ == "__main__":
    raise SystemExit("trials.py is no script; open mlp_visualization.ipynb")
