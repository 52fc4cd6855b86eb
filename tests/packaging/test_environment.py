"""What is installed fits together. pyln-proto and coincurve once came to own the same files."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from importlib import metadata

import pytest
from packaging.requirements import Requirement

from tests.docs.mdoc import ROOT
from tests.packaging.owners import owners, wrong_owners


def test_every_imported_file_has_one_owner() -> None:
    assert wrong_owners() == {}
    assert any("coincurve" in file for file in owners())


def test_no_owner_of_coincurve_is_named_beside_pylns() -> None:
    named = {
        re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()
        for requirement in metadata.requires("sendinvoice") or []
        if "extra ==" not in requirement
    }
    assert named == {"click", "pyln-client", "pyln-proto", "rich"}


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


@pytest.mark.parametrize("name", ["requirements.lock", "build.lock"])
def test_locked_requirements_have_hashes(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    entries = re.findall(r"^(?=[^\s#])((?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert entries
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_build_backend_is_locked() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (wanted,) = re.findall(r'^requires = \["(.+)"\]$', project, re.MULTILINE)
    requirement = Requirement(wanted)
    lock = (ROOT / "build.lock").read_text(encoding="utf-8")
    (version,) = re.findall(rf"^{requirement.name}==(\S+)", lock, re.MULTILINE)
    assert version in requirement.specifier
