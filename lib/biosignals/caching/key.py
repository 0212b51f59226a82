"""Keys: everything that makes a result as one short text, the code that it runs included."""

from __future__ import annotations

import dis
import functools
import hashlib
import importlib
import importlib.metadata
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .files import release

BLOCK = 256  # rows of a large array that are hashed at a time
SIMPLE = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))
OBJECT_METHODS = {"__repr__", "__eq__", "__hash__", "__replace__"}  # of a dataclass: made from its fields


class Rows(NamedTuple):
    """Rows of a large array, hashed block by block: they are never in memory together."""

    array: np.ndarray
    rows: np.ndarray


class Local(NamedTuple):
    """A part that counts on this machine only, such as code and precision."""

    value: Any


@dataclass(frozen=True)
class Key:
    """What a result is known by.

    exact: digest of all values and code, and of the versions of the packages used. portable: digest of what
    is the same on every machine: no code of the project, and of floating-point arrays only `numbers`, some of
    their values, which other processors compute to the last digits. Empty where nothing is exported.
    """

    exact: str
    portable: str = ""
    numbers: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def of(cls, *parts: Any, portable: bool = False) -> Key:
        """The key of what `parts` make. TypeError, naming it, for a part that cannot be told from others."""
        exact = _Digest(portable=False).add(parts)
        if not portable:
            return cls(exact.text())
        everywhere = _Digest(portable=True).add(parts)
        return cls(exact.text(), everywhere.text(), tuple(everywhere.numbers))


class _Digest:
    """A hash that is fed with values, and with the code that they lead to."""

    def __init__(self, portable: bool):
        self.hash = hashlib.blake2b(digest_size=10)
        self.portable = portable
        self.numbers: list[tuple[float, ...]] = []
        self.seen: dict[int, int] = {}  # address of a function or class > when it came first

    def text(self) -> str:
        return self.hash.hexdigest()

    def add(self, x: Any) -> _Digest:
        x = x.item() if isinstance(x, np.generic) and x.dtype.kind not in "mM" else x
        if type(x) in SIMPLE:
            self._token(type(x).__name__, repr(x))
        elif isinstance(x, Local):
            _ = self.portable or self.add(x.value)
        elif isinstance(x, Key):
            self._token("key", x.portable if self.portable else x.exact)
            self.numbers += x.numbers if self.portable else ()
        elif isinstance(x, Rows):
            for start in range(0, len(x.rows), BLOCK):
                self.add(x.array[x.rows[start : start + BLOCK]])
                release(x.array)
        elif isinstance(x, types.ModuleType):
            self._token("module", x.__name__.rpartition(".")[2])
        elif isinstance(x, type):
            self._once(x, self._add_class)
        elif hasattr(x, "__array__"):
            self._add_array(x)
        elif isinstance(x, dict | types.MappingProxyType):
            self._add_all("dict", [part for item in x.items() for part in item])
        elif isinstance(x, set | frozenset):
            self._token("set", *sorted(_Digest(self.portable).add(part).text() for part in x))
        elif isinstance(x, list | tuple):
            self._add_all("list" if type(x) in (list, tuple) else type(x).__name__, x)
        elif isinstance(x, Path):
            self._token("file", hashlib.blake2b(x.read_bytes()).hexdigest())
        elif isinstance(x, types.FunctionType):
            self._once(x, self._add_function)
        elif isinstance(x, types.MethodType):
            self._add_all("method", (x.__func__, x.__self__))
        elif isinstance(x, functools.partial):
            self._add_all("partial", (x.func, x.args, x.keywords))
        elif isinstance(x, property | functools.cached_property | staticmethod | classmethod):
            self.add(next(getattr(x, name) for name in ("fget", "func", "__func__") if hasattr(x, name)))
        elif hasattr(x, "__wrapped__"):
            self.add(x.__wrapped__)
        elif hasattr(x, "named_modules"):
            self._add_net(x)
        elif hasattr(x, "get_params"):
            self._add_all("estimator", (type(x), x.get_params(deep=False)))
        elif _package(type(x).__module__):
            self._add_by_text(x)
        else:
            self._add_all("instance", (type(x), _settings(x)))
        return self

    def _token(self, *words: str) -> None:
        self.hash.update(_bytes(*words))

    def _add_all(self, kind: str, parts: Any) -> None:
        self._token(kind, str(len(parts)))
        for part in parts:
            self.add(part)

    def _once(self, x: Any, add: Callable[[Any], None]) -> None:
        first = id(x) not in self.seen
        self._token("code", str(self.seen.setdefault(id(x), len(self.seen))))
        if first:
            add(x)

    def _add_array(self, x: Any) -> None:
        self.add([str(name) for name in getattr(x, "columns", ())])
        array = np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)
        self._token("array", str(array.shape), array.dtype.str)
        if array.dtype == object:
            self._add_all("objects", array.ravel().tolist())
        elif self.portable and array.dtype.kind == "f" and not np.array_equal(array, np.rint(array)):
            values = np.nan_to_num(array.ravel())
            places = np.random.default_rng(0).integers(len(values), size=min(len(values), 16))
            self.numbers.append((float(values.mean(dtype=float)), *map(float, values[places])))
        elif array.size:
            self.hash.update(np.ascontiguousarray(array).view(np.uint8))

    def _add_function(self, function: types.FunctionType) -> None:
        if self._is_foreign(function) or getattr(function, "makes_no_difference", False):
            return
        self.add((function.__defaults__, function.__kwdefaults__))
        enclosed = [cell.cell_contents for cell in function.__closure__ or ()]
        if self.portable and _is_library(function):
            self.add(enclosed)
        else:
            names = function.__globals__ | dict(zip(function.__code__.co_freevars, enclosed, strict=True))
            self._add_code(function.__code__, names)

    def _add_code(self, code: types.CodeType, names: dict[str, Any]) -> None:
        """Instructions and what they name; docstrings, comments, formatting and file names are not among
        them.
        """
        last = None  # what the instruction before this named: attributes of modules are followed
        for operation, named, token in _instructions(code):
            found = None
            if isinstance(named, types.CodeType):
                self._add_code(named, names)
            elif operation == "LOAD_CONST":
                self.add(named)
            else:
                self.hash.update(token)
            if operation in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLOSURE"):
                found = names.get(named)
            elif operation == "IMPORT_NAME":
                found = self._add_import(named)
            elif isinstance(last, types.ModuleType) and isinstance(named, str):
                found = getattr(last, named, None)
            if found is not None:
                self.add(found)
            last = found

    def _add_import(self, name: str) -> types.ModuleType | None:
        """A module that a function imports when it runs, whether or not another has imported it already.

        What is used of one of the project's counts, of any other name and version.
        """
        if name.partition(".")[0] == "biosignals":
            return importlib.import_module(name)
        self._token("version", "" if self.portable else _version(name.partition(".")[0]))
        return None

    def _add_class(self, kind: type) -> None:
        if self._is_foreign(kind) or (self.portable and _is_library(kind)):
            return
        self.add(kind.__bases__)
        for name, value in sorted(vars(kind).items()):
            data = not name.startswith("__") and not isinstance(value, types.MemberDescriptorType)
            if (data and name != "_abc_impl") or (
                callable(value) and name not in OBJECT_METHODS and not isinstance(value, type)
            ):
                self.add((name, value))

    def _is_foreign(self, x: Any) -> bool:
        """Adds the name of a function or class; of one of an installed package the version says the rest."""
        package = _package(x.__module__)
        self._token(x.__qualname__, "" if self.portable or package is None else package)
        return package is not None

    def _add_net(self, net: Any) -> None:
        """Structure, settings and weights of a net."""
        from torch.nn import Module  # imported already, or there would be no net

        usual = set(vars(Module()))
        for name, module in net.named_modules():
            own = {key: value for key, value in vars(module).items() if key not in usual}
            if _package(type(module).__module__):
                own = {
                    key: value
                    for key, value in own.items()
                    if key[0] != "_" and type(value) in (*SIMPLE, tuple)
                }
            self.add((name, type(module), own, getattr(module, "code", None)))
        self.add(dict(net.state_dict()))

    def _add_by_text(self, x: Any) -> None:
        """Anything of an installed package that no other rule knows, such as a dtype."""
        text = getattr(x, "__qualname__", None) or repr(x)
        if " at 0x" in text:
            raise TypeError(f"{text} cannot be part of a cache key: it is known by its address only")
        self._token(type(x).__qualname__, text)


