"""Packages whose modules are loaded when they are first named, so that nobody waits for what is not used."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, str] = MappingProxyType({})


def attach(
    package: str, names: Mapping[str, str] = NOTHING
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package (PEP 562), which offer its modules and `names`.

    names: what the package offers of its modules > the module, as {"fit": "training.fit"}. The first raises
    AttributeError for any other name.
    """

    def load(name: str) -> Any:
        if name in names:
            return getattr(import_module(f"{package}.{names[name]}"), name)
        if name.startswith("_") or name not in modules():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return import_module(f"{package}.{name}")

    def modules() -> list[str]:
        return [module.name for module in iter_modules(sys.modules[package].__path__)]

    def offer() -> list[str]:
        return sorted([*names, *(name for name in modules() if not name.startswith("_"))])

    return load, offer
