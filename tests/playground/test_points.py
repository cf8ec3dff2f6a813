"""Points of one's own: how a file of them is read, split, and written."""

import numpy as np
import pytest

from playground.points import as_csv, read_points, split_points
from playground.run import Run
from playground.settings import FIRST
from tests.playground.asking import OWN_CSV, OWN_POINTS

FIVE = "0,0,0\n0.5,-0.25,1\n-3,1e-2,0\n10,-10,1\n1,1,0\n"
ROWS = [[0, 0, 0], [0.5, -0.25, 1], [-3, 0.01, 0], [10, -10, 1], [1, 1, 0]]


@pytest.mark.parametrize(
    "text",
    [
        FIVE,
        f"x1,x2,class\n{FIVE}",
        f'"x1","x2","class"\n{FIVE}',
        f"\ufeff{FIVE}",
        FIVE.replace("\n", "\r\n"),
        FIVE.replace("\n", "\n\n").rstrip(),
        FIVE.replace(",", " , "),
        FIVE.replace("0\n", "0.0\n"),
    ],
    ids=["plain", "header", "quoted", "mark", "windows", "blank", "spaces", "floats"],
)
def test_a_file_is_read_with_and_without_a_header(text):
    assert read_points(text).tolist() == ROWS


@pytest.mark.parametrize("line", ["1,2", "1,2,0,3", "1;2;0", "a,2,0", "1,2,3", "1,2,0.5", "1,,0"])
@pytest.mark.parametrize("header", ["", "x1,x2,class\n"])
def test_a_bad_line_is_told_by_its_number_and_what_was_expected(line, header):
    n = 3 if header else 2
    with pytest.raises(ValueError, match=f"line {n}: expected x1 and x2.*class.*got '{line}'"):
        read_points(f"{header}0,0,0\n{line}\n{FIVE}")


def test_a_first_line_that_is_neither_a_point_nor_a_header_is_told():
    with pytest.raises(ValueError, match=r"line 1: expected .*got '1;1;1'"):
        read_points(f"1;1;1\n{FIVE}")


@pytest.mark.parametrize("coordinate", ["10.1", "-11", "nan", "inf"])
def test_a_coordinate_far_away_is_told(coordinate):
    with pytest.raises(ValueError, match=r"line 6: .*from -10 to 10"):
        read_points(f"{FIVE}{coordinate},0,0")
    with pytest.raises(ValueError, match=r"line 6: .*from -10 to 10"):
        read_points(f"{FIVE}0,{coordinate},0")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x1,x2,class\n", "from 5 to 2000 points, not 0"),
        (400 * FIVE, None),
        (400 * FIVE + "0,0,0", "from 5 to 2000 points, not 2001"),
        (5 * "1,2,2\n", "two classes"),
    ],
)
def test_too_few_points_too_many_and_a_single_class_are_refused(text, told):
    if told is None:
        assert len(read_points(text)) == 2000
        return
    with pytest.raises(ValueError, match=told):
        read_points(text)


def test_a_fifth_is_for_testing_and_the_data_seed_draws_which():
    points = read_points(OWN_CSV)
    data = split_points(points, seed=3)
    assert (len(data.x_train), len(data.x_test)) == (32, 8)
    x = np.vstack([data.x_train, data.x_test])
    labels = np.vstack([data.y_train, data.y_test]).argmax(axis=1)
    again = np.column_stack([x, labels])
    assert sorted(again.tolist()) == sorted(points.tolist())
    assert not np.array_equal(data.x_test, split_points(points, seed=4).x_test)


def test_the_data_seed_of_a_run_draws_the_test_points():
    run = Run(FIRST | OWN_POINTS | {"data_seed": "3"})
    expected = split_points(read_points(OWN_CSV), seed=3)
    assert np.array_equal(run.data.x_test, expected.x_test)


def test_a_network_has_as_many_outputs_as_there_are_classes():
    assert Run(FIRST | OWN_POINTS).sizes == [2, 20, 3]
    assert Run(FIRST | {"dataset": "own", "points": FIVE}).sizes == [2, 20, 2]


def test_what_is_written_is_read_again_digit_for_digit():
    points = read_points("0.1,0.30000000000000004,2\n" + FIVE)
    text = as_csv(points)
    assert text.splitlines()[:2] == ["x1,x2,class", "0.1,0.30000000000000004,2"]
    assert np.array_equal(read_points(text), points)
