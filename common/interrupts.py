"""Ctrl-C and SIGTERM, heard between two steps."""
import contextlib
import os
import signal
import threading


@contextlib.contextmanager
def interruptible(listens=True):
    """Inside, Ctrl-C and SIGTERM only turn the yielded function true, so that work ends between two steps.

    A second one stops at once. listens=False: both pass by (workers but the chief: it stops, they follow).
    """
    asked = []

    def ask(number, frame):
        if not listens:
            return
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        os.write(2, b'\ninterrupted: this step is finished and saved first; once more stops at once\n')
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False   # only the main thread hears signals
        return
    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
