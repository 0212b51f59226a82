"""Deep learning on biosignals: the verbs that the book's chapters use."""

import warnings

# Pooch asks for notebook widgets when it is imported. Progress bars are plain text here: terminals and books can show them.
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "IProgress not found")
    import tqdm.auto  # noqa: F401


def predict(source, model, channels=None, sampling_rate=None, unit="mV"):
    """What a model to take away says of a recording, a file or an array: see `biosignals.portable.predict`."""
    from biosignals.deployment import predict

    return predict.predict(source, model, channels, sampling_rate, unit)
