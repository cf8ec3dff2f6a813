"""Part III: things to try in the notebook's playground: a button each."""

from typing import NamedTuple


class Trial(NamedTuple):
    """Settings other than the first ones, a question about them, and what to look at in the run."""

    name: str
    settings: dict
    question: str
    answers: tuple
    look_at: str
    button: str = "Play"  # what the answer presses


TRIALS = (
    Trial(
        "Full batch",
        {"batch_size": "full"},
        "With 16 rows an epoch is 50 updates, with the full batch it is one. How far will it get?",
        ("as far", "less far"),
        "the loss: has it stopped falling? Then play the full batch at a learning rate of 0.3.",
    ),
    Trial(
        "Another seed",
        {"seed": 5},
        "Only the seed differs: other initial weights, other shuffles. Will it learn the moons?",
        ("yes", "no"),
        "the loss until epoch 1000, and pause there. Then read above the maps how much the units "
        "fold, down and up. Which fold is missing? Plant it, and play on.",
    ),
    Trial(
        "Many seeds",
        {"seed": 5},
        "Twenty seeds, all else the same. How many will stay at a loss above 0.2?",
        ("none", "some", "all"),
        "the rings: each is the end of a run. Had you trained only one, what would you believe?",
        button="20 seeds",
    ),
    Trial(
        "Row by row",
        {"seed": 5, "batch_size": "1"},
        "The initial weights of seed 5, with 16 times as many updates. Will it learn them now?",
        ("yes", "no"),
        "the curves: they shake, as each update sees a single row. Then try 20 seeds.",
    ),
    Trial(
        "Few units",
        {"hidden_units": "5", "learning_rate": 0.1},
        "The boundary must bend. Will a network of five hidden units learn the moons?",
        ("yes", "no"),
        "the boundary: how often does it bend? Then try 20 seeds, and again with ten units.",
    ),
    Trial(
        "Much noise",
        {"noise": 0.5},
        "The moons now overlap. Which test accuracy can be reached?",
        ("95 %", "90 %", "80 %"),
        "the line of the best rule: on average no network can do better.",
    ),
    Trial(
        "Too fast",
        {"learning_rate": 1.0, "batch_size": "1", "epochs": 100},
        "A hundred times the learning rate, row by row. Will it learn faster?",
        ("yes", "no, it will never settle"),
        "the maps: a unit that fires on no point is dead, and no gradient reaches it any more.",
    ),
    Trial(
        "A spiral",
        {"data_set": "spiral", "noise": 0.05, "learning_rate": 0.1, "hidden_units": "6"},
        "Two arms, one around the other, and six hidden units. Will they do?",
        ("yes", "no"),
        "the boundary: where is it short of folds? Then try 20 seeds, and 20 with two layers: 6,6.",
    ),
)
