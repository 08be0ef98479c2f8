"""What this machine computes with."""
from common.quiet import tf

NATIVE = 'avx512_bf16', 'amx_bf16'   # what processors call it when they multiply bfloat16


def processor():
    """'gpu', or which of NATIVE this machine's processor has, or None."""
    if tf.config.list_physical_devices('GPU'):
        return 'gpu'
    try:
        with open('/proc/cpuinfo') as f:
            flags = next((line for line in f if line.startswith('flags')), '').split()
    except OSError:
        return None
    return next((name for name in NATIVE if name in flags), None)
