"""Modules of a package, imported without the rest of it.

``import pyln.client.lightning`` runs ``pyln/client/__init__.py`` first, which
imports everything that pyln.client has: most of the time that a send spends on
imports, for modules that it never uses.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any


def load(package: str, *names: str) -> list[ModuleType] | None:
    """Import modules of a package, and nothing else of it.

    The package itself is not in ``sys.modules`` afterwards. Whoever imports it
    later gets all of it, with these very modules in it: no class exists twice.

    :param names: in the order in which they import each other.
    :returns: the modules, or None when it cannot be done: the package is
        imported already, or laid out in another way. Then import it as usual.
    """
    if package in sys.modules:
        return None
    loaded: dict[str, ModuleType] = {}
    with suppress(Exception):
        for name in names:
            loaded[name] = _module(package, name)
    whole = sys.modules.get(package)
    for name, module in loaded.items():
        if whole is None:
            del sys.modules[f"{package}.{name}"]
        else:
            # One of them, or another thread, has imported the package.
            setattr(whole, name, module)
    if whole is not None or len(loaded) < len(names):
        return None
    modules = list(loaded.values())
    _hand_out(modules)
    return modules


def _module(package: str, name: str) -> ModuleType:
    """Import one module; it stays in ``sys.modules``.

    :raises ImportError: there is no such module, or somebody else has just imported it.
    """
    full_name = f"{package}.{name}"
    parent = find_spec(package)
    spec = parent and PathFinder.find_spec(full_name, parent.submodule_search_locations or [])
    if not spec or not spec.loader:
        raise ModuleNotFoundError(full_name)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    # Only now, so that no other thread meets it half-made.
    if sys.modules.setdefault(full_name, module) is not module:
        raise ImportError(full_name)
    return module


class _Loader:
    """Loads a module that exists already."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, _spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _Finder:
    """Finds the modules that were imported before their package."""

    def __init__(self) -> None:
        #: Of type Any, since importlib.abc, which has the type, imports a lot.
        self.loaders: dict[str, Any] = {}

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        # A target is a module to reload, which is the business of other finders.
        loader = self.loaders.get(name) if target is None else None
        return None if loader is None else ModuleSpec(name, loader)


_finder = _Finder()


def _hand_out(modules: Iterable[ModuleType]) -> None:
    """Give these modules to whoever imports them later, as parts of their package.

    Left in ``sys.modules`` they would be found as well, but the package would
    lack the attributes of their names, which only an import sets.
    """
    _finder.loaders.update({module.__name__: _Loader(module) for module in modules})
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
