"""The page of a reproduction: one file that asks for nothing, escapes everything, and stays small."""
import base64
import html.parser
import io
import os
import re

import numpy as np
import pytest
from made_rows import row, rows_of
from PIL import Image

import toys
from common.errors import UserError
from report import formats, markup, naming, pages
from scoring import rowfile
from scoring.unseen import FAMILIES

LOADS = 'src', 'href', 'srcset', 'data', 'action', 'poster', 'background', 'xlink:href', 'formaction'


class Page(html.parser.HTMLParser):
    """What a page refers to, its anchors, tags and texts."""
    def __init__(self, text):
        super().__init__()
        self.links, self.anchors, self.tags, self.texts = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in LOADS]
        self.anchors += [v for k, v in attrs if k == 'id']

    def handle_data(self, data):
        self.texts.append(data)


def recorded(out, rows):
    for r in rows:
        rowfile.append(str(out/'accuracy.csv'), r)


def drawn(out, name, size=(300, 200), noisy=False):
    (out/'figures').mkdir(exist_ok=True)
    shape = (*size[::-1], 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape) if noisy else np.full(shape, 200)
    Image.fromarray(pixels.astype(np.uint8)).save(out/'figures'/f'{name}.png')
    return (out/'figures'/f'{name}.png').read_bytes()


def written(out, datasets):
    path = pages.write_report(str(out), pages.write_tables(str(out), datasets))
    assert path == str(out/'report.html') and os.listdir(out).count('report.html') == 1
    with open(path, encoding='utf-8') as f:
        return f.read()


def test_the_page_refers_to_nothing_but_its_own_anchors_and_pictures(tmp_path):
    recorded(tmp_path, [r for d in ('mnist', 'digits') for r in rows_of('baseline', {0: .9}, dataset=d)])
    picture = drawn(tmp_path, 'mnist-teaser')
    drawn(tmp_path, 'method')
    drawn(tmp_path, 'kmnist-teaser')   # of a data set that was not asked for
    text = written(tmp_path, ['mnist', 'digits'])
    page = Page(text)
    pictures = [v for v in page.links if v.startswith('data:image/png;base64,')]
    anchors = [v for v in page.links if v.startswith('#')]
    assert len(pictures) == 2 and len(page.links) == len(pictures) + len(anchors)
    assert {a[1:] for a in anchors} <= set(page.anchors) and len(set(page.anchors)) == len(page.anchors)
    assert picture in [base64.b64decode(p.partition(',')[2]) for p in pictures]   # a small one as it is
    assert not {'script', 'link', 'iframe', 'object', 'base', 'form'} & set(page.tags)
    assert not re.search(r'url\(|@import|https?:|//[a-z]', re.sub('data:[^"]*', '', text))


def test_the_page_shows_the_tables_cell_by_cell(tmp_path):
    recorded(tmp_path, rows_of('baseline', {0: .9, 1: .92}) + rows_of('proposal', {0: .95, 1: .96}))
    sections = pages.write_tables(str(tmp_path), ['mnist'])
    with open(pages.write_report(str(tmp_path), sections), encoding='utf-8') as f:
        texts = Page(f.read()).texts
    for table in sections[0].tables:
        assert table.title in texts
        assert all(c in texts for r in (table.columns, *table.rows, table.notes) for c in r)
    assert naming.MEANINGS['proposal'] in texts
    assert 'Attention' not in [t for s in sections for t in s.rows]   # it has no row here


def test_whatever_rows_say_is_text(tmp_path):
    bad = '<script>alert("1")</script>&amp;\'"'
    recorded(tmp_path, rows_of('baseline', {0: .9}) + [row('baseline', 0, 'original', .5, settings=bad)])
    recorded(tmp_path, [row('baseline', 0, f'test-{bad}', .5, dataset='shoes')])
    page = Page(written(tmp_path, ['mnist', 'folder:shoes']))
    assert 'script' not in page.tags and bad in page.texts   # the name of a test
    table = formats.Table(bad, [bad], [[bad]], [bad])
    page = Page(markup.page(bad, markup.table(table), markup.figure('data:,', bad)))
    assert 'script' not in page.tags and page.texts.count(bad) == 6 and page.links == ['data:,']


