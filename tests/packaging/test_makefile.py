"""What the Makefile says when it cannot go on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("target", ["demo", "test", "test-3.99", "release-build"])
def test_python_without_venv(tmp_path: Path, target: str) -> None:
    """As on Debian and Ubuntu, where only a package of its own has ensurepip."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "pyproject.toml", "build.lock"):
        shutil.copy(_ROOT / name, tmp_path)
    for name in ("python3", "python3.99"):
        python = tmp_path / name
        python.write_text('#!/bin/sh\n[ "$1" != -c ] || exit 1\n')
        python.chmod(0o755)
    done = subprocess.run(
        ["make", target],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "install python3-venv" in done.stderr
    assert not list(tmp_path.glob(".venv*/installed"))
