"""Modules of a package, imported without the rest of it.

``import pyln.client.lightning`` first runs ``pyln/client/__init__.py``, which
imports all of pyln.client. That takes most of a send's import time, for modules
that it never uses.
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
    """Import modules of a package without the rest of it.

    The package itself is not in ``sys.modules`` afterwards. Whoever imports it
    later gets all of it, with these same modules, so no class exists twice.

    :param names: the modules; each may import only those before it.
    :returns: the modules, or None when this is not possible, since the package is
        already imported or has another layout. Then import it as usual.
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

    :raises ImportError: there is no such module, or another thread has just imported it.
    """
    full_name = f"{package}.{name}"
    parent = find_spec(package)
    spec = parent and PathFinder.find_spec(full_name, parent.submodule_search_locations or [])
    if not spec or not spec.loader:
        raise ModuleNotFoundError(full_name)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    # Only now, so that no other thread sees it incomplete.
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
        #: Any, since importlib.abc, which has the right type, imports a lot.
        self.loaders: dict[str, Any] = {}

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        # With a target, a module is reloaded; other finders do that.
        loader = self.loaders.get(name) if target is None else None
        return None if loader is None else ModuleSpec(name, loader)


_finder = _Finder()


def _hand_out(modules: Iterable[ModuleType]) -> None:
    """Give these modules to whoever imports them later, as parts of their package.

    If they stayed in ``sys.modules``, they would be found as well, but the package
    would lack their names: only an import sets these.
    """
    _finder.loaders.update({module.__name__: _Loader(module) for module in modules})
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
