"""Which tests run, and in which order: those of the layers come first."""

from importlib.util import find_spec

FIRST = ["test_gradients", "test_modules", "test_mlp", "test_perceptron", "test_training"]
PACKAGES_FOR = {  # the tests in a folder
    "experiments": ["numba", "pandas", "joblib", "nbclient"],
    "grading": ["pandas", "joblib"],
    "speed": ["numba", "pandas", "threadpoolctl"],
}

# With requirements.txt alone, the tests of the assignment and of the playground run.
collect_ignore = []
for folder, packages in PACKAGES_FOR.items():
    if any(find_spec(package) is None for package in packages):
        collect_ignore.append(folder)


def pytest_collection_modifyitems(items):
    """Put the tests of the layers first, then those of the assignment, then those in folders."""
    items.sort(key=place)


def place(item):
    """Return what the tests are sorted by: is it in a folder of its own, and its place in FIRST."""
    is_in_a_folder = item.path.parent.name != "tests"  # False comes before True
    place_in_first = len(FIRST)
    if item.path.stem in FIRST:
        place_in_first = FIRST.index(item.path.stem)
    return is_in_a_folder, place_in_first
