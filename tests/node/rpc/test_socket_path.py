"""lightning-cli's rules: common/configdir.c and common/configvar.c of Core Lightning."""

from __future__ import annotations

from pathlib import Path

import pytest

from sendinvoice_cli.errors import UsageError
from sendinvoice_cli.node.rpc import socket_path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def _found(
    home: Path,
    lightning_dir: str | None = None,
    network: str | None = None,
    rpc_file: str | None = None,
) -> str:
    return str(Path(socket_path.find(lightning_dir, network, rpc_file)).relative_to(home))


def test_defaults(home: Path) -> None:
    assert _found(home) == ".lightning/bitcoin/lightning-rpc"


@pytest.mark.parametrize(
    ("lightning_dir", "network", "rpc_file", "found"),
    [
        (None, "regtest", None, ".lightning/regtest/lightning-rpc"),
        (None, None, "rpc", ".lightning/bitcoin/rpc"),
        ("dir", None, None, "dir/bitcoin/lightning-rpc"),
        ("dir", "signet", "rpc", "dir/signet/rpc"),
        ("dir", "signet", "../rpc", "dir/signet/../rpc"),
    ],
)
def test_options(
    home: Path, lightning_dir: str | None, network: str | None, rpc_file: str | None, found: str
) -> None:
    assert _found(home, lightning_dir, network, rpc_file) == found


def test_an_absolute_rpc_file_wins_over_all(home: Path) -> None:
    _write(home / ".lightning/config", "rpc-file=other\n")
    wanted = home / "elsewhere" / "rpc"
    assert socket_path.find("dir", "signet", str(wanted)) == str(wanted)


def test_an_absolute_directory(home: Path) -> None:
    assert _found(home, str(home / "dir")) == "dir/bitcoin/lightning-rpc"


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ("network=regtest\n", "regtest/lightning-rpc"),
        ("network=regtest", "regtest/lightning-rpc"),
        ("regtest\n", "regtest/lightning-rpc"),
        ("testnet4\r\n", "testnet4/lightning-rpc"),
        ("signet\nmainnet\n", "bitcoin/lightning-rpc"),
        ("network=signet\nnetwork=regtest\n", "regtest/lightning-rpc"),
        ("# network=regtest\n#regtest\n", "bitcoin/lightning-rpc"),
        ("\n\nalias=network=regtest\nlog-level=debug\nnetwork=signet  \n", "signet/lightning-rpc"),
        ("rpc-file=rpc\n", "bitcoin/rpc"),
        ("rpc-file=first\nrpc-file=last\n", "bitcoin/last"),
        ("rpc-file=a=b\n", "bitcoin/a=b"),
        ("rpc-file-mode=0600\n", "bitcoin/lightning-rpc"),
    ],
)
def test_settings(home: Path, config: str, found: str) -> None:
    _write(home / ".lightning/config", config)
    assert _found(home) == f".lightning/{found}"


def test_an_absolute_rpc_file_in_the_config(home: Path) -> None:
    _write(home / ".lightning/config", f"rpc-file={home}/run/rpc\n")
    assert _found(home) == "run/rpc"


def test_the_networks_own_config_comes_last(home: Path) -> None:
    _write(home / ".lightning/config", "network=regtest\nrpc-file=base\n")
    _write(home / ".lightning/regtest/config", "rpc-file=own\n")
    _write(home / ".lightning/bitcoin/config", "rpc-file=another\n")
    assert _found(home) == ".lightning/regtest/own"
    assert _found(home, network="bitcoin") == ".lightning/bitcoin/another"
    assert _found(home, network="signet") == ".lightning/signet/base"


def test_options_win_over_configs(home: Path) -> None:
    _write(home / ".lightning/config", "network=regtest\n")
    _write(home / ".lightning/signet/config", "rpc-file=own\n")
    assert _found(home, network="signet", rpc_file="rpc") == ".lightning/signet/rpc"


def test_the_config_of_the_directory_that_is_named(home: Path) -> None:
    _write(home / ".lightning/config", "network=regtest\n")
    _write(home / "dir/config", "network=signet\n")
    assert _found(home, "dir") == "dir/signet/lightning-rpc"


