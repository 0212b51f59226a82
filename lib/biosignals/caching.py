"""Arrays that take long to compute: kept in a folder, and found again by all that they come from.

Nothing is kept until `keep_in` names a folder, as `workspace.open_chapter` does.
"""

import functools
import hashlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from types import ModuleType

import numpy as np

_folder: Path | None = None


def keep_in(folder: Path | None) -> None:
    """From now on, keep in `folder` what takes long, and look for it there; with None, nothing is kept."""
    global _folder
    _folder = folder


def array(sources: Callable[[], Iterable], compute: Callable[[], np.ndarray]) -> np.ndarray:
    """What `compute()` gives, or gave before for the same `sources()` in the same environment.

    sources: gives all that the array comes from, as `digest` takes it.
    """
    if _folder is None:
        return compute()
    place = _folder / f"{digest(sources())}.npy"
    if not place.is_file():
        computed = compute()
        place.parent.mkdir(parents=True, exist_ok=True)
        unfinished = place.with_suffix(f".{os.getpid()}.part.npy")
        np.save(unfinished, computed)
        os.replace(unfinished, place)
    return np.load(place, allow_pickle=False)


def result(function: Callable) -> Callable:
    """Decorator of a function of arrays and plain values: the array or table of numbers that it gives is kept.

    It comes from the arguments and from the code of the function's module and of those of the project that it imports.
    """

    @functools.wraps(function)
    def found_or_computed(*args, **options):
        def sources() -> Iterable:
            given = inspect.signature(function).bind(*args, **options).arguments
            return function.__name__, *code(sys.modules[function.__module__]), *(part for item in given.items() for part in item)

        def compute() -> np.ndarray:
            made = function(*args, **options)
            return made.to_records(index=False) if hasattr(made, "to_records") else made

        found = array(sources, compute)
        return found if found.dtype.names is None else _table(found)

    return found_or_computed


def digest(sources: Iterable) -> str:
    """20 hexadecimal digits that tell these sources, in this environment, from all others.

    Of a net, its structure, weights and code count; of a module, its code; of a path, what the file holds; of an array, its values; of
    anything else, its repr.
    """
    found = hashlib.blake2b(_environment(), digest_size=10)
    for source in sources:
        for part in _parts(source):
            found.update(part)
    return found.hexdigest()


def code(module: ModuleType) -> list[str]:
    """Source texts of a module of the project and of those of the project that it imports: what its functions come from."""
    found, left = {}, [module]
    while left:
        one = left.pop()
        if one.__name__.startswith("biosignals.") and one.__name__ not in found:
            found[one.__name__] = inspect.getsource(one)
            named = [value if isinstance(value, ModuleType) else sys.modules.get(getattr(value, "__module__", None))
                     for value in vars(one).values()]  # fmt: skip
            left += [other for other in named if other is not None]
    return [found[name] for name in sorted(found)]


@functools.cache
def _environment() -> bytes:
    """The versions of Python and of the packages that the project names."""
    names = {re.match(r"[\w.-]+", needed)[0] for needed in metadata.requires("biosignals")}
    return repr((sys.version, sorted((one.name, one.version) for one in metadata.distributions() if one.name in names))).encode()


def _parts(source) -> list:
    """Bytes that tell a source from others; what they are of comes first, so that none is taken for its neighbour."""
    if hasattr(source, "state_dict"):  # a net; torch itself is not needed, and takes seconds to load
        modules = sorted({type(module).__module__ for module in source.modules()})
        code = [inspect.getsource(sys.modules[name]) for name in modules if name.startswith("biosignals.")]
        weights = [value.detach().cpu().contiguous().numpy() for value in source.state_dict().values()]
        return [repr(("net", str(source), code)).encode(), *weights]
    if isinstance(source, np.ndarray):
        return [repr((source.shape, source.dtype)).encode(), np.ascontiguousarray(source)]
    if isinstance(source, Path):
        return [repr(("file", source.stat().st_size)).encode(), source.read_bytes()]
    return [repr(inspect.getsource(source) if isinstance(source, ModuleType) else source).encode() + b"\0"]


def _table(records: np.ndarray):
    from pandas import DataFrame  # not needed where only arrays are kept

    return DataFrame(records)
