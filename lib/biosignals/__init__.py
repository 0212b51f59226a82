"""Deep learning on biosignals: the verbs that the book's chapters use."""

import warnings

# Pooch asks for notebook widgets when it is imported. Progress bars are plain text here: terminals and books can show them.
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "IProgress not found")
    import tqdm.auto  # noqa: F401