def test_the_network_cannot_be_set_by_its_own_config(home: Path) -> None:
    _write(home / ".lightning/bitcoin/config", "network=regtest\n")
    assert _found(home) == ".lightning/bitcoin/lightning-rpc"


def test_includes(home: Path) -> None:
    _write(home / ".lightning/config", "rpc-file=one\ninclude more/other.conf\n")
    _write(home / ".lightning/more/other.conf", "rpc-file=two\ninclude third.conf\n")
    _write(home / ".lightning/more/third.conf", "network=regtest\n")
    assert _found(home) == ".lightning/regtest/two"


def test_what_comes_behind_an_include_wins(home: Path) -> None:
    _write(home / ".lightning/config", "include other.conf\nrpc-file=one\n")
    _write(home / ".lightning/other.conf", "rpc-file=two\n")
    assert _found(home) == ".lightning/bitcoin/one"


def test_an_absolute_include(home: Path) -> None:
    _write(home / ".lightning/config", f"include {home}/other.conf\n")
    _write(home / "other.conf", "regtest\n")
    assert _found(home) == ".lightning/regtest/lightning-rpc"


def test_the_name_of_an_include_is_no_pattern(home: Path) -> None:
    _write(home / ".lightning/config", "include a[b].conf\ninclude *.conf\n")
    _write(home / ".lightning/a[b].conf", "rpc-file=literal\n")
    _write(home / ".lightning/ab.conf", "rpc-file=matched\n")
    assert _found(home) == ".lightning/bitcoin/literal"


def test_includes_in_a_circle_end(home: Path) -> None:
    _write(home / ".lightning/config", "include config\nnetwork=regtest\n")
    assert _found(home) == ".lightning/regtest/lightning-rpc"


def test_a_config_that_is_a_directory(home: Path) -> None:
    (home / ".lightning/config").mkdir(parents=True)
    with pytest.raises(UsageError, match="cannot read"):
        socket_path.find()


def test_a_config_that_may_not_be_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to lightningd's user; the defaults are the better guess then."""

    def refuse(*_args: object, **_options: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert _found(home) == ".lightning/bitcoin/lightning-rpc"


def test_a_config_that_is_not_text(home: Path) -> None:
    (home / ".lightning").mkdir()
    (home / ".lightning/config").write_bytes(b"alias=\xff\xfe\nnetwork=regtest\n")
    assert _found(home) == ".lightning/regtest/lightning-rpc"


# --- a config file that is named ---


def test_a_named_config_is_read_instead_of_the_others(home: Path) -> None:
    _write(home / ".lightning/config", "network=signet\nrpc-file=base\n")
    _write(home / ".lightning/regtest/config", "rpc-file=own\n")
    _write(home / "conf", "regtest\n")
    found = socket_path.find(conf="conf")
    assert found == f"{home}/.lightning/regtest/lightning-rpc"


def test_a_named_config_may_name_the_directory(home: Path) -> None:
    _write(home / "dir/config", "network=signet\n")
    _write(home / "conf", "lightning-dir=dir\nrpc-file=rpc\n")
    assert socket_path.find(conf="conf") == f"{home}/dir/bitcoin/rpc"
    assert socket_path.find("other", "regtest", conf="conf") == f"{home}/other/regtest/rpc"


def test_no_other_config_may_name_the_directory(home: Path) -> None:
    _write(home / ".lightning/config", "lightning-dir=dir\n")
    assert _found(home) == ".lightning/bitcoin/lightning-rpc"


def test_a_named_config_must_be_there(home: Path) -> None:
    with pytest.raises(UsageError, match="cannot read conf: No such file"):
        socket_path.find(conf="conf")


def test_networks_with_a_socket(home: Path) -> None:
    for network in ("bitcoin", "signet", "regtest"):
        _write(home / ".lightning" / network / "rpc", "")
    _write(home / ".lightning/testnet/lightning-rpc", "")
    found = socket_path.networks_with_socket(f"{home}/.lightning/bitcoin/rpc")
    assert found == ["signet", "regtest"]
