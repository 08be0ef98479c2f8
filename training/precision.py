"""What --precision auto means: a recorded table of networks and processors (benchmarks/README.md)."""
from common.hardware import NATIVE

# networks by the beginning of their names: those that train faster in bfloat16 where the processor multiplies
# it (the small ones do), and one among them that does not. Where nothing was measured, float32
BFLOAT16 = 'MobileNet', 'EfficientNet', 'Xception', 'ResNet', 'InceptionV3'
FLOAT32 = ('MobileNetV3Small',)


def precision_of(network, processor):
    """The faster one by the table. network: keyword arguments of mymodels.classifier; processor: that of
    hardware."""
    name = network.get('backbone') or ''
    if processor not in NATIVE or name.startswith(FLOAT32) or 'architecture' in network:
        return 'float32'
    return 'bfloat16' if not name or name.startswith(BFLOAT16) else 'float32'
