"""Where the helper is, and who may change what lightningd runs. Modes are those of real files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sendinvoice_cli.node.events import helper_path as module
from sendinvoice_cli.node.events.helper_path import HELPER, HelperUnavailableError, helper_path


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with the helper in it."""
    (tmp_path / "bin").mkdir(mode=0o755)
    helper = tmp_path / "bin" / HELPER
    # As pip writes it where the interpreter's path has a space.
    helper.write_text("#!/bin/sh\n")
    helper.chmod(0o755)
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    return helper


def test_helper_path(helper: Path) -> None:
    assert Path(helper_path()) == helper
    assert Path(helper_path()).is_absolute()


@pytest.mark.parametrize("mode", [0o757, 0o777, 0o702])
def test_a_helper_that_anybody_could_write(helper: Path, mode: int) -> None:
    helper.chmod(mode)
    with pytest.raises(HelperUnavailableError, match="anybody may write to "):
        helper_path()


def test_a_directory_that_anybody_could_write(helper: Path) -> None:
    helper.parent.chmod(0o777)
    with pytest.raises(HelperUnavailableError, match="anybody may write to "):
        helper_path()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_folder_above_that_anybody_could_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, depth: int
) -> None:
    """Whoever may write to it can replace the folder below."""
    prefix = tmp_path / "opt" / "venv"
    helper = prefix / "bin" / HELPER
    helper.parent.mkdir(parents=True)
    helper.touch(0o755)
    monkeypatch.setattr(sys, "prefix", str(prefix))
    assert Path(helper_path()) == helper
    folder = helper.parents[depth - 1]
    folder.chmod(0o777)
    with pytest.raises(HelperUnavailableError, match=f"anybody may write to {folder}$"):
        helper_path()
    folder.chmod(0o1777)
    assert Path(helper_path()) == helper


def test_a_link_into_a_folder_that_anybody_could_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folders above the place that the link leads to count as well."""
    open_folder, prefix = tmp_path / "open", tmp_path / "venv"
    helper = open_folder / "venv" / "bin" / HELPER
    helper.parent.mkdir(parents=True)
    helper.touch(0o755)
    prefix.symlink_to(open_folder / "venv")
    monkeypatch.setattr(sys, "prefix", str(prefix))
    assert Path(helper_path()) == prefix / "bin" / HELPER
    open_folder.chmod(0o777)
    with pytest.raises(HelperUnavailableError, match=f"anybody may write to {open_folder}$"):
        helper_path()


@pytest.mark.parametrize("mode", [0o775, 0o755, 0o700])
def test_owner_and_group_of_the_helper_are_trusted(helper: Path, mode: int) -> None:
    """They could change the command itself as well."""
    helper.chmod(mode)
    helper.parent.chmod(mode)
    assert Path(helper_path()) == helper


def test_a_link_to_what_anybody_could_write(helper: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("")
    target.chmod(0o777)
    helper.unlink()
    helper.symlink_to(target)
    with pytest.raises(HelperUnavailableError, match="anybody may write to "):
        helper_path()


def test_a_sticky_directory_like_tmp(helper: Path) -> None:
    """There, nobody can replace the files of another user."""
    helper.parent.chmod(0o1777)
    assert Path(helper_path()) == helper


def test_found_through_the_installed_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with pip install --user, where sys.prefix is that of the system."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    found = Path(helper_path())
    assert found.is_absolute()
    assert found.name == HELPER
    assert os.access(found, os.X_OK)
    assert ".." not in found.parts


def test_installed_without_the_file(helper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip install --target lists a script that does not exist."""
    helper.unlink()
    monkeypatch.setattr(module, "_installed_path", lambda: helper)
    with pytest.raises(HelperUnavailableError, match="No such file"):
        helper_path()


def test_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(module, "_DISTRIBUTION", "sendinvoice-that-is-not-installed")
    with pytest.raises(HelperUnavailableError, match="is not installed"):
        helper_path()


# --- links on the way ---


def _link(where: Path, target: Path) -> Path:
    where.parent.mkdir(parents=True, exist_ok=True)
    where.symlink_to(target)
    return where


@pytest.mark.parametrize("is_relative", [False, True])
def test_each_link_of_a_chain_counts(helper: Path, tmp_path: Path, is_relative: bool) -> None:
    """Whoever may change a link in the middle leads it elsewhere."""
    target = tmp_path / "target"
    target.write_text("#!/bin/sh\n")
    target.chmod(0o755)
    middle = _link(tmp_path / "middle" / "link", Path("../target") if is_relative else target)
    helper.unlink()
    helper.symlink_to(Path("../middle/link") if is_relative else middle)
    assert helper_path() == str(helper)
    middle.parent.chmod(0o777)
    with pytest.raises(HelperUnavailableError, match=f"anybody may write to {middle.parent}$"):
        helper_path()


def test_link_of_another_user_in_a_sticky_folder(
    helper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner can lead it elsewhere at any time."""
    target = tmp_path / "target"
    target.write_text("#!/bin/sh\n")
    shared = tmp_path / "shared"
    link = _link(shared / "link", target)
    helper.unlink()
    helper.symlink_to(link)
    shared.chmod(0o1777)
    assert helper_path() == str(helper)
    lstat = os.lstat

    def lstat_of_another_user(path: str) -> os.stat_result:
        status = lstat(path)
        if path != str(link):
            return status
        return os.stat_result((*status[:4], os.geteuid() + 1, *status[5:10]))

    monkeypatch.setattr(os, "lstat", lstat_of_another_user)
    with pytest.raises(HelperUnavailableError, match=f"the link {link} belongs to another user"):
        helper_path()
    shared.chmod(0o755)
    assert helper_path() == str(helper)


def test_links_in_a_circle(helper: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_installed_path", lambda: helper)
    helper.unlink()
    helper.symlink_to(helper)
    with pytest.raises(HelperUnavailableError, match=str(helper)):
        helper_path()


# --- what the interpreter loads ---


def _named_interpreter(helper: Path, python: Path, _patch: pytest.MonkeyPatch) -> None:
    helper.write_text(f"#!{python} -I\n")


def _our_interpreter(_helper: Path, python: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sys, "executable", str(python))


def _module_folder(_helper: Path, python: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sys, "path", [*sys.path, str(python.parent)])


def _package_folder(_helper: Path, python: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(module, "__file__", str(python))


@pytest.mark.parametrize(
    "use", [_named_interpreter, _our_interpreter, _module_folder, _package_folder]
)
def test_what_python_loads_counts_as_well(
    helper: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    use: Callable[[Path, Path, pytest.MonkeyPatch], None],
) -> None:
    folder = tmp_path / "loaded"
    folder.mkdir()
    python = folder / "python3"
    python.write_text("")
    use(helper, python, monkeypatch)
    assert helper_path() == str(helper)
    folder.chmod(0o777)
    with pytest.raises(HelperUnavailableError, match=f"anybody may write to {folder}$"):
        helper_path()


def test_folders_that_python_does_not_find_do_not_count(
    helper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as python312.zip, which is in every sys.path."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "missing"), ""])
    assert helper_path() == str(helper)
