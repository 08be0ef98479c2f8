"""Statistics over seeds."""
import math

CONFIDENCE = 0.95
FEWEST_INTERVAL = 3   # values: of two, half of Student's interval is six times their distance


def interval(values):
    """(mean, half width of the 95 % interval) of independent values by Student's t; of one value nan."""
    values = [float(v) for v in values]
    n, mean = len(values), math.fsum(values)/len(values) if values else math.nan
    if n < 2:
        return mean, math.nan
    from scipy import stats   # late: it takes a second to load
    deviation = math.sqrt(math.fsum((v - mean)**2 for v in values)/(n - 1))
    return mean, float(stats.t.ppf((1 + CONFIDENCE)/2, n - 1))*deviation/math.sqrt(n)


def paired(a, b):
    """a - b for each of their common seeds, in order. a, b: {seed: value}."""
    return [a[s] - b[s] for s in sorted(a.keys() & b.keys())]


def p_value(differences):
    """Of a mean of 0 by the paired t-test (two-sided), at least two values; all equal: 1 (all 0) or 0."""
    mean, half = interval(differences)
    if half == 0:
        return float(mean == 0)
    from scipy import stats
    return float(stats.ttest_1samp(differences, 0).pvalue)


def holm(ps):
    """p-values corrected for how many they are (Holm 1979), in their order.

    The smallest is taken times n, the next times n - 1 and so on; none falls below one before it.
    """
    corrected, last = [math.nan]*len(ps), 0.
    for rank, i in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        last = corrected[i] = max(last, min(1., (len(ps) - rank)*ps[i]))
    return corrected