def _settings(x: Any) -> dict[str, Any]:
    """The attributes of an object, of a dataclass those that differ from their defaults: a field that is
    added leaves the keys of what was made without it.
    """
    settings = dict(vars(x))
    for field in fields(x) if is_dataclass(x) else ():
        value, default = settings.get(field.name), field.default
        if type(value) is type(default) and isinstance(value, SIMPLE) and value == default:
            del settings[field.name]
    return settings


def _bytes(*words: str) -> bytes:
    return b"".join(f"{len(word)}:{word}".encode() for word in words)


@functools.lru_cache(4096)  # the same functions make many keys
def _instructions(code: types.CodeType) -> list[tuple[str, Any, bytes]]:
    """Each instruction's operation, what it names, and both as they are hashed."""
    steps = dis.get_instructions(code)
    return [(step.opname, step.argval, _bytes(step.opname, repr(step.argval))) for step in steps]


def _is_library(x: Any) -> bool:
    return (x.__module__ or "").startswith("biosignals.")


@functools.cache
def _version(package: str) -> str:
    """The installed version of a package; empty for one of Python's own, or distributed by another name."""
    try:
        return importlib.metadata.version(package)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ""


@functools.cache
def _package(module: str | None) -> str | None:
    """Name and version of the installed package that a module belongs to; None for the project's and a
    reader's own code.
    """
    top = (module or "builtins").partition(".")[0]
    if top in ("biosignals", "__main__"):
        return None
    if top in sys.stdlib_module_names:
        return "python"
    package = sys.modules.get(top)
    installed = {"site-packages", "dist-packages"} & set(Path(getattr(package, "__file__", None) or "").parts)
    return f"{top} {getattr(package, '__version__', '').partition('+')[0]}" if installed else None
