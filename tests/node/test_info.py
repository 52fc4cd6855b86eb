from __future__ import annotations

from typing import Any

import pytest

from sendinvoice_cli.errors import LightningdError, UnanswerableRequestError
from sendinvoice_cli.node import info
from sendinvoice_cli.node.info import CHAIN_HASHES, OnionApi
from tests.node.fake_client import MESSAGES, US, Answer, FakeClient, Params, node_info

_GETINFO: dict[str, Any] = {
    "id": US.hex(),
    "alias": "us",
    "network": "regtest",
    "version": "v26.06",
    "blockheight": 100,
    "our_features": {"node": MESSAGES},
}
_NEW = {"injectonionmessage": "injectonionmessage path_key message"}
_MIDDLE = {"injectonionmessage": "injectonionmessage blinding hops"}
_OLD = {"sendonionmessage": "sendonionmessage first_id blinding hops"}


def _client(
    usages: dict[str, str], getinfo: Answer = _GETINFO, configs: dict[str, Any] | None = None
) -> FakeClient:
    def usage(params: Params) -> dict[str, Any]:
        if params["command"] not in usages:
            raise LightningdError("help: Unknown command")
        return {"help": [{"command": usages[params["command"]]}]}

    return FakeClient(
        {"getinfo": getinfo, "help": usage, "listconfigs": {"configs": configs or {}}}
    )


@pytest.mark.parametrize(
    ("usages", "api"),
    [
        (_NEW, OnionApi.INJECT_ONION),
        ({**_NEW, **_OLD}, OnionApi.INJECT_ONION),
        (_MIDDLE, OnionApi.INJECT_HOPS),
        ({**_MIDDLE, **_OLD}, OnionApi.INJECT_HOPS),
        (_OLD, OnionApi.SEND_HOPS),
    ],
)
def test_the_call_is_chosen_by_what_the_node_has(usages: dict[str, str], api: OnionApi) -> None:
    assert info.read(_client(usages)) == node_info(api)


def test_no_call_at_all() -> None:
    with pytest.raises(LightningdError, match="no call that sends onion messages"):
        info.read(_client({}))


def test_onion_messages_turned_off() -> None:
    silent = {**_GETINFO, "our_features": {"node": "02"}}
    with pytest.raises(LightningdError, match="onion messages turned off") as error:
        info.read(_client(_NEW, silent))
    assert "--experimental-onion-messages" in (error.value.hint or "")


def test_settings() -> None:
    configs = {
        "fetchinvoice-noconnect": {"set": True},
        "cltv-final": {"value_int": 10},
        "payment-fronting-node": {"values_str": [US.hex()]},
    }
    found = info.read(_client(_NEW, configs=configs))
    assert found.no_connect
    assert found.cltv_final == 10
    assert found.fronting_nodes == (US,)


@pytest.mark.parametrize(("level", "logs"), [("io", True), ("trace", False), ("info", False)])
def test_log_level(level: str, logs: bool) -> None:
    """As v24.02.2 and v26.06.6 show it; only io writes the calls into the log."""
    configs = {"log-level": {"value_str": level, "source": "cmdline"}}
    assert info.read(_client(_NEW, configs=configs)).logs_calls is logs


@pytest.mark.parametrize(
    "changes",
    [
        {"id": None},
        {"id": "xx"},
        {"blockheight": "many"},
        {"blockheight": None},
        {"our_features": []},
        {"our_features": {"node": "no hex"}},
    ],
)
def test_answers_that_make_no_sense(changes: dict[str, Any]) -> None:
    with pytest.raises(LightningdError):
        info.read(_client(_NEW, {**_GETINFO, **changes}))


@pytest.mark.parametrize("missing", ["id", "network", "version", "blockheight", "our_features"])
def test_answers_that_lack_something(missing: str) -> None:
    answer = {name: value for name, value in _GETINFO.items() if name != missing}
    with pytest.raises(LightningdError):
        info.read(_client(_NEW, answer))


# --- chains ---


@pytest.mark.parametrize("network", CHAIN_HASHES)
def test_the_chain_of_the_node(network: str) -> None:
    info.check_chain(bytes.fromhex(CHAIN_HASHES[network]), node_info(network=network))


def test_no_chain_is_bitcoin() -> None:
    info.check_chain(None, node_info(network="bitcoin"))
    with pytest.raises(UnanswerableRequestError, match="the request is for bitcoin") as error:
        info.check_chain(None, node_info(network="regtest"))
    assert "--network bitcoin" in (error.value.hint or "")


@pytest.mark.parametrize("asked", CHAIN_HASHES)
@pytest.mark.parametrize("network", CHAIN_HASHES)
def test_another_chain(asked: str, network: str) -> None:
    if asked == network:
        return
    with pytest.raises(UnanswerableRequestError, match=rf"for {asked}, this node is on {network}"):
        info.check_chain(bytes.fromhex(CHAIN_HASHES[asked]), node_info(network=network))


def test_a_chain_nobody_knows() -> None:
    with pytest.raises(UnanswerableRequestError, match=r"unknown chain (ab){32}"):
        info.check_chain(b"\xab" * 32, node_info(network="bitcoin"))


def test_two_unknown_chains_are_for_lightningd_to_compare() -> None:
    info.check_chain(b"\xab" * 32, node_info(network="litecoin"))
    with pytest.raises(UnanswerableRequestError, match="for bitcoin"):
        info.check_chain(None, node_info(network="litecoin"))


def test_testnet_in_the_byte_order_of_the_bolts() -> None:
    """As in BOLT 12's offers-test.json, "for testnet" and "for bitcoin"."""
    assert CHAIN_HASHES["testnet"].startswith("43497fd7f826957108f4a30fd9cec3ae")
    assert CHAIN_HASHES["bitcoin"].startswith("6fe28c0ab6f1b372c1a6a246ae63f74f")
