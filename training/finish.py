"""After the last step: weights, sidecar, history, and what to run next."""
import json
import shlex
import shutil

from common.files import whole_file
from common.quiet import tf
from readers import reading
from training import weightfiles
from training.checkpoints import folder_of
from training.devices import chief, meet


def finish(model, kind, args, data, *about, **more):
    """What `write` does, by the chief alone; the other workers wait until its files are there."""
    if chief(tf.distribute.get_strategy()):
        write(model, kind, args, data, *about, **more)
    meet(tf.distribute.get_strategy())


def write(model, kind, args, data, settings, history, method, parents=None, network=None, say=(), **more):
    """Writes weights, sidecar and history, removes the checkpoints, and says what to run next."""
    with whole_file(args.output + '.history.json') as temporary, open(temporary, 'w') as f:
        json.dump(history, f)
    arguments = {k: v for k, v in vars(args).items() if not callable(v)}
    path = weightfiles.save(
        model, args.output, kind=kind, dataset=args.dataset, method=method, shape=list(data.shape),
        classes=list(data.classes), network={k: v for k, v in (network or {}).items() if v is not None},
        arguments=arguments, seed=args.seed, settings=settings, trained_from=parents or {},
        validation={k: v for k, v in history[-1].items() if k.startswith('val_')},
        seconds=history[-1]['seconds'], **more)
    shutil.rmtree(folder_of(args.output), ignore_errors=True)
    print(f'weights: {path}')
    if say:
        print('next: python ' + shlex.join([*say, *reading.same_images(args)]))
