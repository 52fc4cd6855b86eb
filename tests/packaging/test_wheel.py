"""What is built and installed is all there, and works. Nothing of it needs a network."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from sendinvoice_cli import __version__

_ROOT = Path(__file__).parents[2]
_COMMANDS = {"sendinvoice", "sendinvoice-reply-helper", "sendinvoice-sandbox"}
#: Where shells and man look for what belongs to a command.
_SHARED = {
    "share/man/man1/{}.1",
    "share/bash-completion/completions/{}",
    "share/zsh/site-functions/_{}",
    "share/fish/vendor_completions.d/{}.fish",
}


def _build(target: str, source: Path, directory: Path) -> Path:
    """Build a wheel or sdist; returns the one file that this makes."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed")
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(directory)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=60)
    (built,) = directory.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build("wheel", _ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def venv(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it; what it requires is borrowed from this one."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed in this environment")
    venv = tmp_path_factory.mktemp("with a space") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (site,) = (venv / "lib").glob("python*/site-packages")
    borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    # Only a path: the editable install that is in there does not come along.
    (site / "borrowed.pth").write_text("".join(f"{path}\n" for path in borrowed))
    _pip(venv, "install", "--quiet", "--no-deps", "--no-index", "--no-compile", str(wheel))
    return venv


def _pip(venv: Path, *args: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, "--python", str(venv / "bin" / "python"), *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _run(venv: Path, command: str, *args: str) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        # With PYTHONPATH, it would not be the installed package that runs.
        if not name.startswith("SENDINVOICE_") and name != "PYTHONPATH"
    }
    return subprocess.run(
        [str(venv / "bin" / command), *args],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=inherited,
    )


def test_what_is_shared_lands_where_it_is_looked_for(venv: Path) -> None:
    found = {str(path.relative_to(venv)) for path in (venv / "share").rglob("*") if path.is_file()}
    assert found == {
        each.format(command)
        for each in _SHARED
        for command in ("sendinvoice", "sendinvoice-sandbox")
    } | {"share/doc/sendinvoice/recipes.md"}
    page = (venv / "share/man/man1/sendinvoice.1").read_bytes()
    assert page == (_ROOT / "man" / "sendinvoice.1").read_bytes()


@pytest.mark.parametrize("name", ["sendinvoice", "sendinvoice-sandbox"])
def test_man_finds_the_pages(venv: Path, name: str) -> None:
    if shutil.which("man") is None:
        pytest.skip("man is not installed")
    done = subprocess.run(
        ["man", "-w", name],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MANPATH": str(venv / "share" / "man")},
    )
    assert done.stdout.strip() == str(venv / f"share/man/man1/{name}.1"), done.stderr


def test_commands_are_installed(venv: Path) -> None:
    installed = {path.name for path in (venv / "bin").glob("sendinvoice*")}
    assert installed == _COMMANDS
    assert all(os.access(venv / "bin" / name, os.X_OK) for name in installed)


def test_versions(venv: Path) -> None:
    assert _run(venv, "sendinvoice", "--version").stdout == f"sendinvoice {__version__}\n"
    assert __version__ in _run(venv, "sendinvoice-sandbox", "--version").stdout


def test_the_package_is_the_installed_one_and_typed(venv: Path) -> None:
    script = "import sendinvoice_cli, pathlib;print(pathlib.Path(sendinvoice_cli.__file__).parent)"
    package = Path(_run(venv, "python", "-c", script).stdout.strip())
    assert package.is_relative_to(venv)
    assert (package / "py.typed").is_file()


def test_the_schema_is_where_the_man_page_says(venv: Path) -> None:
    page = (_ROOT / "man" / "sendinvoice.1").read_text(encoding="utf-8")
    (command,) = re.findall(r"^\.Dl \$ python3 (-c .*)$", page, re.MULTILINE)
    (found,) = _run(venv, "python", *shlex.split(command)).stdout.splitlines()
    assert Path(found).is_relative_to(venv)
    schema = (Path(found) / "result.schema.json").read_bytes()
    assert schema == (_ROOT / "src/sendinvoice_cli/result.schema.json").read_bytes()


def test_the_demo_works_with_the_helper_that_was_installed(venv: Path) -> None:
    done = _run(venv, "sendinvoice-sandbox", "demo")
    # A helper that does not start is warned of on stderr.
    assert (done.returncode, done.stderr) == (0, "")
    assert "\nPaid 50,000 sat: " in done.stdout


def test_requirements_fit_together(venv: Path) -> None:
    _pip(venv, "check")


def test_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = f"sendinvoice-{__version__}.dist-info"
        metadata = message_from_string(archive.read(f"{info}/METADATA").decode())
        names = archive.namelist()
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Author"]
    assert metadata["Summary"]
    assert f"{info}/licenses/LICENSE" in names
    top = {name.split("/", 1)[0] for name in names}
    assert top == {"sendinvoice_cli", info, f"sendinvoice-{__version__}.data"}
    assert str(_ROOT) not in metadata.as_string()


def test_the_sdist_makes_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    for name in ("sdist", "source", "wheel"):
        (tmp_path / name).mkdir()
    sdist = _build("sdist", _ROOT, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path / "source")
    (source,) = (tmp_path / "source").iterdir()
    for needed in (
        "Makefile",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "tests/conftest.py",
    ):
        assert (source / needed).is_file()
    # What was cloned or copied over, and nothing of what lies around.
    assert not [path for path in source.rglob("*") if path.name in (".venv", ".git", "__pycache__")]
    again = _build("wheel", source, tmp_path / "wheel")
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert {each.filename: each.CRC for each in one.infolist()} == {
            each.filename: each.CRC for each in other.infolist()
        }
