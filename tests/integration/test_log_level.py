"""What lightningd writes into its log of an answer, as SECURITY.md says."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import directory_of_real_nodes
from tests.networks import CHAIN, Node, real, run

_LEVELS = {"all": "io", "part": "io:jsonrpc", "most": "debug"}


@pytest.fixture(scope="module")
def handles(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """pyln-testing's nodes: a payer, and one for each level of the log, which is its peer."""
    with directory_of_real_nodes(request) as directory, ExitStack() as cleanup:
        executor = cleanup.enter_context(ThreadPoolExecutor(max_workers=8))
        bitcoind = real.start_bitcoind(directory, cleanup)
        common = real.common_options(real.version()[1])
        options = {role: {**common, "log-level": level} for role, level in _LEVELS.items()}
        factory = real.node_factory(directory, bitcoind, executor)
        started = real.start_nodes(factory, {**options, "payer": common}, executor, cleanup)
        real.connect(real.nodes_of(started), started, [(role, "payer") for role in _LEVELS])
        yield started


@pytest.mark.xdist_group("real nodes")
@pytest.mark.parametrize(
    ("role", "is_logged", "is_warned"),
    [("all", True, True), ("part", True, False), ("most", False, False)],
)
def test_preimage_in_the_log(
    handles: dict[str, Any], role: str, is_logged: bool, is_warned: bool
) -> None:
    nodes: dict[str, Node] = real.nodes_of(handles)
    request = nodes["payer"].rpc("invoicerequest", amount=1000, description=role)["bolt12"]
    # Nobody has a channel, so it is not paid.
    directory = nodes[role].lightning_dir
    found = ("--lightning-dir", directory, "--network", CHAIN)
    result = run(*found, "--json", "--timeout", 5, request, role)
    assert result.exit in (14, 15)
    preimage = _preimage(directory / CHAIN / "lightningd.sqlite3")
    log = Path(handles[role].daemon.stdout_filename).read_text(errors="replace")
    # lightningd writes the bytes of its calls in hex, and the calls have the preimage in hex.
    assert (preimage.hex().encode().hex() in log) is is_logged
    assert preimage.hex() not in log
    assert any("log-level=io" in warning for warning in result.json["warnings"]) is is_warned
    assert ("log-level=io" in result.stderr) is is_warned


def _preimage(database: Path) -> bytes:
    """That of the one invoice."""
    with sqlite3.connect(database) as connection:
        ((preimage,),) = connection.execute("SELECT payment_key FROM invoices").fetchall()
    assert isinstance(preimage, bytes)
    return preimage
