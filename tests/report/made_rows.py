"""Rows made up for tests of tables, and a way to find a line of a table again."""
from report import selection
from report.naming import TESTS


def row(method, seed, test, accuracy, settings='a', dataset='mnist'):
    return {'dataset': dataset, 'method': method, 'seed': seed, 'test': test, 'n': 1000,
            'correct': round(1000*accuracy), 'accuracy': accuracy, 'settings': settings}


def rows_of(method, values, tests=TESTS, **more):
    """values: {seed: {test: accuracy} or one accuracy for all tests}."""
    return [row(method, s, t, v[t] if isinstance(v, dict) else v, **more)
            for s, v in values.items() for t in tests]


def line(table, name):
    return dict(zip(table.columns, next(r for r in table.rows if r[0] == name)))


def results_of(rows, dataset='mnist', steps=None):
    return selection.select(rows, dataset, steps)
