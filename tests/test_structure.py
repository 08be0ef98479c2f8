"""The house: who may import whom, no circle, what stands at the top level, files of a readable length."""
import ast
import os
import re
import subprocess

import pytest

import toys

NOUNS = 'mybackgrounds', 'mydatagen', 'mydatasets', 'mymodels'
ROOMS = 'common', 'readers', 'training', 'scoring', 'report'
COMMANDS = ('train1', 'train2', 'train3', 'train_att', 'evaluate', 'evaluate_seg', 'reproduce', 'predict',
            'export', 'launch', 'look', 'audit', 'cutout')
# who may import what, beside itself; the rooms' docstrings repeat it
BELOW = {'common': (), 'readers': ('common',), 'nouns': ('common', 'readers'),
         'training': ('common', 'readers', 'nouns'), 'scoring': ('common', 'readers', 'nouns'),
         'report': ('common', 'readers', 'nouns', 'training', 'scoring'),
         'commands': ('common', 'readers', 'nouns', 'training', 'scoring', 'report')}
RUNS_COMMANDS = 'reproduce', 'audit'   # audit finds masks as phase 2 does
TOP = {*(f'{name}.py' for name in (*NOUNS, *COMMANDS)), *ROOMS, 'README.md', 'LICENSE', 'Makefile',
       'requirements.txt', 'requirements-dev.txt', 'pyproject.toml', '.gitignore', '.ci', 'tests', 'results',
       'weights', 'benchmarks', 'docs'}
MOST_LINES, MOST_ARGUMENTS, README_LINES = 300, 6, 220


def tracked():
    """Files that git knows, or, in an exported tree, all that lie there; relative to the root."""
    if os.path.isdir(os.path.join(toys.ROOT, '.git')) or os.path.isfile(os.path.join(toys.ROOT, '.git')):
        listed = subprocess.check_output(['git', 'ls-files'], cwd=toys.ROOT, text=True).splitlines()
        return [f for f in listed if os.path.exists(os.path.join(toys.ROOT, f))]
    return [os.path.relpath(os.path.join(folder, f), toys.ROOT)
            for folder, _, files in os.walk(toys.ROOT) for f in files]


def source(path):
    with open(os.path.join(toys.ROOT, path), encoding='utf-8') as f:
        return f.read()


def place(module):
    """The room, `nouns` or `commands` that a dotted module belongs to; None for other people's."""
    root = module.split('.')[0]
    if root in ROOMS:
        return root
    return 'nouns' if root in NOUNS else 'commands' if root in COMMANDS else None


def imports(text):
    """Dotted names of all modules of ours that a file imports, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            whole = node.module in ROOMS   # `from training import loop` imports training.loop
            found |= {f'{node.module}.{a.name}' if whole else node.module for a in node.names}
    return {m for m in found if place(m)}


def graph(files):
    """{module: modules of ours that it imports}. files: {path: text}."""
    return {path.removesuffix('.py').replace('/', '.'): imports(text) for path, text in files.items()}


def forbidden(modules):
    """Lines for imports that BELOW does not allow."""
    found = []
    for module, wanted in modules.items():
        mine = place(module)
        for other in sorted(wanted):
            theirs = place(other)
            allowed = theirs == mine and mine != 'commands' or theirs in BELOW[mine]
            if not allowed and not (theirs == 'commands' and module in RUNS_COMMANDS):
                found.append(f'{module} imports {other}')
    return found


def circle(modules):
    """Modules that import each other in a ring, or None."""
    done, path = set(), []

    def visit(module):
        if module in path:
            return path[path.index(module):]
        if module in done or module not in modules:
            return None
        path.append(module)
        for other in sorted(modules[module]):
            ring = visit(other)
            if ring:
                return ring
        done.add(path.pop())
        return None
    return next(filter(None, map(visit, modules)), None)


def strangers(files):
    """Files and folders at the top level that have no place there."""
    return sorted({f.split('/')[0] for f in files} - TOP)


@pytest.fixture(scope='module')
def code():
    return {f: source(f) for f in tracked()
            if f.endswith('.py') and place(f.removesuffix('.py').split('/')[0])}


def test_rooms_import_only_what_lies_below_them_and_nobody_imports_commands(code):
    assert forbidden(graph(code)) == []


def test_no_circle_of_imports_late_ones_included(code):
    assert circle(graph(code)) is None


def test_the_top_level_holds_what_it_is_to_hold():
    assert strangers(tracked()) == []


@pytest.mark.parametrize('path, text, wrong', [
    ('training/x.py', 'import report.tables', ['training.x imports report.tables']),
    ('mymodels.py', 'def f():\n    from training import loop', ['mymodels imports training.loop']),
    ('scoring/x.py', 'from training.steps import descend', ['scoring.x imports training.steps']),
    ('readers/x.py', 'import train1', ['readers.x imports train1']),
    ('predict.py', 'import evaluate', ['predict imports evaluate']),
    ('reproduce.py', 'import evaluate', []), ('report/x.py', 'from scoring import rowfile', [])])
def test_a_forbidden_import_is_found(path, text, wrong):
    assert forbidden(graph({path: text})) == wrong


def test_a_circle_is_found_even_through_a_late_import():
    ring = circle(graph({'training/a.py': 'from training import b', 'training/c.py': 'import training.a',
                         'training/b.py': 'def f():\n    from training.c import g'}))
    assert set(ring) == {'training.a', 'training.b', 'training.c'}


def test_a_stranger_at_the_top_level_is_found():
    files = ['train1.py', 'training/loop.py', 'myhelpers.py', 'notes.txt']
    assert strangers(files) == ['myhelpers.py', 'notes.txt']


@pytest.mark.parametrize('room', ROOMS)
def test_a_room_says_what_it_owns_and_what_it_may_import_and_nothing_else(room):
    tree = ast.parse(source(f'{room}/__init__.py'))
    assert len(tree.body) == 1
    text = ast.get_docstring(tree)
    assert len(text.splitlines()) in (2, 3)
    said = re.search(r'Imports (.*)\.$', text.replace('\n', ' '))[1].split(';')[0]
    words = {'common', 'readers', 'training', 'scoring', 'report'} & set(re.findall(r'\w+', said))
    if 'my*.py' in said:
        words.add('nouns')
    assert words == set(BELOW[room])


def test_files_and_lists_of_arguments_can_be_read_at_once(code):
    every = code | {f: source(f) for f in tracked() if f.startswith('tests/') and f.endswith('.py')}
    long = {f: n for f, n in ((f, len(text.splitlines())) for f, text in every.items()) if n > MOST_LINES}
    wide = [f'{f}: {node.name}' for f, text in code.items() for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef)
            and len([a for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                     if a.arg not in ('self', 'cls')]) > MOST_ARGUMENTS]
    assert (long, wide) == ({}, [])


def test_the_readme_is_for_five_minutes():
    assert len(source('README.md').splitlines()) <= README_LINES
