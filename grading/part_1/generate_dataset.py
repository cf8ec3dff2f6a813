"""Part I: the data. They are drawn around two means far apart, so that each point tells its class.

Whatever the function returns, in any order, it is taken apart into points and labels. What is wrong
with them can then be counted: the points of a class, their mean and their variance, the points that
are there twice, and the labels that belong to other points.
`measure` runs in the submission's process and returns arrays. `judge` makes a row of them.

The bounds below fail for right data with a probability of about 1e-7.
"""

import inspect
import random
import re

import numpy as np

from grading.checks import judged, not_judged, wrong
from grading.process.calls import call, required, role_of
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
# of 400, the variance errs by a fourteenth, and the correlation of 100 points by 0.1.
MEAN_BOUND = 0.7  # standard deviations
VARIANCE_BOUNDS = 0.6, 1.5  # all four variances together, as shares of what is right
SINGLE_BOUNDS = 0.4, 2.2
CORRELATION_BOUND = 0.6


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
    first_error = None
    for covariance in VARIANCE, matrix:
        try:
            return draw_with(function, covariance, PER_CLASS)
        except (NotUnderstood, NotImplementedError):
            raise
        except Exception as error:
            first_error = first_error or error
    raise first_error


def draw_with(function, covariance, n):
    """Return the arrays of a call; if n points are wanted, and not n of a class, take twice n."""
    values = {
        "mean_pos": MEANS[1].copy(),
        "mean_neg": MEANS[-1].copy(),
        "means": [MEANS[1].copy(), MEANS[-1].copy()],
        "covariance": covariance,
        "matrix": VARIANCE * np.eye(2),
        "deviation": DEVIATION,
    }
    roles = {role_of(name) for name in required(function)}
    for role in roles & {"n_points", "number"}:
        values[role] = n
    if "seed" in roles:
        values["seed"] = 0
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    with within(SECONDS):
        parts = parts_of(call(function, **values))
    n_points = sum(len(part) for part in parts if np.ndim(part) == 2 and np.shape(part)[1] == 2)
    if n_points == n == PER_CLASS and roles & {"n_points", "number"}:
        return draw_with(function, covariance, 2 * n)
    return parts


def parts_of(value):
    """Return the arrays that a function returns, in tuples, in short lists or in a dict."""
    if value is None:
        raise NotImplementedError("generate_dataset returns None")
    if isinstance(value, dict):
        value = tuple(value.values())
    if not isinstance(value, tuple | list) or len(value) > 8:
        return [as_array(value)]
    parts = []
    for part in value:
        parts += parts_of(part)
    return parts


def as_array(value):
    """Return an array of numbers."""
    try:
        return np.array(value, dtype=float)
    except (TypeError, ValueError):
        raise NotUnderstood("generate_dataset returns something else than arrays") from None


def has_ones(got):
    """Return whether points come with a third coordinate, a 1, which takes the bias in."""
    for part in got.get("parts", ()):
        if np.ndim(part) == 2 and np.shape(part)[1] == 3 and (part == 1).all(axis=0).any():
            return True
    return False


def has_column_labels(got):
    """Return whether labels come as (N, 1), or None if nobody knows."""
    for part in got.get("parts", ()):
        if np.ndim(part) == 1:
            return False
        if np.ndim(part) == 2 and np.shape(part)[1] == 1:
            return True
    return None


# Here


def judge(got):
    """Return the row, or None if there is no such function."""
    if not got:
        return None
    if "raised" in got:
        return row_of(NAME, got["raised"])
    points, labels = taken_apart(got["parts"])
    if len(points) not in (1, 2) or len(points) != len(labels):
        shapes = ", ".join(str(np.shape(part)) for part in got["parts"])
        reason = f"points and labels are not told apart in what it returns, of shapes {shapes}"
        return not_judged(NAME, reason)
    notes = []
    n_points = [len(part) for part in points]
    n_labels = [len(part) for part in labels]
    if n_points != n_labels:
        return wrong(NAME, f"returns {told(n_points)} points, but {told(n_labels)} labels")
    if points[0].shape[1] != 2:
        words = f"points have {points[0].shape[1]} coordinates, but the means have 2"
        return wrong(NAME, words)
    faults = faults_of_data(points, labels, got["is_named"], notes)
    return judged(NAME, faults, *notes)


def faults_of_data(points, labels, is_named, notes):
    """Return what is wrong with points and labels; add notes on other conventions."""
    all_points = np.concatenate(points)
    all_labels = np.concatenate(labels)
    first = faults_of_sizes(points, labels) + faults_of_shared(points)
    faults = faults_of_labels(all_points, all_labels, is_named, notes)
    if faults:
        return first + faults
    if not is_split(labels):
        notes.append("generate_dataset does not split the data")
    elif len(np.unique(labels[1])) == 1:
        faults.append("all test points are of one class: shuffle before you split")
    n_positive = (all_labels == 1).sum()
    if n_positive != PER_CLASS and not first:
        found = told([n_positive, len(all_labels) - n_positive])
        faults.append(f"there are {found} points of the classes, but should be {PER_CLASS} of each")
    return first + faults + faults_of_clouds(all_points, class_by_place(all_points))


