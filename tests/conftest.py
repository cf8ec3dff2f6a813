"""Which tests run, and in which order: first what a slip in the layers breaks."""

from importlib.util import find_spec

FIRST = ["test_gradients", "test_modules", "test_mlp", "test_perceptron", "test_training"]
WINGS_NEED = {
    "experiments": ["numba", "pandas", "joblib", "nbclient", "PIL"],
    "grading": ["pandas", "joblib"],
    "speed": ["numba", "pandas", "threadpoolctl"],
}

# With requirements.txt alone, the tests of the assignment and of the playground run.
collect_ignore = []
for wing, packages in WINGS_NEED.items():
    if any(find_spec(package) is None for package in packages):
        collect_ignore.append(wing)


def pytest_collection_modifyitems(items):
    """Put the assignment's tests before the others, and those of the wings last."""
    items.sort(key=place)


def place(item):
    """Return what the tests are sorted by: whether it is a wing's, then the place in FIRST."""
    is_of_a_wing = item.path.parent.name != "tests"
    place_in_first = len(FIRST)
    if item.path.stem in FIRST:
        place_in_first = FIRST.index(item.path.stem)
    return is_of_a_wing, place_in_first
