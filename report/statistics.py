"""Statistics over seeds."""
import math

CONFIDENCE = 0.95


# Statistics over seeds

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
    """Paired t-test of two methods over their common seeds: (mean of a - b, half width of its interval, p).

    a, b: {seed: value}. p is nan with fewer than two common seeds; equal differences: p = 1 (all 0) or 0.
    """
    differences = [a[s] - b[s] for s in sorted(set(a) & set(b))]
    mean, half = interval(differences)
    if len(differences) < 2:
        return mean, half, math.nan
    if half == 0:
        return mean, half, float(mean == 0)
    from scipy import stats
    t = mean/half*stats.t.ppf((1 + CONFIDENCE)/2, len(differences) - 1)
    return mean, half, float(2*stats.t.sf(abs(t), len(differences) - 1))
