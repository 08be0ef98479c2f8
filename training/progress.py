"""Progress of long work: a bar on a terminal, a line an epoch elsewhere, nothing with --quiet."""
import sys
import time

from mydatasets import label


class Progress:
    """Losses, images/s and time left, in one of these forms. `with` gives show(now, losses, rate)."""

    def __init__(self, args, total, first):
        self.args, self.total, self.first = args, total, first
        self.epochs = args.epochs
        self.bar = None
        if not args.quiet and sys.stderr.isatty():
            from rich import progress
            self.bar = progress.Progress(
                progress.TextColumn('{task.description}'), progress.BarColumn(),
                progress.TaskProgressColumn(), progress.TextColumn('{task.fields[losses]}'),
                progress.TimeRemainingColumn())
            self.task = self.bar.add_task(label(args.dataset), total=total, completed=first, losses='')

    def __enter__(self):
        self.began = time.monotonic()
        if self.bar:
            self.bar.start()
        return self.show

    def __exit__(self, *_):
        if self.bar:
            self.bar.stop()

    def show(self, now, losses, rate):
        text = ' '.join(f'{k} {v:.4g}' for k, v in losses.items() if k not in ('epoch', 'seconds'))
        if self.bar:
            speed = f' {rate:,.0f} images/s' if rate else ''
            self.bar.update(self.task, completed=now, losses=text + speed)
        elif rate is None and not self.args.quiet:
            took = time.monotonic() - self.began
            steps = now - self.first
            speed, done = steps*self.args.batchsize/took, steps/(self.total - self.first)
            print(f'epoch {losses["epoch"]}/{self.epochs}: {text} | {speed:,.0f} images/s, '
                  f'{took/done - took:,.0f} s left', flush=True)
