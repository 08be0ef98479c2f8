"""HTML as a tree whose texts the standard library escapes: tables, pictures in the page, the page itself."""
import base64
import io
import re
from xml.etree import ElementTree

from PIL import Image

PICTURE_BYTES = 4_400_000    # of all pictures of a page together, in base64
WIDTHS = None, 2400, 1600, 1200, 900, 600, 400, 250   # pixels; None: the files as they are
STYLE = '''
:root { color-scheme: light; }
body { margin: 0 auto; padding: 1rem; max-width: 92rem; color: #1d2430; background: #fff;
       font: 1rem/1.5 system-ui, "Segoe UI", Roboto, Arial, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.25; }
h2 { margin-top: 3rem; padding-bottom: .2rem; border-bottom: 2px solid #1d2430; font-size: 1.35rem; }
h3 { margin: 2rem 0 .5rem; font-size: 1.05rem; }
a { color: #1f4e9c; }
nav > ul { padding-left: 1.2rem; }
dl { display: grid; grid-template-columns: minmax(6rem, 1fr) 2.5fr; gap: .3rem 1rem; }
dt { font-weight: 600; }
dd { margin: 0; }
.scroll { overflow-x: auto; border: 1px solid #d5dae1; border-radius: 4px; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap; vertical-align: top; }
.text { text-align: left; }
th:first-child, td:first-child { position: sticky; left: 0; min-width: 8rem; text-align: left;
                                 white-space: normal; background: #fff; }
thead th, thead th:first-child { background: #eef1f5; vertical-align: bottom; }
tbody tr:nth-child(even) td { background: #f8f9fb; }
.notes { margin: .5rem 0 0; padding: 0; list-style: none; font-size: .8rem; line-height: 1.4;
         color: #4a5463; }
figure { margin: 1.5rem 0; }
img { display: block; max-width: min(100%, 64rem); height: auto; }
figcaption { margin-top: .3rem; font-size: .85rem; color: #4a5463; }
'''


def element(tag, *content, **attributes):
    """An element around texts and other elements, in order. attributes: class_ for class."""
    made, last = ElementTree.Element(tag, {k.rstrip('_'): v for k, v in attributes.items()}), None
    for part in content:
        if not isinstance(part, str):
            made.append(part)
            last = part
        elif last is None:
            made.text = (made.text or '') + part
        else:
            last.tail = (last.tail or '') + part
    return made


def page(title, *content):
    """A whole page as text. It asks nothing of the network: the style is in it, and so is what it shows."""
    head = element('head', ElementTree.Element('meta', charset='utf-8'),
                   element('meta', name='viewport', content='width=device-width, initial-scale=1'),
                   element('title', title), element('style', STYLE))
    root = element('html', head, element('body', element('h1', title), *content), lang='en')
    return '<!DOCTYPE html>\n' + ElementTree.tostring(root, encoding='unicode', method='html') + '\n'


def table(content):
    """The columns, rows and notes of a formats.Table; a wide one scrolls inside its own box."""
    kinds = ['number' if any(re.match(r'[-+]?\d', c) for c in cells) else 'text'
             for cells in zip(*content.rows)]
    head = element('tr', *(element('th', c, class_=k) for c, k in zip(content.columns, kinds)))
    rows = [element('tr', *(element('td', c, class_=k) for c, k in zip(row, kinds))) for row in content.rows]
    box = element('div', element('table', element('thead', head), element('tbody', *rows)), class_='scroll',
                  tabindex='0')   # so that it scrolls by keys too
    return element('div', box, element('ul', *(element('li', n) for n in content.notes), class_='notes'))


def contents(entries):
    """A list of links to anchors of the page. entries: [(anchor, text, entries below it)]."""
    items = [element('li', element('a', text, href='#' + anchor), *([contents(below)] if below else []))
             for anchor, text, below in entries]
    return element('ul', *items)


def definitions(terms):
    """A list of {term: what it is}."""
    return element('dl', *(part for term, text in terms.items()
                           for part in (element('dt', term), element('dd', text))))


# Pictures

def figure(uri, caption):
    return element('figure', element('img', src=uri, alt=caption), element('figcaption', caption))


def pictures(paths, most=PICTURE_BYTES):
    """data: URIs of PNG files: as they are if there is room for all, else with fewer colours and pixels."""
    for width in WIDTHS:
        found = [base64.b64encode(_png(path, width)).decode() for path in paths]
        if sum(map(len, found)) <= most:
            break
    return ['data:image/png;base64,' + text for text in found]


def _png(path, width):
    """The bytes of a PNG file, or of its copy of 256 colours that is no wider than `width` pixels."""
    if width is None:
        with open(path, 'rb') as f:
            return f.read()
    out = io.BytesIO()
    with Image.open(path) as im:
        small = im.convert('RGB')
    small.thumbnail((width, small.height))
    small.quantize(256).save(out, format='PNG', optimize=True)
    return out.getvalue()
