"""Runs trainers in a process with several logical CPUs: python cpus.py N train1 ... -- train2 ..."""
import itertools
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from common.quiet import tf  # noqa: E402
import train1  # noqa: E402
import train2  # noqa: E402
import train3  # noqa: E402
import train_att  # noqa: E402

MAINS = {'train1': train1.main, 'train2': train2.main, 'train3': train3.main, 'train_att': train_att.main}


def main(n, *words):
    cpu = tf.config.list_physical_devices('CPU')[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()]*int(n))
    runs = [list(run) for split, run in itertools.groupby(words, lambda w: w == '--') if not split]
    return max(MAINS[script](argv) for script, *argv in runs)


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
