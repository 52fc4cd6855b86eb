"""What is installed fits together. pyln-proto and coincurve once came to own the same files."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections import defaultdict
from importlib import metadata
from pathlib import Path

import pytest

_IMPORTED = ["click", "coincurve", "cryptography", "pyln", "rich"]


def _owners() -> dict[str, set[str]]:
    """The distributions that list each file of what is imported here."""
    owners: dict[str, set[str]] = defaultdict(set)
    for distribution in metadata.distributions():
        for file in distribution.files or []:
            if file.parts[0] in _IMPORTED:
                location = str(Path(str(file.locate())).resolve())
                owners[location].add(distribution.metadata["Name"])
    return owners


def test_every_file_has_one_owner() -> None:
    shared = {file: sorted(names) for file, names in _owners().items() if len(names) != 1}
    assert shared == {}


@pytest.mark.parametrize("module", ["click", "coincurve", "cryptography", "pyln.client", "rich"])
def test_what_is_imported_is_installed(module: str) -> None:
    """The file that an import takes is one that a distribution brought."""
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    assert len(_owners()[str(Path(spec.origin).resolve())]) == 1


def test_no_owner_of_coincurve_is_named_beside_pylns() -> None:
    named = {
        re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()
        for requirement in metadata.requires("sendinvoice") or []
        if "extra ==" not in requirement
    }
    assert named == {"click", "pyln-client", "rich"}


def test_requirements_fit_together() -> None:
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed in this environment")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("script", ["sendinvoice", "sendinvoice-reply-helper"])
def test_scripts(script: str) -> None:
    scripts = {each.name: each for each in metadata.entry_points(group="console_scripts")}
    assert callable(scripts[script].load())
