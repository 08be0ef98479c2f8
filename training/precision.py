"""What --precision auto means: a recorded table of networks and processors (benchmarks/README.md)."""
from common.quiet import tf

# networks by the beginning of their names: those that train faster in bfloat16 where the processor multiplies
# it (the small ones do), and one among them that does not. Where nothing was measured, float32
BFLOAT16 = 'MobileNet', 'EfficientNet', 'Xception', 'ResNet', 'InceptionV3'
FLOAT32 = ('MobileNetV3Small',)
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


def precision_of(network, processor):
    """The faster one by the table. network: keyword arguments of mymodels.classifier; processor: as above."""
    name = network.get('backbone') or ''
    if processor not in NATIVE or name.startswith(FLOAT32) or 'architecture' in network:
        return 'float32'
    return 'bfloat16' if not name or name.startswith(BFLOAT16) else 'float32'
