"""Rows: whole lines whoever else writes, nothing twice, nothing torn believed."""
import multiprocessing
import os

import pytest

from common.errors import UserError
from scoring import rowfile


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
        rowfile.append(path, row(seed, method=method))


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
    assert lines[0] == ','.join(rowfile.ACCURACY)
    assert len(lines) == 1 + 2*60 and len(set(lines)) == len(lines)   # two wrote the same rows: once
    assert sorted((r['method'], r['seed']) for r in rowfile.read(path)) == [
        (m, s) for m in ('baseline', 'best') for s in range(60)]


def test_rows_come_back_with_their_types_and_in_order(path):
    rows = [row(s, t) for s in (3, 1) for t in ('original', 'unseen-text', 'noise-0.05')]
    assert all(rowfile.append(path, r) for r in rows)
    assert rowfile.read(path) == rows
    assert rowfile.read(path + '.missing') == []


def test_a_second_row_of_the_same_key_is_not_appended(path):
    assert rowfile.append(path, row(correct=99))
    assert not rowfile.append(path, row(correct=12))
    assert rowfile.append(path, row(settings='other'))
    assert [r['correct'] for r in rowfile.read(path)] == [99, 99]


def test_of_equal_keys_the_last_row_counts(path):
    rowfile.append(path, row(correct=1))
    with open(path, 'a') as f:
        f.write('mnist,baseline,0,original,100,2,0.02,abcd1234\n')
    assert [r['correct'] for r in rowfile.read(path)] == [2]


@pytest.mark.parametrize('cut', [1, 5, 10, 20, 47])
def test_a_torn_last_line_is_ignored_and_the_next_row_is_whole(path, cut):
    """Also when only the end of the settings is missing, which looks like a row with other settings."""
    rowfile.append(path, row(0))
    rowfile.append(path, row(1))
    with open(path, 'r+b') as f:
        f.truncate(os.path.getsize(path) - cut)
    assert rowfile.read(path) == [row(0)]
    assert rowfile.append(path, row(2)) and rowfile.append(path, row(1))
    assert rowfile.read(path) == [row(0), row(2), row(1)]


def test_files_of_several_machines_one_after_the_other_are_a_file_of_all_their_rows(path, tmp_path):
    whole = str(tmp_path/'c')
    for name, seed in ('a', 0), ('a', 1), ('b', 1), ('b', 2):
        rowfile.append(str(tmp_path/name), row(seed))
    (tmp_path/'c').write_text(''.join((tmp_path/name).read_text() for name in 'ab'))
    assert rowfile.read(whole) == [row(0), row(1), row(2)]
    assert rowfile.append(whole, row(3)) and len(rowfile.read(whole)) == 4


def test_a_torn_header_is_written_anew(path):
    rowfile.append(path, row())
    for size in (0, 3, len(','.join(rowfile.ACCURACY))):
        with open(path, 'r+b') as f:
            f.truncate(size)
        assert rowfile.read(path) == []
        assert rowfile.append(path, row()) and rowfile.read(path) == [row()]


def test_malformed_lines_are_passed_over(path):
    rowfile.append(path, row())
    with open(path, 'ab') as f:
        f.write(b'\n,,,\nmnist,best,0,original,100,99,0.99\nmnist,best,x,original,100,99,0.99,a\n'
                b'mnist,best,0,original,100,101,0.99,a\nmnist,best,0,original,100,99,nan,a\n\xff\xfe\n'
                b'mnist,best,0,original,0,0,0.99,a\n"mnist,best,0,original,100,99,0.99,a\n'
                + b'9'*100_000 + b'\n')
    assert rowfile.read(path) == [row()]
    assert rowfile.append(path, row(1)) and rowfile.read(path) == [row(), row(1)]


def test_other_files_are_neither_read_nor_written(tmp_path):
    path = tmp_path/'notes.csv'
    path.write_text('something,else\n1,2\n')
    for use in (lambda: rowfile.read(path), lambda: rowfile.append(path, row())):
        with pytest.raises(UserError, match='header'):
            use()
    masks = str(tmp_path/'masks.csv')
    rowfile.append(masks, mask_row())
    with pytest.raises(UserError, match='other fields'):
        rowfile.append(masks, row())
    assert rowfile.read(masks) == [mask_row()]
    with pytest.raises(UserError, match='cannot'):
        rowfile.append(str(path/'below'/'a.csv'), row())


def test_rows_that_could_not_be_read_back_are_not_written(path):
    for bad in (row(method='two\nlines'), row(correct=101), {**row(), 'more': 1}, row(method='x'*3000),
                mask_row(iou=float('nan'))):
        with pytest.raises(ValueError):
            rowfile.append(path, bad)
    assert rowfile.append(path, row(method='a "name", with commas'))
    assert rowfile.read(path)[0]['method'] == 'a "name", with commas'


def test_done_finds_the_newest_row_that_agrees():
    rows = [row(0, correct=1), row(0, correct=2, settings='new'), row(1)]
    assert rowfile.done(rows, seed=0, test='original')['correct'] == 2
    assert rowfile.done(rows, seed=0, settings='abcd1234')['correct'] == 1
    assert rowfile.done(rows, seed=2) is None
