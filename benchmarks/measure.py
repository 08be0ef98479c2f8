"""What the benchmarks share: rates in turns, operations of a step, the machine's rate, a table."""
import statistics
import time

from rich.console import Console
from rich.table import Table

from common.quiet import tf

SECONDS = 1.5      # of one measurement


def counted(function, *args):
    """Floating-point operations of one call: tf.compat.v1.profiler on its graph."""
    graph = tf.function(function).get_concrete_function(*args).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(
        tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()).with_empty_output().build()
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops


def rate(call, images):
    """Images per second over about SECONDS, after a first call that compiles."""
    call()
    n, began = 0, time.perf_counter()
    while not n or time.perf_counter() - began < SECONDS:
        call()
        n += 1
    return n*images/(time.perf_counter() - began)


def matrix_rate(side=2048):
    """Operations per second of a float32 matrix product."""
    a = tf.random.stateless_normal((side, side), (0, 0))
    product = tf.function(lambda: tf.reduce_sum(a @ a))
    return rate(lambda: product().numpy(), 2*side**3)


def in_turns(calls, repeats):
    """({name: (images/s, spread)}, the matrix rate), medians. calls: {name: (call, images)}.

    In turns: whatever else the machine does, it does to all of them.
    """
    rates, limits = {name: [] for name in calls}, []
    for _ in range(repeats):
        limits.append(matrix_rate())
        for name, (call, images) in calls.items():
            rates[name].append(rate(call, images))
    middles = {name: statistics.median(values) for name, values in rates.items()}
    return {name: (middles[name], (max(values) - min(values))/middles[name])
            for name, values in rates.items()}, statistics.median(limits)


def call_of(function, *data):
    """() -> the results of a tf.function as numpy: the work is done when it returns."""
    return lambda: [v.numpy() for v in function(*data).values()]


def show(title, columns, rows):
    """A table. columns: those of numbers end in a space, and stand to the right."""
    table = Table(title=title)
    for column in columns:
        table.add_column(column.rstrip(), justify='right' if column.endswith(' ') else 'left')
    for row in rows:
        table.add_row(*row)
    Console(width=130).print(table)
