"""Things to try in the playground: each asks a question before it shows the answer."""

from typing import NamedTuple


class Trial(NamedTuple):
    """Settings other than the first ones, a question about them, and what to look at then."""

    name: str
    settings: dict
    question: str
    answers: tuple
    look_at: str  # said with what came out
    work: str = "play"  # what a guess begins: "play", or "seeds" for twenty of them


TRIALS = (
    Trial(
        "Batches of 16",
        {},
        "A network of 20 hidden units, and batches of 16 points. Does it learn the moons: does it "
        "come above 95 % on the test points?",
        ("yes", "no"),
        "The boundary bends where it crosses a fold. Move the slider: when does it begin to bend? "
        "Then try the next buttons. They change one thing each.",
    ),
    Trial(
        "Full batch",
        {"batch_size": "full"},
        "With batches of 16, an epoch makes 50 updates, and after 1500 epochs the loss is 0.085. "
        "The full batch makes one update in an epoch. Where does its loss end?",
        ("lower", "about there", "higher"),
        "Compare the numbers of updates. Has the loss stopped falling? Then press New run, set the "
        "learning rate to 0.3, and press Play: each update is now 30 times as large.",
    ),
    Trial(
        "Another seed",
        {"seed": "5"},
        "Batches of 16 again, but seed 5 in place of 42: other initial weights, other shuffles. "
        "Does this network come above 95 % on the test points?",
        ("yes", "no"),
        "Read below the map how much its folds bend towards each class. On one side there is "
        "hardly anything. Go back to epoch 1000 with the slider, press Plant a fold, and play on.",
    ),
    Trial(
        "Many seeds",
        {},
        "Twenty seeds, and all else is the same. How do the twenty losses come out?",
        ("all alike", "in two groups", "all different"),
        "If you had trained only one of them, what would you believe? Click on a dot to train its "
        "seed again.",
        work="seeds",
    ),
    Trial(
        "Another batch size",
        {"seed": "5", "epochs": "1600"},
        "Seed 5 is stuck at epoch 800. You will go back there and take another batch size. Which "
        "one will help?",
        ("a smaller one", "a larger one", "none"),
        "This is the run as it stays with batches of 16. Now go back to epoch 800 with the slider, "
        "set the batch size to 1, and play on: the run before stays in grey. Then Undo, and try "
        "256.",
    ),
    Trial(
        "Row by row",
        {"seed": "5", "batch_size": "1"},
        "Seed 5 from the start, but with an update for each row: 16 times as many. Does it come "
        "above 95 % on the test points?",
        ("yes", "no"),
        "The curves shake, because each update sees a single row. Then set the epochs to 300 and "
        "try 20 seeds.",
    ),
    Trial(
        "Few units",
        {"hidden_units": "3", "learning_rate": "0.1", "epochs": "500"},
        "The boundary can bend only where it crosses a fold. Are three hidden units enough to come "
        "above 95 %?",
        ("yes", "no"),
        "Count the bends. But this is one run: try 20 seeds. Do any learn the moons? And with ten "
        "units?",
    ),
    Trial(
        "Much noise",
        {"noise": "0.5"},
        "The moons now overlap. Which accuracy on the test points can even the best classifier "
        "reach, that knows how the points were drawn?",
        ("95 %", "90 %", "80 %"),
        "The green line is the best classifier on these test points: compare the dashed line. On "
        "the training points a network can come higher, because it has seen them.",
    ),
    Trial(
        "Large steps",
        {"learning_rate": "1", "batch_size": "1", "epochs": "100"},
        "A learning rate of 1 with batches of 1, in place of 0.01 and 16. Does the network still "
        "learn?",
        ("yes", "no"),
        "Point at the units. One whose map is white everywhere is dead: it is 0 for all points, "
        "and no gradient reaches it any more. Then try a learning rate of 1 with batches of 16.",
    ),
    Trial(
        "A spiral",
        {"dataset": "spiral", "noise": "0.05", "learning_rate": "0.1", "hidden_units": "6"},
        "Two arms turn around each other. Are six hidden units enough to come above 95 %?",
        ("yes", "no"),
        "Where should the boundary bend, but does not? One run proves nothing: try 20 seeds, and "
        "then 20 seeds with two layers, 6,6.",
    ),
)
