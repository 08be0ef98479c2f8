"""A label stands for the same data for ever."""
import json

import pytest

from common.errors import UserError
from scoring import labels


def test_a_label_is_remembered_once_and_for_all(tmp_path):
    out = str(tmp_path/'runs')
    assert not labels.known_data(out, 'photos', 'a') and not (tmp_path/'runs').exists()
    labels.remember_data(out, 'photos', 'a')
    labels.remember_data(out, 'signs', 'b')
    labels.remember_data(out, 'photos', 'a')
    assert labels.known_data(out, 'photos', 'a')
    assert json.loads((tmp_path/'runs'/'datasets.json').read_text()) == {'photos': 'a', 'signs': 'b'}


def test_other_data_under_a_known_label_are_refused_and_nothing_is_written(tmp_path):
    labels.remember_data(str(tmp_path), 'photos', 'a')
    before = (tmp_path/'datasets.json').read_bytes()
    for ask in (labels.known_data, labels.remember_data):
        with pytest.raises(UserError, match='--name'):
            ask(str(tmp_path), 'photos', 'b')
    assert (tmp_path/'datasets.json').read_bytes() == before


@pytest.mark.parametrize('text', ['{"photos": ', '[]', '{"photos": 1}', '\udcff'])
def test_a_damaged_file_is_told_in_one_line(tmp_path, text):
    (tmp_path/'datasets.json').write_bytes(text.encode('utf-8', 'surrogateescape'))
    with pytest.raises(UserError, match='damaged') as e:
        labels.known_data(str(tmp_path), 'photos', 'a')
    assert '\n' not in str(e.value)
