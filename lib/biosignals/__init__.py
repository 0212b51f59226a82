"""Deep learning on biosignals: the verbs that the book's chapters use."""

import warnings

# Pooch asks for notebook widgets when it is imported; progress bars are plain text here, for books too.
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "IProgress not found")
    import tqdm.auto  # noqa: F401


def predict(source, model, channels=None, sampling_rate=None, unit=None, record=None, rename=None):
    """What a model to take away predicts for a recording: see `biosignals.deployment.predict`."""
    from biosignals.deployment import predict

    return predict.predict(source, model, channels, sampling_rate, unit, record, rename)