def taken_apart(parts):
    """Return the arrays of points, (N, 2), and of labels, (N,), each the longest first."""
    points = []
    labels = []
    for part in parts:
        array = np.asarray(part, dtype=float)
        if array.ndim == 2 and array.shape[0] in (1, 2, 3) and array.shape[1] > 3:
            array = array.T  # a column for each point
        if array.ndim == 1:
            array = array[:, None]
        if array.ndim != 2:
            continue  # a number
        is_label = np.isin(array, [-1, 0, 1]).all(axis=0)
        is_one = is_label & (array == 1).all(axis=0) & (array.shape[1] > 1)
        coordinates = array[:, ~is_label]
        if coordinates.shape[1]:
            points.append(coordinates)
        for column in array[:, is_label & ~is_one].T:
            labels.append(column)
    points.sort(key=len, reverse=True)
    labels.sort(key=len, reverse=True)
    return points, labels


def is_split(labels):
    """Return whether the parts are for training and test; two parts may be the two classes."""
    if len(labels) == 1:
        return False
    n_classes = [len(np.unique(part)) for part in labels]
    return n_classes != [1, 1]


def faults_of_sizes(points, labels):
    """Return what is wrong with the number of points."""
    n_points = [len(part) for part in points]
    if is_split(labels) and n_points != [N_TRAIN, N_TEST]:
        should = f"but should be {N_TRAIN} to train on and {N_TEST} to test with"
        return [f"there are {told(n_points)} points, {should}"]
    if sum(n_points) != 2 * PER_CLASS:
        return [f"there are {sum(n_points)} points, but should be {PER_CLASS} of each class"]
    return []


def told(numbers):
    return " and ".join(map(str, numbers))


def faults_of_shared(points):
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


def faults_of_labels(points, labels, is_named, notes):
    """Return what is wrong with labels, and with means that they do not belong to."""
    classes = np.unique(labels)
    if not np.array_equal(classes, [-1, 1]):
        values = " and ".join(f"{value:g}" for value in classes[:3])
        return [f"the labels are {values}, but should be -1 and +1"]
    if np.median(distances(points).min(axis=0)) > 300:
        return ["points lie elsewhere than around the means that are given"]
    belongs = class_by_place(points)
    if len(np.unique(belongs)) == 1:
        return ["both classes have the same mean"]
    if np.array_equal(belongs, labels):
        return []
    if not np.array_equal(belongs, -labels):
        return ["points come with the labels of others: shuffle both in the same order"]
    if is_named:
        return ["class +1 has the mean of class -1, and the reverse"]
    notes.append("the first mean is that of class -1")
    return []


def distances(points):
    """Return the distances of points from the means of class +1 and of class -1, (2, N)."""
    of_positive = np.linalg.norm(points - MEANS[1], axis=1)
    of_negative = np.linalg.norm(points - MEANS[-1], axis=1)
    return np.array([of_positive, of_negative])


def class_by_place(points):
    """Return the class whose mean is nearer, for each point."""
    of_positive, of_negative = distances(points)
    return np.where(of_positive < of_negative, 1, -1)


def faults_of_clouds(points, belongs):
    """Return what is wrong with the means and the covariances."""
    faults = []
    variances = []
    for label, mean in MEANS.items():
        cloud = points[belongs == label]
        center = cloud.mean(axis=0)
        deviation = cloud.std(axis=0, ddof=1)
        if (np.abs(center - mean) > MEAN_BOUND * deviation).any():
            faults.append(f"the mean of a class is near {center.round(1)}, but should be {mean}")
        if np.abs(np.corrcoef(cloud.T)[0, 1]) > CORRELATION_BOUND:
            faults.append(f"the coordinates of class {label:+} are correlated")
        variances += list(deviation**2)
    return faults + faults_of_variance(np.array(variances))


def faults_of_variance(variances):
    """Return what is wrong with the variances, one for each class and coordinate."""
    share = variances.mean() / VARIANCE
    found = f"where it is {VARIANCE:g}, the points have {variances.mean():.3g}"
    if is_within(share / VARIANCE, VARIANCE_BOUNDS):
        return [f"takes the variance as the standard deviation: {found}"]
    if is_within(share * DEVIATION, VARIANCE_BOUNDS):
        return [f"takes the standard deviation as the variance: {found}"]
    if not is_within(share, VARIANCE_BOUNDS):
        return [f"the variance is not the one that is given: {found}"]
    shares = variances / VARIANCE
    if not is_within(shares.min(), SINGLE_BOUNDS) or not is_within(shares.max(), SINGLE_BOUNDS):
        return [f"the variances of classes and coordinates differ: {variances.round(1)}"]
    return []


def is_within(number, bounds):
    low, high = bounds
    return low < number < high
