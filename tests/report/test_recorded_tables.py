"""The tables on the pages are those of the recorded rows."""
import os
import shutil

import pytest

import toys
import reproduce
from common.errors import UserError
from report import formats, pages
from scoring import rowfile
from toys import text_of

ROOT = toys.ROOT


def test_fill_puts_tables_under_their_titles_and_nothing_else(tmp_path):
    page, tables = tmp_path/'page.md', tmp_path/'tables.md'
    tables.write_text('**One**\n\n| a |\n\nnote  \n\n\n**Two (b)**\n\n| c |\n')
    page.write_text('before\n<!-- table: Two (b) -->\nold\n<!-- end -->\nafter\n')
    formats.fill(str(page), str(tables))
    filled = 'before\n<!-- table: Two (b) -->\n**Two (b)**\n\n| c |\n<!-- end -->\nafter\n'
    assert page.read_text() == filled
    page.write_text(filled + '<!-- table: Three -->\n<!-- end -->\n')
    with pytest.raises(UserError, match="no table 'Three'"):
        formats.fill(str(page), str(tables))


needs_record = pytest.mark.skipif(not os.path.exists(os.path.join(ROOT, 'results', 'tables.md')),
                                  reason='nothing recorded yet')


@needs_record
def test_the_tables_on_the_pages_are_the_recorded_ones(tmp_path):
    known = formats.pages_with_tables(ROOT)
    assert len(known) >= 4
    for tables, names in known.items():
        pages_filled = ''
        for name in names:
            shutil.copy(name, tmp_path/'page.md')
            formats.fill(str(tmp_path/'page.md'), tables)
            assert (tmp_path/'page.md').read_text() == text_of(name), f'{name}: run make readme'
            pages_filled += text_of(name)
        for line in text_of(tables).splitlines():
            assert line in pages_filled, line
    assert '<!-- table: Summary -->' in text_of('README.md')


@needs_record
def test_the_recorded_tables_follow_from_the_recorded_rows(tmp_path):
    for name in ('accuracy.csv', 'scores.csv', 'masks.csv'):
        shutil.copy(os.path.join(ROOT, 'results', name), tmp_path)
    sets = dict.fromkeys(r['dataset'] for name in ('accuracy.csv', 'scores.csv')
                         for r in rowfile.read(str(tmp_path/name)))
    names = ['folder:../shared/signs' if s == 'signs' else s for s in sets]
    plans = [reproduce.Plan(reproduce.parse([n]), n, 0, not n.startswith('folder:')) for n in names]
    pages.write_tables(str(tmp_path), names, reproduce.steps_by_fingerprint(plans))
    assert (tmp_path/'tables.md').read_text() == text_of('results/tables.md')
