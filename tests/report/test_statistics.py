"""Statistics over seeds agree with scipy and with a hand calculation."""
import numpy as np
import pytest
from scipy import stats

from report import statistics


def test_interval_is_students():
    values = [0.91, 0.93, 0.96, 0.92, 0.9]
    mean, half = statistics.interval(values)
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert np.allclose([mean - half, mean + half], [low, high])
    mean, half = statistics.interval([0.4])
    assert mean == 0.4 and np.isnan(half)


def test_paired_uses_the_common_seeds_and_the_test_is_scipys():
    a, b = {0: 0.9, 1: 0.92, 2: 0.97, 7: 0.1}, {2: 0.93, 1: 0.91, 0: 0.85, 9: 1.}
    found = statistics.paired(a, b)
    x, y = [a[s] for s in (0, 1, 2)], [b[s] for s in (0, 1, 2)]
    assert found == pytest.approx(np.subtract(x, y))
    assert statistics.p_value(found) == pytest.approx(stats.ttest_rel(x, y).pvalue)
    assert statistics.paired({0: .5}, {1: .4}) == []


def test_differences_that_are_all_the_same_are_sure_or_none():
    assert statistics.p_value([0., 0., 0.]) == 1 and statistics.p_value([.25, .25, .25]) == 0


def test_holm_multiplies_by_what_is_left_and_never_falls():
    # smallest first: 0.005*4 = 0.02, 0.01*3 = 0.03, 0.03*2 = 0.06, 0.04*1 = 0.04 -> 0.06 as the one before
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.5, 0.6]) == [1., 1.]
    assert statistics.holm([0.02]) == [0.02] and statistics.holm([]) == []
    assert statistics.holm([0.01, 0.01]) == pytest.approx([0.02, 0.02])
