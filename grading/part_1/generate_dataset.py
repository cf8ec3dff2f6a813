"""Part I: the data. They are drawn around two means far apart, so that each point tells its class.

Whatever the function returns, in any order, it is taken apart into points and labels. What is wrong
with them can then be counted: the points of a class, their mean and their variance, the points that
are there twice, and the labels that belong to other points.
`measure` runs in the submission's process and returns arrays. `judge` makes a row of them.

The bounds below fail for right data with a probability of about 1e-7.
"""

import inspect
import re

import numpy as np

from grading.checks import judged, not_judged, wrong
from grading.process.calls import call, role_of
from grading.process.loading import within
from grading.process.raised import NotUnderstood, TooLong, described, row_of

NAME = "generate_dataset"
OTHER_NAMES = r"(generate|make|create|gen|get|sample)\w*(data|dataset|points|gaussians?)\w*"
MEANS = {1: np.array([500.0, 200.0]), -1: np.array([-500.0, 100.0])}
VARIANCE = 9.0
DEVIATION = 3.0
PER_CLASS = 100
SECONDS = 3  # that a call may take
N_TRAIN = 160
N_TEST = 40
# Of 100 numbers, the mean errs by 0.1 standard deviations, and the variance by a seventh of itself;
# of 400, the variance errs by a fourteenth.
MEAN_BOUND = 0.7  # standard deviations
VARIANCE_BOUNDS = 0.6, 1.5  # of all points together, as shares of what is right
CLOUD_BOUNDS = 0.3, 2.5  # along the longest and the shortest axis of a class


# In the submission's process


def find(module):
    """Return the function that makes the data, or None."""
    exact = getattr(module, NAME, None)
    if inspect.isfunction(exact):
        return exact
    for name, value in vars(module).items():
        is_own = inspect.isfunction(value) and value.__module__ == module.__name__
        if is_own and re.fullmatch(OTHER_NAMES, name.lower()) and takes_means(value):
            return value
    return None


def takes_means(function):
    """Return whether a function takes the means of both classes."""
    roles = {role_of(name) for name in inspect.signature(function).parameters}
    return {"mean_pos", "mean_neg"} <= roles or "means" in roles


def measure(module):
    """Return {"parts": the arrays that the function returns}, or {} if there is no function."""
    function = find(module)
    if function is None:
        return {}
    names = " ".join(inspect.signature(function).parameters)
    got = {"is_named": re.search("pos|neg", names, re.I) is not None}
    try:
        if not takes_means(function):
            raise NotUnderstood("generate_dataset takes no mean for each class")
        got["parts"] = draw(function)
    except (Exception, SystemExit, TooLong) as error:
        got["raised"] = described(error)
    return got


def draw(function):
    """Return the arrays of a call; the covariance may be wanted as a number or as a matrix."""
    matrix = VARIANCE * np.eye(2)
    try:
        return draw_with(function, VARIANCE, matrix)
    except (TypeError, ValueError, IndexError) as error:
        try:
            return draw_with(function, matrix, matrix)
        except Exception:
            raise error from None


def draw_with(function, covariance, matrix):
    np.random.seed(0)  # noqa: NPY002
    with within(SECONDS):
        made = call(
            function,
            mean_pos=MEANS[1].copy(),
            mean_neg=MEANS[-1].copy(),
            means=[MEANS[1].copy(), MEANS[-1].copy()],
            covariance=covariance,
            matrix=matrix,
            deviation=DEVIATION,
        )
    return parts_of(made)


def parts_of(value):
    """Return the arrays that a function returns, in tuples, in short lists or in a dict."""
    if value is None:
        raise NotImplementedError("generate_dataset returns None")
    if isinstance(value, dict):
        value = tuple(value.values())
    if not isinstance(value, tuple | list) or len(value) > 8:
        return [np.array(value, dtype=float)]
    parts = []
    for part in value:
        parts += parts_of(part)
    return parts


def has_ones(got):
    """Return whether points come with a third coordinate, a 1, which takes the bias in."""
    for part in got.get("parts", ()):
        if part.ndim == 2 and part.shape[1] == 3 and (part == 1).all(axis=0).any():
            return True
    return False


# Here


def judge(got):
    """Return the row, or None if there is no such function."""
    if not got:
        return None
    if "raised" in got:
        return row_of(NAME, got["raised"])
    points, labels = taken_apart(got["parts"])
    are_in_plane = all(part.shape[1] == 2 for part in points)
    if len(points) not in (1, 2) or len(points) != len(labels) or not are_in_plane:
        shapes = ", ".join(str(part.shape) for part in got["parts"])
        reason = f"points and labels are not told apart in what it returns, of shapes {shapes}"
        return not_judged(NAME, reason)
    n_points = [len(part) for part in points]
    n_labels = [len(part) for part in labels]
    if n_points != n_labels:
        return wrong(NAME, f"returns {n_points} points, but {n_labels} labels")
    notes = []
    faults = faults_of_sizes(points, labels, notes) + faults_of_repeated(points)
    faults += faults_of_labels(np.concatenate(points), np.concatenate(labels), got, notes)
    if not faults and is_split(labels) and len(np.unique(labels[1])) == 1:
        faults = ["all test points are of one class: shuffle before you split"]
    return judged(NAME, faults, *notes)


