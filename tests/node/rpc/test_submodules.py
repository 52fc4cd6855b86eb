from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sendinvoice_cli.node.rpc.submodules import load

_PARENT = "submodules_of"
_PACKAGE = f"{_PARENT}.package"
_WHOLE = {
    "__init__.py": "from .one import One\nfrom .two import Two\n",
    "one.py": "class One: pass\n",
    "two.py": "from .one import One\nclass Two(One): pass\n",
}

Write = Callable[[Mapping[str, str]], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes the files of a package inside a namespace package."""

    def write(files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / _PARENT / "package" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr("sendinvoice_cli.node.rpc.submodules._finder.loaders", {})
    yield write
    for name in [name for name in sys.modules if name.startswith(_PARENT)]:
        del sys.modules[name]


def _import() -> Any:
    return importlib.import_module(_PACKAGE)


def test_nothing_else_is_imported(write: Write) -> None:
    write({**_WHOLE, "__init__.py": "raise RuntimeError\n"})
    found = load(_PACKAGE, "one")
    assert found is not None
    assert [each.__name__ for each in found] == [f"{_PACKAGE}.one"]
    assert found[0].One.__module__ == f"{_PACKAGE}.one"
    assert [name for name in sys.modules if name.startswith(_PACKAGE)] == []


@pytest.mark.parametrize("names", [["one"], ["one", "two"]])
def test_the_whole_package_has_the_same_modules(write: Write, names: list[str]) -> None:
    write(_WHOLE)
    found = load(_PACKAGE, *names)
    assert found is not None
    package = _import()
    assert [getattr(package, name) for name in names] == found
    assert [sys.modules[f"{_PACKAGE}.{name}"] for name in names] == found
    assert package.One is package.one.One is found[0].One
    assert package.two.__name__ == f"{_PACKAGE}.two"
    assert issubclass(package.Two, package.One)


def test_such_a_module_can_be_reloaded(write: Write) -> None:
    write(_WHOLE)
    load(_PACKAGE, "one")
    package = _import()
    write({"one.py": "class One: pass\nis_new = True\n"})
    importlib.invalidate_caches()
    assert importlib.reload(package.one).is_new


_OTHER_LAYOUTS: dict[str, tuple[str, Mapping[str, str]]] = {
    "no such module": ("four", _WHOLE),
    "no modules": ("one", {"__init__.py": "class One: pass\n"}),
    "a module that fails": ("three", {**_WHOLE, "three.py": "raise RuntimeError\n"}),
    "needs the package": ("three", {**_WHOLE, "three.py": "from . import One\n"}),
    "needs a module that was not named": (
        "three",
        {**_WHOLE, "three.py": "from .two import Two\n"},
    ),
    "is needed by the package": (
        "three",
        {
            **_WHOLE,
            "three.py": "from .two import Two\n",
            "two.py": "Two = 2\nfrom . import three\n",
        },
    ),
}


@pytest.mark.parametrize(("name", "files"), _OTHER_LAYOUTS.values(), ids=list(_OTHER_LAYOUTS))
def test_another_layout(write: Write, name: str, files: Mapping[str, str]) -> None:
    write(files)
    before = list(sys.meta_path)
    assert load(_PACKAGE, *(["one"] if "one.py" in files else []), name) is None
    assert sys.meta_path == before
    package = _import()
    if "one.py" in files:
        assert package.One is package.one.One
        assert sys.modules[f"{_PACKAGE}.one"] is package.one
    else:
        assert package.One


def test_no_such_package(write: Write) -> None:
    write(_WHOLE)
    assert load(f"{_PARENT}.another", "one") is None
    assert load("submodules_of_nothing.package", "one") is None


def test_a_package_that_is_imported_already(write: Write) -> None:
    write(_WHOLE)
    package = _import()
    assert load(_PACKAGE, "one") is None
    assert _import() is package


_CLIENT = """
import json, sys
before = json.JSONEncoder.default
from sendinvoice_cli.node import client
assert json.JSONEncoder.default is before
"""


def _python(script: str, *path: Path) -> None:
    src = Path(importlib.import_module("sendinvoice_cli").__file__ or "").parents[1]
    subprocess.run(
        [sys.executable, "-c", _CLIENT + script],
        check=True,
        timeout=60,
        env={"PYTHONPATH": ":".join(str(each) for each in [*path, src])},
    )


def test_pyln_is_whole_for_others() -> None:
    _python("""
assert "pyln.client" not in sys.modules
import pyln.client
assert pyln.client.LightningRpc is pyln.client.lightning.LightningRpc is client.LightningRpc
assert pyln.client.RpcError is client.RpcError
assert pyln.client.Plugin is pyln.client.plugin.Plugin
assert json.JSONEncoder.default is before
""")


def test_pyln_imported_before() -> None:
    _python("""
for name in [name for name in sys.modules if name.startswith("sendinvoice_cli")]:
    del sys.modules[name]
import pyln.client
from sendinvoice_cli.node import client as another
assert another.LightningRpc is pyln.client.LightningRpc
""")


@pytest.mark.parametrize(
    "files",
    [
        {"__init__.py": "class LightningRpc: pass\nclass RpcError(Exception): pass\n"},
        {
            "__init__.py": "from .rpc import LightningRpc, RpcError\n",
            "rpc.py": "class LightningRpc: pass\nclass RpcError(Exception): pass\n",
            "lightning.py": "",
        },
    ],
    ids=["one module", "other modules"],
)
def test_pyln_of_another_layout(tmp_path: Path, files: Mapping[str, str]) -> None:
    package = tmp_path / "pyln" / "client"
    package.mkdir(parents=True)
    patch = "import json; json.JSONEncoder.default = lambda *_: None\n"
    for name, text in files.items():
        (package / name).write_text(patch + text)
    _python(
        """
import pyln.client
assert client.LightningRpc is pyln.client.LightningRpc
assert client.RpcError is pyln.client.RpcError
""",
        tmp_path,
    )
