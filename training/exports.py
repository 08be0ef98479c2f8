"""Files of a network for other programs: written, and read back by each format's own reader."""
import contextlib
import io
import tempfile
import warnings

import mymodels
from common.crops import crop_largest
from common.quiet import silence, keras, tf
from keras import layers

WITH_CLASSES = 'classifier', 'attention'


def deployed(model, kind, logits=False):
    """The network on raw pixels, float32 (n, h, w, c) in 0..255 -> probabilities, logits, masks, numbers."""
    x = keras.Input(model.input_shape[1:], name='image')
    y = model(layers.Rescaling(1/255, name='from_0_to_1')(x))
    if kind in WITH_CLASSES and not logits:
        y = layers.Softmax(name='probabilities')(y)
    if kind == 'regressor':
        y = layers.Rescaling(model.task.deviation, model.task.mean, name='value')(y)
    return keras.Model(x, y, name=model.name + '_of_pixels')


def plain(model):
    """The network of Keras' own layers and operations alone, so that its file needs nothing but Keras."""
    def call(layer, *args, **kwargs):
        if isinstance(layer, mymodels.CropLargest):
            return crop_largest(*args[0], layer.tau)
        return layer(*args, **kwargs)
    if not any(isinstance(layer, mymodels.CropLargest) for layer in model.layers):
        return model
    found = keras.models.clone_model(model, call_function=call)
    found.set_weights(model.get_weights())
    return found


# Formats. write(model, path, float16), and read(path, threads) -> function of float32 images, by the format's
# own reader

def write_keras(model, path, float16=False):
    model.save(path)


def read_keras(path, threads=None):
    model = keras.models.load_model(path, compile=False, safe_mode=True)
    return lambda x: model(x, training=False).numpy()


def write_savedmodel(model, path, float16=False):
    with contextlib.redirect_stdout(io.StringIO()):
        model.export(path, format='tf_saved_model', verbose=False)


def read_savedmodel(path, threads=None):
    loaded = tf.saved_model.load(path)   # kept alive by the function: its signature does not own it
    return lambda x: next(iter(loaded.signatures['serving_default'](tf.constant(x)).values())).numpy()


def write_tflite(model, path, float16=False):
    with tempfile.TemporaryDirectory() as folder, silence():   # its complaints come as exceptions too
        write_savedmodel(model, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if float16:
            converter.optimizations, converter.target_spec.supported_types = [tf.lite.Optimize.DEFAULT], [
                tf.float16]
        data = converter.convert()
    with open(path, 'wb') as f:
        f.write(data)


def read_tflite(path, threads=None):
    with warnings.catch_warnings(), silence():
        warnings.simplefilter('ignore')   # of its move to a package of its own
        run = tf.lite.Interpreter(path, num_threads=threads)
    image, output = run.get_input_details()[0]['index'], run.get_output_details()[0]['index']
    shape = None

    def predict(x):
        nonlocal shape
        if x.shape != shape:
            run.resize_tensor_input(image, x.shape)
            with silence():
                run.allocate_tensors()
            shape = x.shape
        run.set_tensor(image, x)
        run.invoke()
        return run.get_tensor(output)
    return predict


def write_onnx(model, path, float16=False):
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), silence():
        warnings.simplefilter('ignore')
        signature = [keras.InputSpec(shape=model.input_shape, dtype='float32', name='image')]
        model.export(path, format='onnx', verbose=False, input_signature=signature)


def read_onnx(path, threads=None):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0   # 0: as many as there are cores
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


WRITE = {'keras': write_keras, 'savedmodel': write_savedmodel, 'tflite': write_tflite, 'onnx': write_onnx}
READ = {'keras': read_keras, 'savedmodel': read_savedmodel, 'tflite': read_tflite, 'onnx': read_onnx}
