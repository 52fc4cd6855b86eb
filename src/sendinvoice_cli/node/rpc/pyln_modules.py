"""Modules of pyln.client without the rest of it, which would take most of a send's import time.

With its path, this module is a package that has the modules of pyln.client, under names of its
own. Whoever imports pyln.client elsewhere gets other ones.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

_spec = find_spec("pyln.client")
__path__ = list(_spec.submodule_search_locations or []) if _spec else []


def load(name: str, content: str) -> ModuleType:
    """Import a module of pyln.client.

    :param name: its name in there.
    :param content: a class that it defines. If it does not, because this version has another
        layout, all of pyln.client is imported as usual, to find the module that does.
    """
    json_default = json.JSONEncoder.default
    try:
        try:
            module = import_module(f"{__name__}.{name}")
            if hasattr(module, content):
                return module
        except ImportError:
            pass
        return sys.modules[getattr(import_module("pyln.client"), content).__module__]
    finally:
        # pyln.client replaces this for the whole process; nothing here needs it.
        json.JSONEncoder.default = json_default  # type: ignore[method-assign]
