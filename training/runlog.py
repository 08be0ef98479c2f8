"""OUT/runs.jsonl: what was run for the rows in OUT, when, with what, and which weights came of it."""
import datetime
import json
import os
import resource

import mydatasets
from common.hardware import processor
from training import weightfiles

FILE = 'runs.jsonl'


def add(out, entry):
    """One line: the entry, the memory until now, on what kind of processor, versions and date."""
    os.makedirs(out, exist_ok=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss   # KiB
    entry = {**entry, 'peak_gib': round(peak/2**20, 2), 'processor': processor(),
             'versions': weightfiles.versions(),
             'date': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')}
    with open(os.path.join(out, FILE), 'a') as f:
        f.write(json.dumps(entry) + '\n')


def phase_entry(plan, name, about):
    """How a line tells the weights of a phase. about: their sidecar."""
    return {'phase': name, 'dataset': plan.label, 'seed': plan.seed, 'settings': about.get('settings'),
            'sha256': about.get('sha256')}


def add_phase(plan, name, about, command):
    """The line of a phase that has ended. Its seconds are those of all its runs, where some were stopped."""
    add(plan.args.out, {**phase_entry(plan, name, about), 'seconds': about['seconds'], 'command': command})


def lists(out, entry):
    """Is there a line of these very weights? entry: of `phase_entry`. Lines from before their digest stood
    there tell by the other fields."""
    for line in _lines(out):
        line['dataset'] = mydatasets.label(str(line.get('dataset')))   # older lines have the path
        line.setdefault('sha256', entry['sha256'])
        if all(line.get(k) == v for k, v in entry.items()):
            return True
    return False


def _lines(out):
    """Those that can be read: a killed run leaves a torn one."""
    try:
        with open(os.path.join(out, FILE), encoding='utf-8') as f:
            text = f.read()
    except OSError:
        return
    for line in text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found
