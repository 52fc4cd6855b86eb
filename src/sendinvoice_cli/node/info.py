"""Our own node: what lightningd says about it."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from ..bolt12.blinded_path import BlindedPath
from ..errors import LightningdError, UnanswerableRequestError
from .features import ONION_MESSAGES, offers_feature
from .rpc import answers
from .rpc.answers import reading
from .rpc.client import CALL_SECONDS, Client

#: Genesis block hashes, in the byte order of BOLT 12's chain_hash.
CHAIN_HASHES = {
    "bitcoin": "6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000",
    "testnet": "43497fd7f826957108f4a30fd9cec3aeba79972084e90ead01ea330900000000",
    "testnet4": "43f08bdab050e35b567c864b91f47f50ae725ae2de53bcfbbaf284da00000000",
    "signet": "f61eee3b63a380a477a063af32b2bbc97c9ff9f01f2c4225e973988108000000",
    "regtest": "06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f",
    "liquid": "1466275836220db2944ca059a3a10ef6fd2ea684b0688d2c379296888a206003",
    "liquid-regtest": "9f87eb580b9e5f11dc211e9fb66abb3699999044f8fe146801162393364286c6",
}
_NETWORKS = {bytes.fromhex(chain_hash): name for name, chain_hash in CHAIN_HASHES.items()}


_CONFIG_FIELDS = {
    "configs": {
        "fetchinvoice-noconnect": {"set": True},
        "cltv-final": {"value_int": True},
        "payment-fronting-node": {"values_str": True},
        "autoclean-paidinvoices-age": {"value_int": True},
        "log-level": {"value_str": True},
    }
}
#: lightningd's default of ``cltv-final``, in blocks.
_CLTV_FINAL = 18


class OnionApi(Enum):
    """The three calls by which lightningd sends an onion message."""

    #: v23.08 to v24.05: ``sendonionmessage first_id blinding hops``.
    SEND_HOPS = "sendonionmessage"
    #: v24.08: ``injectonionmessage blinding hops``.
    INJECT_HOPS = "injectonionmessage with hops"
    #: v24.11 and later: ``injectonionmessage path_key message``.
    INJECT_ONION = "injectonionmessage"


class NodeInfo(NamedTuple):
    """Our own node.

    :param id: 33-byte node id.
    :param network: as lightningd names it, such as ``regtest``.
    :param blockheight: height of the chain, in blocks.
    :param no_connect: whether ``fetchinvoice-noconnect`` is set.
    :param cltv_final: blocks that lightningd wants at the last hop of a payment.
    :param fronting_nodes: 33-byte ids of the peers through which all payments must
        come (``payment-fronting-node``); empty when not set.
    :param behind: what lightningd says while it is behind the chain: it does not take payments
        until it has caught up.
    :param autoclean_paid_seconds: age at which lightningd deletes a paid invoice
        (``autoclean-paidinvoices-age``); None for never.
    :param logs_calls: whether lightningd writes all calls into its log (``log-level=io``). A level
        for a part of it (``io:jsonrpc``) does so too, but ``listconfigs`` does not show that.
    """

    id: bytes
    alias: str
    network: str
    version: str
    blockheight: int
    onion_api: OnionApi
    no_connect: bool = False
    cltv_final: int = _CLTV_FINAL
    fronting_nodes: tuple[bytes, ...] = ()
    autoclean_paid_seconds: int | None = None
    logs_calls: bool = False
    behind: str | None = None


def read(client: Client, patience: float = CALL_SECONDS) -> NodeInfo:
    """Ask lightningd about our node (``getinfo``, ``listconfigs``, ``help``).

    :param patience: seconds that lightningd gets to answer each of these.
    :raises LightningdError: it cannot send onion messages.
    :raises UnreachableError: lightningd is gone.
    """
    answer = client.call("getinfo", patience=patience)
    configs = client.call("listconfigs", reply_filter=_CONFIG_FIELDS, patience=patience)
    with reading("getinfo"):
        version = str(answer["version"])
        features = answer.get("our_features", {}).get("node", "")
        if not offers_feature(features, ONION_MESSAGES):
            raise LightningdError(
                f"lightningd {version} has onion messages turned off",
                hint="before v24.08, start lightningd with --experimental-offers and "
                "--experimental-onion-messages",
            )
        node = NodeInfo(
            id=answers.node_id(answer["id"]),
            alias=str(answer.get("alias", "")),
            network=str(answer["network"]),
            version=version,
            blockheight=answers.number(answer["blockheight"], answers.MAX_U32),
            onion_api=_onion_api(client, version, patience),
            behind=_behind(answer),
        )
    with reading("listconfigs"):
        return _with_configs(node, configs.get("configs", {}))


def _with_configs(node: NodeInfo, configs: Mapping[str, Any]) -> NodeInfo:
    """Our node with its settings.

    :raises ValueError: one of them is malformed; other errors likewise.
    """
    autoclean = configs.get("autoclean-paidinvoices-age", {}).get("value_int")
    fronting = configs.get("payment-fronting-node", {}).get("values_str", [])
    cltv_final = configs.get("cltv-final", {}).get("value_int", _CLTV_FINAL)
    return node._replace(
        no_connect=bool(configs.get("fetchinvoice-noconnect", {}).get("set")),
        cltv_final=answers.number(cltv_final, answers.MAX_U16),
        fronting_nodes=tuple(answers.node_id(each) for each in fronting),
        autoclean_paid_seconds=answers.number(autoclean or 0, answers.MAX_U64) or None,
        logs_calls=configs.get("log-level", {}).get("value_str") == "io",
    )


def read_chain(client: Client, node: NodeInfo) -> NodeInfo:
    """Our node with what lightningd knows of the chain by now (``getinfo``).

    :raises LightningdError: lightningd's answer is malformed.
    :raises UnreachableError: lightningd is gone.
    """
    answer = client.call("getinfo")
    with reading("getinfo"):
        blockheight = answers.number(answer["blockheight"], answers.MAX_U32)
        return node._replace(blockheight=blockheight, behind=_behind(answer))


def _behind(answer: Mapping[str, Any]) -> str | None:
    """What lightningd says of a chain that it has not caught up with, None on its tip."""
    warnings = (answer.get(f"warning_{each}_sync") for each in ("bitcoind", "lightningd"))
    return next((str(each) for each in warnings if each), None)


def check_chain(chain: bytes | None, info: NodeInfo) -> None:
    """Refuse a request for another network than the node's.

    :param chain: the request's invreq_chain (32 bytes), None for bitcoin.
    :raises UnanswerableRequestError: it is for another network.
    """
    asked = _NETWORKS.get(chain) if chain is not None else "bitcoin"
    if asked == info.network:
        return
    if asked is None and chain is not None and info.network not in CHAIN_HASHES:
        # Neither side is in the table. createinvoice compares the two itself,
        # and refuses before it stores anything.
        return
    name = asked or f"the unknown chain {chain.hex() if chain else ''}"
    raise UnanswerableRequestError(
        f"the request is for {name}, this node is on {info.network}",
        hint=f"use a node of that network: --network {asked}" if asked else None,
    )


def check_paths(paths: Sequence[BlindedPath], info: NodeInfo) -> None:
    """Refuse a request with blinded paths if this lightningd cannot answer it.

    :param paths: the request's invreq_paths.
    :raises LightningdError: it cannot.
    """
    if paths and info.onion_api is OnionApi.SEND_HOPS:
        # Field 90 means something else to these versions.
        raise LightningdError(
            f"lightningd {info.version} cannot answer a request with blinded paths (invreq_paths)",
            hint="v24.08 and later can",
        )


def _onion_api(client: Client, version: str, patience: float) -> OnionApi:
    """The call that this lightningd has (``help``); one of them has changed its parameters."""
    usage = _usage(client, "injectonionmessage", patience)
    if usage is not None:
        return OnionApi.INJECT_ONION if "path_key" in usage else OnionApi.INJECT_HOPS
    if _usage(client, "sendonionmessage", patience) is not None:
        return OnionApi.SEND_HOPS
    raise LightningdError(
        f"lightningd {version} has no call that sends onion messages",
        hint="upgrade lightningd to v23.08 or later",
    )


def _usage(client: Client, command: str, patience: float) -> str | None:
    try:
        answer = client.call("help", {"command": command}, patience=patience)
    except LightningdError:
        return None
    return str(answer["help"][0]["command"])
