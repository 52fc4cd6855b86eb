"""Requests whose end is known beforehand, to try scripts with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import Enum
from typing import Any

from coincurve import PrivateKey

from ..bolt12 import fields, string, tlv
from ..errors import ExitStatus
from .behaviour import Behaviour
from .model import requests
from .model.payments import PaymentError
from .sandbox import Sandbox

#: Who may read a request: whoever has it can be paid.
_MODE = 0o600


class End(Enum):
    """How a request ends, named after its file."""

    PAID = "paid", ExitStatus.PAID, "alice pays"
    LATER = "later", ExitStatus.PAID, "alice cannot pay at first, and pays when asked again"
    EXPIRED = "expired", ExitStatus.REQUEST_EXPIRED, "the request has expired"
    NO_ROUTE = "no-route", ExitStatus.NO_ROUTE, "the payer is not in the network"
    REFUSED = "refused", ExitStatus.PAYER_ERROR, "alice answers with an error"
    SILENT = "silent", ExitStatus.TIMED_OUT, "alice never answers, until TIMEOUT"

    def __init__(self, name: str, status: ExitStatus, meaning: str) -> None:
        self.file = f"{name}.lnr"
        self.status = status
        self.meaning = meaning


class KnownEnds(Behaviour):
    """What alice does with invoices for these requests; she takes any number for each."""

    def __init__(self) -> None:
        self._metadata: dict[End, bytes] = {}
        self._later_id = b""
        self._later_attempts = 0

    def write(self, sandbox: Sandbox, amount_msat: int) -> None:
        """Make the requests, each in a file of its own in the sandbox's directory.

        :raises OSError: they cannot be written.
        """
        for end in End:
            request = _make(sandbox, end, amount_msat)
            records = tlv.decode_stream(string.decode(request, "lnr"))
            self._metadata[end] = dict(records)[fields.INVREQ_METADATA]
            if end is End.LATER:
                self._later_id = requests.request_id(records)
            path = sandbox.directory / end.file
            path.unlink(missing_ok=True)
            path.touch(_MODE)
            path.write_text(f"{request}\n", encoding="ascii")

    def refusal(self, _payer: str, invoice: bytes) -> str | None:
        """Refuse or ignore an invoice, if its request says so."""
        for end, answer in ((End.REFUSED, "I have changed my mind"), (End.SILENT, "")):
            if self._metadata[end] in invoice:
                return answer
        return None

    async def in_flight(self, _payer: str, _payee: bytes, request_id: bytes) -> None:
        """Fail every other payment for the request that is paid later."""
        if request_id == self._later_id:
            self._later_attempts += 1
            if self._later_attempts % 2:
                raise PaymentError("Failed: We could not find a usable set of paths.")


def _make(sandbox: Sandbox, end: End, amount_msat: int) -> str:
    """Make a request; returns the ``lnr1…`` string."""
    description = f"from the sandbox: {end.meaning}"
    if end is End.NO_ROUTE:
        key = PrivateKey()
        unsigned = requests.unsigned(key.public_key.format(), amount_msat, description, None, None)
        return string.encode("lnr", tlv.encode_stream(requests.sign(unsigned, key)))
    more: Mapping[str, Any] = {}
    if end is End.EXPIRED:
        more = {"absolute_expiry": int(time.time()) - 1}
    return sandbox.request("alice", amount_msat, description, single_use=False, **more)