def taken_apart(parts):
    """Return the arrays of points, (N, 2), and of labels, (N,), each the longest first."""
    points = []
    labels = []
    for array in parts:
        if array.ndim == 2 and array.shape[0] in (1, 2, 3) and array.shape[1] > 3:
            array = array.T  # a column for each point
        if array.ndim == 1:
            array = array[:, None]
        if array.ndim != 2:
            continue  # a number
        is_label = np.isin(array, [-1, 0, 1]).all(axis=0)
        is_one = (array == 1).all(axis=0) & (array.shape[1] > 1)
        if not is_label.all():
            points.append(array[:, ~is_label])
        for column in array[:, is_label & ~is_one].T:
            labels.append(column)
    points.sort(key=len, reverse=True)
    labels.sort(key=len, reverse=True)
    return points, labels


def faults_of_sizes(points, labels, notes):
    """Return what is wrong with the number of points."""
    n_points = [len(part) for part in points]
    if not is_split(labels):
        notes.append("generate_dataset does not split the data")
        n_positive = (np.concatenate(labels) == 1).sum()
        if sum(n_points) != 2 * PER_CLASS or n_positive != PER_CLASS:
            return [f"there are {sum(n_points)} points, but should be {PER_CLASS} of each class"]
    elif n_points != [N_TRAIN, N_TEST]:
        found = " and ".join(map(str, n_points))
        should = f"{N_TRAIN} to train on and {N_TEST} to test with"
        return [f"there are {found} points, but should be {should}"]
    return []


def is_split(labels):
    """Return whether the parts are for training and test; two parts may be the two classes."""
    n_classes = [len(np.unique(part)) for part in labels]
    return len(labels) == 2 and n_classes != [1, 1]


def faults_of_repeated(points):
    """Return what is wrong if points are there twice."""
    train = points[0]
    test = points[-1]
    n_different = len(np.unique(np.concatenate(points), axis=0))
    if n_different == sum(len(part) for part in points):
        return []
    n_shared = (train[:, None] == test).all(axis=2).any(axis=0).sum()
    if len(points) == 2 and n_shared:
        return [f"train and test overlap: {n_shared} points of the test are to train on, too"]
    return ["some points are there twice"]


def faults_of_labels(points, labels, got, notes):
    """Return what is wrong with labels, or else with the means and variances."""
    classes = np.unique(labels)
    if not np.array_equal(classes, [-1, 1]):
        values = " and ".join(f"{value:g}" for value in classes[:3])
        return [f"the labels are {values}, but should be -1 and +1"]
    of_positive = np.linalg.norm(points - MEANS[1], axis=1)
    of_negative = np.linalg.norm(points - MEANS[-1], axis=1)
    belongs = np.where(of_positive < of_negative, 1, -1)
    if len(np.unique(belongs)) == 1:
        return ["both classes have the same mean"]
    is_swapped = np.array_equal(belongs, -labels)
    if is_swapped and got["is_named"]:
        return ["class +1 has the mean of class -1, and the reverse"]
    if is_swapped:
        notes.append("the first mean is that of class -1")
    elif not np.array_equal(belongs, labels):
        return ["points come with the labels of others: shuffle both in the same order"]
    return faults_of_clouds(points, belongs)


def faults_of_clouds(points, belongs):
    """Return what is wrong with the means and the covariances."""
    faults = []
    variances = []
    for label, mean in MEANS.items():
        cloud = points[belongs == label]
        center = cloud.mean(axis=0)
        covariance = np.cov(cloud.T, bias=True)
        if (np.abs(center - mean) > MEAN_BOUND * cloud.std(axis=0)).any():
            faults.append(f"the mean of a class is near {center.round(1)}, but should be {mean}")
        variances.append(np.linalg.eigvalsh(covariance))
    return faults + faults_of_variance(np.array(variances))


def faults_of_variance(variances):
    """Return what is wrong with the variances along the axes of the clouds."""
    share = variances.mean() / VARIANCE
    found = f"where it is {VARIANCE:g}, the points have {variances.mean():.3g}"
    if is_within(share / VARIANCE, VARIANCE_BOUNDS):
        return [f"takes the variance as the standard deviation: {found}"]
    if not is_within(share, VARIANCE_BOUNDS):
        return [f"the variance is not the one that is given: {found}"]
    if not is_within(variances / VARIANCE, CLOUD_BOUNDS):
        found = variances.round(1).tolist()
        return [f"the coordinates are correlated, or their variances differ: {found} along axes"]
    return []


def is_within(numbers, bounds):
    low, high = bounds
    return np.min(numbers) > low and np.max(numbers) < high
