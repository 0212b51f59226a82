"""Deep learning on biosignals: the verbs that the book's chapters use, and the packages that hold the others.

All are loaded when they are first named.
"""

import warnings

from biosignals.lazy import attach

# Pooch asks for notebook widgets when it is imported; progress bars are plain text here, for books too.
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "IProgress not found")
    import tqdm.auto  # noqa: F401

VERBS = {
    "read": "data.readers",
    "load": "data.folder",
    "Task": "task",
    "Recipe": "training.recipe",
    "create": "models",
    "fit": "training.fit",
    "compare": "evaluation.scores",
    "predict": "deployment.predict",
}

__getattr__, __dir__ = attach(__name__, VERBS)
