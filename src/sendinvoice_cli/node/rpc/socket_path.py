"""Where lightningd's socket is, found the way lightning-cli finds it.

Source: lightningd-config(5), and lightning-cli, which reads the same files.
"""

from __future__ import annotations

import os

from ...errors import UsageError

NETWORKS = (
    "bitcoin",
    "testnet",
    "testnet4",
    "signet",
    "regtest",
    "liquid",
    "liquid-regtest",
    "litecoin",
    "litecoin-testnet",
)
#: Settings without a value that name a network.
SHORT_NETWORKS = {
    "mainnet": "bitcoin",
    "testnet": "testnet",
    "testnet4": "testnet4",
    "signet": "signet",
    "regtest": "regtest",
}
_MAX_INCLUDES = 10


def find(
    lightning_dir: str | None = None,
    network: str | None = None,
    rpc_file: str | None = None,
    conf: str | None = None,
) -> str:
    """The path of the socket. What is None comes from lightningd's config files, or its defaults.

    The defaults are ``~/.lightning``, ``bitcoin`` and ``lightning-rpc``. An
    absolute ``rpc_file`` wins over the rest.

    :param conf: a config file to read instead of the two in lightningd's directory.
    :raises UsageError: a config file that is there cannot be read, or ``conf`` is not there.
    """
    if rpc_file is not None and os.path.isabs(rpc_file):
        return rpc_file
    settings = {} if conf is None else _read_config(conf, must_exist=True)
    base = _absolute(
        lightning_dir
        or settings.get("lightning-dir")
        or os.path.join(os.path.expanduser("~"), ".lightning")
    )
    if conf is None:
        settings = _read_config(os.path.join(base, "config"))
    network = network or settings.get("network", "bitcoin")
    network_dir = os.path.join(base, network)
    if conf is None:
        settings.update(_read_config(os.path.join(network_dir, "config")))
    return os.path.join(network_dir, rpc_file or settings.get("rpc-file", "lightning-rpc"))


def networks_with_socket(rpc_file: str) -> list[str]:
    """The other networks for which lightningd has a socket, where this path is for one of them."""
    network_dir, name = os.path.split(rpc_file)
    base, network = os.path.split(network_dir)
    return [
        other
        for other in NETWORKS
        if other != network and os.path.exists(os.path.join(base, other, name))
    ]


def _absolute(path: str) -> str:
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        raise UsageError(
            f"{path} is relative to the current directory, which is gone",
            hint="change to a directory that exists, or give an absolute path",
        ) from None


def _read_config(path: str, depth: int = 0, *, must_exist: bool = False) -> dict[str, str]:
    """The settings that matter, the last one winning; empty when there is no such file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError as failure:
        # lightning-cli cannot read it either when it belongs to another user,
        # and then the defaults are the better guess.
        if not must_exist and isinstance(
            failure, FileNotFoundError | NotADirectoryError | PermissionError
        ):
            return {}
        raise UsageError(
            f"cannot read {path or repr(path)}: {failure.strerror}",
            hint="--rpc-file with an absolute path needs no configuration file",
        ) from None
    settings: dict[str, str] = {}
    for line in lines:
        stripped = line.strip()
        if stripped.startswith("#"):
            continue
        if stripped.startswith("include ") and depth < _MAX_INCLUDES:
            included = os.path.join(os.path.dirname(path), stripped[8:].strip())
            settings.update(_read_config(included, depth + 1))
            continue
        key, _, value = stripped.partition("=")
        if key in SHORT_NETWORKS:
            settings["network"] = SHORT_NETWORKS[key]
        elif key in ("network", "rpc-file", "lightning-dir"):
            settings[key] = value
    return settings
