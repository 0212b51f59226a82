import pandas as pd
import pytest

from biosignals.reporting.wording import change, duration


def row(delta, low, high):
    return pd.Series({"delta": delta, "delta_low": low, "delta_high": high})


@pytest.mark.parametrize(
    ("delta", "low", "high", "said"),
    [
        (0.0041, 0.0012, 0.0073, "higher by .004 [.001 to .007]"),
        (-0.011, -0.020, -0.002, "lower by .011 [.002 to .020]"),
        (0.0021, -0.003, 0.0071, "not measurably different (+.002 [-.003 to .007])"),
        (-0.0021, -0.007, 0.003, "not measurably different (-.002 [-.007 to .003])"),
        (0.0, 0.0, 0.0, "not measurably different (+.000 [.000 to .000])"),
    ],
)
def test_a_difference_is_one_only_where_its_interval_says_so(delta, low, high, said):
    assert change(row(delta, low, high)) == said


def test_a_difference_with_the_digits_that_are_wanted():
    assert change(row(0.0123, 0.0101, 0.0149), digits=2) == "higher by .01 [.01 to .01]"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 s"), (89, "89 s"), (100, "2 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_a_time_in_words(seconds, said):
    assert duration(seconds) == said