def test_large_figures_are_made_smaller_until_there_is_room(tmp_path):
    sizes = (600, 60), (300, 30)   # of noise, which no PNG makes smaller
    paths = [str(tmp_path/'figures'/f'{i}.png') for i in range(2)]
    raw = [drawn(tmp_path, str(i), size, noisy=True) for i, size in enumerate(sizes)]

    def opened(most):
        uris = markup.pictures(paths, most)
        assert sum(map(len, uris)) <= most + 100
        return [base64.b64decode(v.partition(',')[2]) for v in uris]
    assert opened(300_000) == raw
    for most, widths in (100_000, [600, 300]), (50_000, [400, 300]):   # of 256 colours
        found = [Image.open(io.BytesIO(b)) for b in opened(most)]
        assert [im.size[0] for im in found] == widths and all(im.mode == 'P' for im in found)
        assert all(abs(im.size[0]/im.size[1] - 10) < 0.1 for im in found)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir(os.path.join(toys.ROOT, 'results', 'figures')), reason='no figures')
def test_the_page_of_the_recorded_results_is_below_five_megabytes(tmp_path):
    for name in ('accuracy.csv', 'scores.csv', 'masks.csv', 'figures'):
        os.symlink(os.path.join(toys.ROOT, 'results', name), tmp_path/name)
    text = written(tmp_path, ['mnist', 'fashionmnist', 'signs', 'mnist_angle', 'fashionmnist_angle'])
    figures = os.listdir(tmp_path/'figures')
    assert len([v for v in Page(text).links if v.startswith('data:')]) == len(figures) > 10
    assert len(text.encode()) < 5_000_000


def test_a_page_fits_a_narrow_window(tmp_path):
    recorded(tmp_path, rows_of('baseline', {0: .9}))
    text = written(tmp_path, ['mnist'])
    assert 'name="viewport"' in text and re.search(r'img \{[^}]*max-width: min\(100%', text)
    assert text.count('<div class="scroll"') == text.count('<table') == 1   # tables scroll in their own box
    assert re.search(r'\.scroll \{[^}]*overflow-x: auto', text)


def test_several_sets_begin_with_a_summary_that_pages_are_filled_with(tmp_path):
    unseen = [f'unseen-{f}' for f in FAMILIES]
    for dataset in ('mnist', 'digits'):
        recorded(tmp_path, rows_of('baseline', {0: .9}, [*naming.TESTS, *unseen], dataset=dataset))
    recorded(tmp_path, rows_of('baseline', {0: .9}, ['test'], dataset='shoes'))
    sections = pages.write_tables(str(tmp_path), ['mnist', 'digits', 'folder:shoes'])
    assert [s.title for s in sections] == ['Summary', 'MNIST', 'digits', 'shoes']
    assert [r[0] for r in sections[0].tables[0].rows] == ['MNIST', 'digits']
    for name in 'README.md', 'more.md':
        page = tmp_path/name
        page.write_text('a\n<!-- table: Summary -->\n<!-- end -->\nb\n')
        formats.fill(str(page), str(tmp_path/'tables.md'))
        assert '| digits | Baseline |' in page.read_text() and page.read_text().endswith('<!-- end -->\nb\n')
    page.write_text('<!-- table: summary -->\n<!-- end -->\n')
    with pytest.raises(UserError, match="no table 'summary'"):
        formats.fill(str(page), str(tmp_path/'tables.md'))
    # one set needs none: its own table says as much; nor do sets that have no row of it
    recorded(tmp_path, rows_of('textures', {0: .9}, dataset='kmnist'))
    found = [s.title for s in pages.write_tables(str(tmp_path), ['mnist', 'kmnist', 'folder:signs'])]
    assert found == ['MNIST', 'kmnist']
    assert [s.title for s in pages.write_tables(str(tmp_path), ['mnist'])] == ['MNIST']


def test_the_ablation_needs_the_row_that_it_is_told_against(tmp_path):
    recorded(tmp_path, rows_of('textures', {0: .9}) + rows_of('best-pool', {0: .9}))
    sections = pages.write_tables(str(tmp_path), ['mnist'])
    assert [t.title for s in sections for t in s.tables] == ['MNIST: accuracy by background']
    recorded(tmp_path, rows_of('best-short', {0: .9}))
    sections = pages.write_tables(str(tmp_path), ['mnist'])
    assert 'MNIST: what matters in Best' in [t.title for s in sections for t in s.tables]
