"""Command lines: argument types, and mistakes told in one line with the nearest right name."""
import argparse
import difflib
import math
import re
import sys


def whole(low, high=999_999_999):
    """argparse type: a whole number from `low` to `high`."""
    def integer(text):
        if not re.fullmatch(r'[+-]?[0-9]{1,9}', text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f'{text!r} is no whole number from {low} to {high}')
        return int(text)
    return integer


def number(low, high, above=False, below=False):
    """argparse type: a number from low to high, low itself left out with `above`, high with `below`."""
    def real(text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (low < value if above else low <= value) or not (value < high if below else value <= high):
            raise argparse.ArgumentTypeError(f'{text!r} is no number {"above" if above else "from"} {low:g} '
                                             f'{"and below" if below else "up to"} {high:g}')
        return value
    return real


positive = number(0, 1e6, above=True)
share = number(0, 1)
part = number(0, 1, above=True, below=True)   # of an area: neither nothing nor everything


def _nearest(p, message):
    """What to do about argparse's message: the nearest right name, if there is one."""
    wrong = re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message, re.DOTALL)
    option = re.search(r'unrecognized arguments:.*?(--[\w-]+)', message)
    word = wrong or option
    known = re.findall(r'[\w.-]+', wrong[2]) if wrong else list(p._option_string_actions)
    close = difflib.get_close_matches(word[1], known, 1) if word else []
    return f'did you mean {close[0]}?' if close else 'see --help'


def parse(p, argv=None):
    """Parsed arguments; mistakes leave with exit code 2 and one line."""
    def error(message):
        print(f'error: {" ".join(message.split())}; {_nearest(p, message)}', file=sys.stderr)
        raise SystemExit(2)
    p.error = error
    return p.parse_args(argv)
