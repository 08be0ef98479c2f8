"""Files and folders written whole or not at all, locks between processes, paths on one line."""
import contextlib
import fcntl
import json
import os
import shutil
import tempfile

from common.errors import UserError


@contextlib.contextmanager
def whole_file(path):
    """A temporary path beside `path`, renamed to it when the block ends well: no run leaves half a file."""
    folder, name = os.path.split(os.path.abspath(path))
    try:
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix='.', suffix='-' + name, dir=folder)
    except OSError as e:
        raise UserError(f'cannot write {path}: {e.strerror}; choose another --output') from e
    os.close(handle)
    try:
        yield temporary
        with open(temporary, 'rb') as f:
            os.fsync(f.fileno())
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would lock out the user's colleagues
        os.replace(temporary, path)
    except OSError as e:
        raise UserError(f'cannot write {path}: {e.strerror or e}; make room or choose another '
                        '--output') from e
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def write_json(path, value):
    with whole_file(path) as temporary, open(temporary, 'w') as f:
        json.dump(value, f, indent=1)
        f.write('\n')


def printable(path):
    """The path on one line, whatever bytes are in it (str, bytes or PathLike -> str)."""
    return ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in os.fsdecode(path))


# Written whole or not at all

@contextlib.contextmanager
def whole_folder(path):
    """A temporary folder beside `path`, renamed to it when the block ends well; what stood there goes."""
    parent, name = os.path.split(os.path.abspath(path))
    try:
        os.makedirs(parent, exist_ok=True)
        temporary = tempfile.mkdtemp(prefix='.', suffix='-' + name, dir=parent)
        os.chmod(temporary, 0o755)
        try:
            new, old = os.path.join(temporary, 'new'), os.path.join(temporary, 'old')
            yield new
            if os.path.lexists(path):
                os.rename(path, old)
            os.rename(new, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as e:
        raise UserError(f'cannot write {printable(path)}: {e.strerror or e}; choose another --output') from e


@contextlib.contextmanager
def alone(path):
    """One process at a time: shards that share a folder would train the same parent twice."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        lock = open(path + '.lock', 'w')   # noqa: SIM115 (closed below)
    except OSError as e:
        raise UserError(f'cannot write {path}: {e.strerror}; choose another --out') from e
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
