"""Where the reply helper is, and whether only trusted users can change what lightningd runs."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator

HELPER = "sendinvoice-reply-helper"
_DISTRIBUTION = "sendinvoice"

#: As many symbolic links as Linux follows in one path.
_MAX_LINKS = 40


class HelperUnavailableError(Exception):
    """lightningd cannot run the reply helper; the text says why."""


def helper_path() -> str:
    """The absolute path of the helper's executable, inside this installation.

    Nobody but trusted users may be able to change what lightningd runs: the executable, the
    interpreter, and the folders from which Python loads modules. Each folder above them counts,
    and each symbolic link on the way. Owners and groups are trusted, as they could change this
    command as well; the files in the folders are not looked at.

    :raises HelperUnavailableError: it is not installed, or anybody may write to one of these.
    """
    path = os.path.join(sys.prefix, "bin", HELPER)
    if not os.path.isfile(path):
        path = _installed_path()
    path = os.path.abspath(path)
    checked: set[str] = set()
    try:
        for opened in _opened(path):
            for place in _places(os.path.abspath(opened)):
                if place not in checked:
                    _check(place)
                    checked.add(place)
    except OSError as failure:
        raise HelperUnavailableError(f"{failure.filename}: {failure.strerror}") from None
    return path


def _opened(path: str) -> Iterator[str]:
    """What lightningd and Python open for this helper. Python may lack some of its own folders."""
    yield path
    with open(path, "rb") as helper:
        first_line = helper.readline(1000)
    if first_line.startswith(b"#!"):
        yield from map(os.fsdecode, first_line[2:].split()[:1])
    yield sys.executable
    yield os.path.dirname(__file__)
    yield from filter(os.path.exists, sys.path)


def _places(path: str) -> Iterator[str]:
    """Every folder, symbolic link and file that is passed when an absolute path is opened."""
    folder, parts = "/", path.split("/")[::-1]
    links = 0
    yield folder
    while parts:
        part = parts.pop()
        place = os.path.normpath(os.path.join(folder, part))
        yield place
        if os.path.islink(place) and links < _MAX_LINKS:
            links += 1
            target = os.readlink(place)
            parts += target.split("/")[::-1]
            if os.path.isabs(target):
                folder = "/"
        else:
            folder = place


def _check(place: str) -> None:
    """Refuse a place that anybody may change.

    :raises HelperUnavailableError: anybody may.
    :raises OSError: it cannot be looked at.
    """
    status = os.lstat(place)
    if stat.S_ISLNK(status.st_mode):
        # Its own mode says nothing. Where anybody may make links, its maker can change it.
        folder = os.lstat(os.path.dirname(place))
        if folder.st_mode & stat.S_IWOTH and status.st_uid not in (0, os.geteuid()):
            raise HelperUnavailableError(f"the link {place} belongs to another user")
    elif status.st_mode & stat.S_IWOTH and not _is_sticky_folder(status.st_mode):
        raise HelperUnavailableError(f"anybody may write to {place}")


def _is_sticky_folder(mode: int) -> bool:
    """Whether nobody can replace the files of others in it."""
    return stat.S_ISDIR(mode) and mode & stat.S_ISVTX != 0


def _installed_path() -> str:
    from importlib import metadata

    try:
        files = metadata.files(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == HELPER:
            return os.path.normpath(str(file.locate()))
    raise HelperUnavailableError(f"{HELPER} is not installed")
