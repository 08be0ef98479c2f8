"""Before the first step: precision, strategy, data, optimizer, augmentation."""
import mydatasets
import mymodels
from common.errors import UserError
from common.quiet import keras, tf
from mydatagen import augmenter, to_float
from training.checkpoints import kept_precision
from training.devices import chief, strategy_of

# Machine

def has_bfloat16():
    """Does the processor multiply bfloat16 natively (AVX-512 BF16 or AMX)? Measured to pay in benchmarks/."""
    try:
        with open('/proc/cpuinfo') as f:
            flags = next((line for line in f if line.startswith('flags')), '').split()
    except OSError:
        return False
    return 'avx512_bf16' in flags or 'amx_bf16' in flags


def start(args):
    """Sets precision and determinism for this run; returns the distribution strategy. Idempotent."""
    if args.deterministic and args.precision not in ('auto', 'float32'):
        raise UserError(f'--deterministic means float32; leave out --precision {args.precision}')
    if args.precision == 'auto':
        args.precision = kept_precision(args)
    if args.precision == 'auto':
        gpu = bool(tf.config.list_physical_devices('GPU'))
        fast = has_bfloat16() and not gpu and not args.deterministic
        args.precision = 'bfloat16' if fast else 'float32'
    if args.deterministic:
        tf.config.experimental.enable_op_determinism()
    if args.strategy == 'multiworker' and not args.quiet:
        print('waiting for the other workers of TF_CONFIG', flush=True)
    strategy = strategy_of(args.strategy)
    args.quiet |= not chief(strategy)
    keras.utils.clear_session(free_memory=False)   # first: it forgets the policy too
    keras.config.set_dtype_policy(('' if args.precision == 'float32' else 'mixed_') + args.precision)
    keras.utils.set_random_seed(args.seed)   # initial weights; everything else random goes through a Key
    return strategy


def load_data(args):
    """The data set of the arguments; `auto` of flip and fill settled."""
    backgrounds = getattr(args, 'backgrounds', None)   # of phase 3
    data = mydatasets.load(args.dataset, args.data_dir, args.size, args.limit, fit=args.fit,
                           skip_damaged=args.skip_damaged, backgrounds=backgrounds)
    args.flip = {'auto': 'yes' if data.flip else 'no'}.get(args.flip, args.flip)
    args.fill_outside = {'auto': 'constant' if data.monochrome else 'nearest'}.get(args.fill_outside,
                                                                                   args.fill_outside)
    if args.steps_per_epoch == 0:
        args.steps_per_epoch = max(1, len(data.train)//args.batchsize)
    return data


def network_options(args, shape):
    """Keyword arguments of mymodels.classifier; the rate follows the network where none was given."""
    backbone = args.backbone or ('VGG19' if shape[0] >= mymodels.BIG else None)
    args.lr = args.lr or (mymodels.BACKBONE_RATE if backbone else mymodels.SMALL_RATE)
    if backbone:
        return {'backbone': backbone, 'dense': [args.dense]*2 if args.dense else None}
    return {'width': args.width, 'dense': args.dense}


def adam(args, variables, rate=None):
    """Adam on the variables, its rate falling to 0 along a half cosine unless --schedule constant."""
    rate = rate or args.lr
    if args.schedule == 'cosine':
        rate = keras.optimizers.schedules.CosineDecay(rate, args.epochs*args.steps_per_epoch)
    optimizer = keras.optimizers.Adam(rate)
    if args.precision == 'float16':
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(variables)
    return optimizer


def augmentation(args):
    """The `augmenter` of the arguments: the end of training shows the images as they are."""
    until = round((1 - args.settle)*args.epochs*args.steps_per_epoch)
    return augmenter(args.flip == 'yes', args.fill_outside, until)


def augmented(augment):
    """prepare(batch, key) of the phases that need the augmented image alone."""
    def prepare(batch, key):
        return {'x': augment(to_float(batch['x']), None, key)[0], 'y': batch['y']}
    return prepare
