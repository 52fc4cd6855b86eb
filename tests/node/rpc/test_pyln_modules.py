"""What the command imports of pyln.client, each time in a process of its own."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from sendinvoice_cli.errors import ExitStatus
from tests.networks import run

_CLIENT = """
import json, sys
before = json.JSONEncoder.default
finders = list(sys.meta_path)
from sendinvoice_cli.node.rpc.client import lightning
assert json.JSONEncoder.default is before
assert sys.meta_path == finders
"""


def _python(script: str, *path: Path) -> None:
    src = Path(importlib.import_module("sendinvoice_cli").__file__ or "").parents[1]
    subprocess.run(
        [sys.executable, "-c", _CLIENT + script],
        check=True,
        timeout=60,
        env={"PYTHONPATH": ":".join(str(each) for each in [*path, src])},
    )


def test_pyln_client_is_not_imported_and_whoever_imports_it_gets_it_whole() -> None:
    _python("""
assert [name for name in sys.modules if name.startswith("pyln")] == ["pyln"]
import pyln.client
assert pyln.client.LightningRpc is pyln.client.lightning.LightningRpc
assert pyln.client.lightning is not lightning
assert pyln.client.lightning.UnixSocket is not lightning.UnixSocket
""")


@pytest.mark.parametrize(
    "files",
    [
        {"__init__.py": "class LightningRpc: pass\n"},
        {
            "__init__.py": "from .rpc import LightningRpc\n",
            "rpc.py": "class LightningRpc: pass\n",
            "lightning.py": "",
        },
    ],
    ids=["one module", "other modules"],
)
def test_another_layout_is_imported_as_usual(tmp_path: Path, files: Mapping[str, str]) -> None:
    package = tmp_path / "pyln" / "client"
    package.mkdir(parents=True)
    patch = "import json; json.JSONEncoder.default = lambda *_: None\n"
    for name, text in files.items():
        (package / name).write_text(patch + text)
    _python(
        """
import pyln.client
assert lightning.LightningRpc is pyln.client.LightningRpc
""",
        tmp_path,
    )


def test_signal_while_pyln_is_imported_is_not_lost(tmp_path: Path) -> None:
    """Whatever an import raised was suppressed, and the import was tried in another way."""
    package = tmp_path / "pyln" / "client"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "lightning.py").write_text(
        f"import os\nos.kill(os.getpid(), {int(signal.SIGINT)})\nclass LightningRpc: pass\n"
    )
    result = run("lnr1qq", "a label", env={"PYTHONPATH": str(tmp_path)})
    assert result.exit == ExitStatus.INTERRUPTED
    assert result.stderr.splitlines()[-1] == "sendinvoice: interrupted"
