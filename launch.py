"""Starts a trainer as several workers on this machine, as Slurm or Kubernetes start it on many.

    python launch.py --workers 2 train3.py mnist saved/mnist-baseline-0 saved/mnist-unet-0 otsu adv

Every worker gets its TF_CONFIG and `--strategy multiworker`, and its lines are shown behind its number. When
one ends with an error the others are stopped; the exit code is that of the first. Ctrl-C lets worker 0 save.
"""
import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

SCRIPTS = 'train1.py', 'train2.py', 'train3.py', 'train_att.py'
MAX_WORKERS = 64      # on one machine
SAVE_SECONDS = 120    # that worker 0 gets for its checkpoint after Ctrl-C
STOP_SECONDS = 5      # that the others get before they are killed
LOOK_SECONDS = 0.1    # between two looks at the workers


def parse(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--workers', type=number, default=2, metavar='N', help='processes to start (default: 2)')
    p.add_argument('script', type=trainer, help=f'one of {", ".join(SCRIPTS)}')
    p.add_argument('words', nargs=argparse.REMAINDER, help='its arguments')

    def error(message):
        print(f'error: {message}; see --help', file=sys.stderr)
        raise SystemExit(2)
    p.error = error
    return p.parse_args(argv)


def number(text):
    if not text.isdecimal() or not 1 <= int(text) <= MAX_WORKERS:
        raise argparse.ArgumentTypeError(f'{text!r} is no whole number from 1 to {MAX_WORKERS}')
    return int(text)


def trainer(text):
    if os.path.basename(text) not in SCRIPTS:
        raise argparse.ArgumentTypeError(f'{text!r} does not train; give one of {", ".join(SCRIPTS)}')
    return text


def free_ports(n):
    """Ports of this machine that nobody listens to now."""
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(('localhost', 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def start(args):
    """The processes of all workers; worker 0 is the chief, which writes the files."""
    addresses = [f'localhost:{port}' for port in free_ports(args.workers)]
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.path.basename(args.script))
    workers = []
    for i in range(args.workers):
        config = {'cluster': {'worker': addresses}, 'task': {'type': 'worker', 'index': i}}
        workers.append(subprocess.Popen(
            [sys.executable, '-u', script, *args.words, '--strategy', 'multiworker'], text=True,
            env={**os.environ, 'TF_CONFIG': json.dumps(config)}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True))   # Ctrl-C is for us alone
    return workers


def show(number, source, target, muted):
    """Passes lines on behind the worker's number, unless it is muted."""
    for line in source:
        if number not in muted:
            print(f'[{number}] {line}', end='', file=target, flush=True)


def stop(workers):
    """Ends those that still run, first politely."""
    running = [w for w in workers if w.poll() is None]
    for w in running:
        w.terminate()
    until = time.monotonic() + STOP_SECONDS
    for w in running:
        try:
            w.wait(max(0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            w.kill()
            w.wait()


def watch(workers):
    """Exit code of the job: 0 when all ended well, else that of the first that did not."""
    while True:
        codes = [w.poll() for w in workers]
        for i, code in enumerate(codes):
            if code:
                how = f'signal {-code}' if code < 0 else f'exit code {code}'
                print(f'launch: worker {i} ended with {how}, so the others are stopped; mend the cause and '
                      'start again with --resume', file=sys.stderr, flush=True)
                return code if code > 0 else 128 - code
        if None not in codes:
            return 0
        time.sleep(LOOK_SECONDS)


def main(argv=None):
    args = parse(argv)
    workers, muted = start(args), set()
    pipes = [(i, *pair, muted) for i, w in enumerate(workers)
             for pair in ((w.stdout, sys.stdout), (w.stderr, sys.stderr))]
    readers = [threading.Thread(target=show, args=pipe, daemon=True) for pipe in pipes]
    for r in readers:
        r.start()

    def interrupt(*_):
        raise KeyboardInterrupt
    # Ctrl-C too: shells start what runs in the background deaf to it
    before = {s: signal.signal(s, interrupt) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        code = watch(workers)
    except KeyboardInterrupt:
        print('launch: interrupted; worker 0 saves', file=sys.stderr, flush=True)
        muted.update(range(1, args.workers))   # they will only complain that it has gone
        workers[0].send_signal(signal.SIGINT)
        try:
            workers[0].wait(SAVE_SECONDS)
        except subprocess.TimeoutExpired:
            print(f'launch: worker 0 did not end within {SAVE_SECONDS} s', file=sys.stderr, flush=True)
        code = 130
    finally:
        stop(workers)
        for s, handler in before.items():
            signal.signal(s, handler)
    for r in readers:
        r.join(STOP_SECONDS)
    return code


if __name__ == '__main__':
    sys.exit(main())
