"""Things to try in the playground: each asks a question before it shows the answer."""

from typing import NamedTuple


class Trial(NamedTuple):
    """Settings other than the first ones, a question about them, and what to look at then."""

    name: str
    settings: dict
    question: str
    answers: tuple
    look_at: str  # said after the guess
    work: str = "play"  # what a guess begins: "play", or "seeds" for twenty of them


TRIALS = (
    Trial(
        "Full batch",
        {"batch_size": "full"},
        "With 16 rows in a batch, an epoch makes 50 updates. With the full batch it makes one. "
        "In 1500 epochs, how far does the loss fall?",
        ("as far", "less far"),
        "Look at the loss: has it stopped falling? Then change the learning rate to 0.3, and play "
        "a new run.",
    ),
    Trial(
        "Another seed",
        {"seed": "5"},
        "Only the seed differs: other initial weights, other shuffles. Does the network learn the "
        "moons?",
        ("yes", "no"),
        "Look at the dotted folds. Which way does the boundary not bend? Go back to epoch 1000, "
        "plant a fold, and play on.",
    ),
    Trial(
        "Many seeds",
        {},
        "Twenty seeds, and all else is the same. How do the twenty losses come out?",
        ("all alike", "in two groups", "all different"),
        "Each dot is the end of a run. If you had trained only one, what would you believe? Click "
        "on a dot to train it again.",
        work="seeds",
    ),
    Trial(
        "Row by row",
        {"seed": "5", "batch_size": "1"},
        "Seed 5 again, but with an update for each row: 16 times as many. Does it learn the moons?",
        ("yes", "no"),
        "Look at the curves: they shake, because each update sees a single row. Then try 20 seeds.",
    ),
    Trial(
        "Another batch size",
        {"seed": "5", "epochs": "800"},
        "After 800 epochs with seed 5, can another batch size still help this network?",
        ("yes, a smaller one", "yes, a larger one", "no"),
        "When it has come to the end, change the batch size to 1, and play on. Then go back to "
        "epoch 800 with the slider, and try 256. The run before stays in grey.",
    ),
    Trial(
        "Few units",
        {"hidden_units": "3", "learning_rate": "0.1", "epochs": "500"},
        "The boundary must bend. Are three hidden units enough for the moons?",
        ("yes", "no"),
        "Count the bends of the boundary: a unit makes one. Then try 20 seeds, and again with ten "
        "units.",
    ),
    Trial(
        "Much noise",
        {"noise": "0.5"},
        "The moons now overlap. Which test accuracy can the best possible rule reach?",
        ("95 %", "90 %", "80 %"),
        "The green line is the best rule. On average, no network can do better.",
    ),
    Trial(
        "Large steps",
        {"learning_rate": "1", "batch_size": "1", "epochs": "100"},
        "A hundred times the learning rate, row by row. Does the network learn faster?",
        ("yes", "no"),
        "Look at the maps of the units. One that is white everywhere is dead: it is 0 for all "
        "points, and no gradient reaches it any more.",
    ),
    Trial(
        "A spiral",
        {"dataset": "spiral", "noise": "0.05", "learning_rate": "0.1", "hidden_units": "6"},
        "Two arms turn around each other. Are six hidden units enough?",
        ("yes", "no"),
        "Where does the boundary lack folds? Try 20 seeds, and then 20 seeds with two layers: 6,6.",
    ),
)
