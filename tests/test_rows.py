"""Rows: whole lines whoever else writes, nothing twice, nothing torn believed; statistics over seeds."""
import multiprocessing
import os

import numpy as np
import pytest
from scipy import stats

import myrows
from mycommon import UserError


def row(seed=0, test='original', correct=99, method='baseline', settings='abcd1234'):
    return {'dataset': 'mnist', 'method': method, 'seed': seed, 'test': test, 'n': 100, 'correct': correct,
            'accuracy': correct/100, 'settings': settings}


def mask_row(**changed):
    return {'dataset': 'mnist', 'method': 'unet-otsu', 'seed': 0, 'n': 10, 'iou': 0.5, 'dice': 0.6,
            'area': 0.2, 'true_area': 0.25, 'settings': 'x'} | changed


@pytest.fixture
def path(tmp_path):
    return str(tmp_path/'new'/'accuracy.csv')


def writer(path, barrier, method):
    barrier.wait()
    for seed in range(60):
        myrows.append(path, row(seed, method=method))


def test_two_processes_appending_at_once_leave_one_header_and_whole_rows(path):
    fork = multiprocessing.get_context('fork')
    barrier = fork.Barrier(3)
    processes = [fork.Process(target=writer, args=(path, barrier, m)) for m in ('baseline', 'best', 'best')]
    for p in processes:
        p.start()
    for p in processes:
        p.join(60)
    with open(path) as f:
        lines = f.read().splitlines()
    assert lines[0] == ','.join(myrows.ACCURACY)
    assert len(lines) == 1 + 2*60 and len(set(lines)) == len(lines)   # two wrote the same rows: once
    assert sorted((r['method'], r['seed']) for r in myrows.read(path)) == [
        (m, s) for m in ('baseline', 'best') for s in range(60)]


def test_rows_come_back_with_their_types_and_in_order(path):
    rows = [row(s, t) for s in (3, 1) for t in ('original', 'unseen-text', 'noise-0.05')]
    assert all(myrows.append(path, r) for r in rows)
    assert myrows.read(path) == rows
    assert myrows.read(path + '.missing') == []


def test_a_second_row_of_the_same_key_is_not_appended(path):
    assert myrows.append(path, row(correct=99))
    assert not myrows.append(path, row(correct=12))
    assert myrows.append(path, row(settings='other'))
    assert [r['correct'] for r in myrows.read(path)] == [99, 99]


def test_of_equal_keys_the_last_row_counts(path):
    myrows.append(path, row(correct=1))
    with open(path, 'a') as f:
        f.write('mnist,baseline,0,original,100,2,0.02,abcd1234\n')
    assert [r['correct'] for r in myrows.read(path)] == [2]


@pytest.mark.parametrize('cut', [1, 5, 10, 20, 47])
def test_a_torn_last_line_is_ignored_and_the_next_row_is_whole(path, cut):
    """Also when only the end of the settings is missing, which looks like a row with other settings."""
    myrows.append(path, row(0))
    myrows.append(path, row(1))
    with open(path, 'r+b') as f:
        f.truncate(os.path.getsize(path) - cut)
    assert myrows.read(path) == [row(0)]
    assert myrows.append(path, row(2)) and myrows.append(path, row(1))
    assert myrows.read(path) == [row(0), row(2), row(1)]


def test_files_of_several_machines_one_after_the_other_are_a_file_of_all_their_rows(path, tmp_path):
    whole = str(tmp_path/'c')
    for name, seed in ('a', 0), ('a', 1), ('b', 1), ('b', 2):
        myrows.append(str(tmp_path/name), row(seed))
    (tmp_path/'c').write_text(''.join((tmp_path/name).read_text() for name in 'ab'))
    assert myrows.read(whole) == [row(0), row(1), row(2)]
    assert myrows.append(whole, row(3)) and len(myrows.read(whole)) == 4


def test_a_torn_header_is_written_anew(path):
    myrows.append(path, row())
    for size in (0, 3, len(','.join(myrows.ACCURACY))):
        with open(path, 'r+b') as f:
            f.truncate(size)
        assert myrows.read(path) == []
        assert myrows.append(path, row()) and myrows.read(path) == [row()]


def test_malformed_lines_are_passed_over(path):
    myrows.append(path, row())
    with open(path, 'ab') as f:
        f.write(b'\n,,,\nmnist,best,0,original,100,99,0.99\nmnist,best,x,original,100,99,0.99,a\n'
                b'mnist,best,0,original,100,101,0.99,a\nmnist,best,0,original,100,99,nan,a\n\xff\xfe\n'
                b'mnist,best,0,original,0,0,0.99,a\n"mnist,best,0,original,100,99,0.99,a\n'
                + b'9'*100_000 + b'\n')
    assert myrows.read(path) == [row()]
    assert myrows.append(path, row(1)) and myrows.read(path) == [row(), row(1)]


def test_other_files_are_neither_read_nor_written(tmp_path):
    path = tmp_path/'notes.csv'
    path.write_text('something,else\n1,2\n')
    for use in (lambda: myrows.read(path), lambda: myrows.append(path, row())):
        with pytest.raises(UserError, match='header'):
            use()
    masks = str(tmp_path/'masks.csv')
    myrows.append(masks, mask_row())
    with pytest.raises(UserError, match='other fields'):
        myrows.append(masks, row())
    assert myrows.read(masks) == [mask_row()]
    with pytest.raises(UserError, match='cannot'):
        myrows.append(str(path/'below'/'a.csv'), row())


def test_rows_that_could_not_be_read_back_are_not_written(path):
    for bad in (row(method='two\nlines'), row(correct=101), {**row(), 'more': 1}, row(method='x'*3000),
                mask_row(iou=float('nan'))):
        with pytest.raises(ValueError):
            myrows.append(path, bad)
    assert myrows.append(path, row(method='a "name", with commas'))
    assert myrows.read(path)[0]['method'] == 'a "name", with commas'


def test_done_finds_the_newest_row_that_agrees():
    rows = [row(0, correct=1), row(0, correct=2, settings='new'), row(1)]
    assert myrows.done(rows, seed=0, test='original')['correct'] == 2
    assert myrows.done(rows, seed=0, settings='abcd1234')['correct'] == 1
    assert myrows.done(rows, seed=2) is None


def test_interval_is_students():
    values = [0.91, 0.93, 0.96, 0.92, 0.9]
    mean, half = myrows.interval(values)
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    assert np.allclose([mean - half, mean + half], [low, high])
    mean, half = myrows.interval([0.4])
    assert mean == 0.4 and np.isnan(half)


def test_paired_uses_the_common_seeds_and_equals_scipy():
    a, b = {0: 0.9, 1: 0.92, 2: 0.97, 7: 0.1}, {2: 0.93, 1: 0.91, 0: 0.85, 9: 1.}
    difference, half, p = myrows.paired(a, b)
    x, y = [a[s] for s in (0, 1, 2)], [b[s] for s in (0, 1, 2)]
    assert np.isclose(difference, np.mean(x) - np.mean(y))
    assert np.isclose(p, stats.ttest_rel(x, y).pvalue)
    assert np.isclose(half, np.ptp(stats.ttest_rel(x, y).confidence_interval())/2)
    assert myrows.paired({0: .5, 1: .5}, {0: .5, 1: .5}) == (0, 0, 1)
    assert np.isnan(myrows.paired({0: .5}, {0: .4})[2])
