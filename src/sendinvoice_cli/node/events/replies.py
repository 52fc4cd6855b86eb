"""Hearing payers' replies, through the reply helper inside lightningd."""

import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from ...bolt12 import invoice_error
from ...bolt12.invoice_error import InvoiceError
from ...errors import LightningdError, MalformedError, SendInvoiceError
from ..rpc.answers import reading
from ..rpc.client import Client, NoAnswerError
from .helper_path import HelperUnavailableError, helper_path
from .reply_plugin import EXPECT, REPLIES

#: Seconds for ``plugin start``: lightningd gives a plugin 60. After the first few, we ask
#: lightningd whether the helper runs.
_PLUGIN_SECONDS = 70
_ANSWER_SECONDS = 3
_SLOW_POLL_SECONDS = 1

#: Seconds to wait for a helper that another command is starting.
_START_SECONDS = 10
_POLL_SECONDS = 0.05

#: Sessions that end within so many seconds are left to expire, which saves a call.
_LINGER_SECONDS = 300
#: Seconds that the helper gets to end a session.
_CLOSE_SECONDS = 1

#: Stands for a reply that cannot be read.
UNREADABLE = InvoiceError("(the payer's answer is malformed)")


class Reply(NamedTuple):
    """A payer's reply: the 32-byte path_id of the copy that it is about, and what it says."""

    path_id: bytes
    error: InvoiceError


class ReplySession:
    """The replies that one command expects. May be used from several threads.

    :param until: UNIX seconds after which nobody waits for replies.
    """

    def __init__(self, client: Client, until: float) -> None:
        self._client = client
        self._until = until
        self._id = secrets.token_hex(16)
        self._path_ids: set[bytes] = set()
        self._forgotten: list[bytes] = []

    def start(self) -> None:
        """Start the helper if it does not run, and tell it which replies to expect.

        Call it before the first message, and again after the helper was lost.

        :raises HelperUnavailableError: lightningd cannot run it.
        :raises UnreachableError: lightningd is gone.
        """
        self._register(self._path_ids)

    def extend(self, until: float) -> None:
        """Expect replies until then (UNIX seconds), if that is later than before."""
        self._until = max(self._until, until)

    def forget(self, path_ids: Iterable[bytes]) -> None:
        """Stop expecting replies with these path_ids; the next call to the helper says so."""
        for path_id in path_ids:
            self._path_ids.discard(path_id)
            self._forgotten.append(path_id)

    def expect(self, path_id: bytes) -> None:
        """Expect a reply with this path_id (32 bytes) (``sendinvoice-expect``).

        :raises HelperUnavailableError: lightningd cannot run the helper.
        :raises UnreachableError: lightningd is gone.
        """
        self._path_ids.add(path_id)
        self._register([path_id])

    def close(self, now: float) -> None:
        """End the session, unless it expires soon by itself.

        :param now: UNIX seconds.
        """
        if self._until - now > _LINGER_SECONDS:
            params = {"session": self._id, "pathsecrets": [], "until": now}
            with suppress(SendInvoiceError):
                self._client.call(EXPECT, params, patience=_CLOSE_SECONDS)

    def listen(self) -> Iterator[Reply]:
        """Yield replies as they come (``sendinvoice-replies``). Ends when none can come.

        :raises HelperUnavailableError: the helper is gone.
        :raises UnreachableError: lightningd is gone.
        """
        received = 0
        while True:
            try:
                answer = self._client.call(
                    REPLIES, {"session": self._id, "received": received}, patience=None
                )
                received = int(answer["received"])
                replies = [
                    Reply(bytes.fromhex(each["pathsecret"]), _read(each["invoice_error"]))
                    for each in answer["replies"]
                ]
            except LightningdError as failure:
                raise HelperUnavailableError(failure.message) from None
            except (KeyError, TypeError, ValueError):
                raise HelperUnavailableError("the reply helper's answer is malformed") from None
            if not replies:
                return
            yield from replies

    def _register(self, path_ids: Iterable[bytes]) -> None:
        forgotten, self._forgotten = self._forgotten, []
        params = {
            "session": self._id,
            "pathsecrets": [path_id.hex() for path_id in tuple(path_ids)],
            "until": self._until,
            "forget": [path_id.hex() for path_id in forgotten],
        }
        try:
            try:
                self._client.call(EXPECT, params)
            except LightningdError:
                # It was never started, has left, or is being stopped. lightningd has
                # a different error for each.
                _start_helper(self._client)
                params["pathsecrets"] = [path_id.hex() for path_id in list(self._path_ids)]
                self._client.call(EXPECT, params)
        except (LightningdError, NoAnswerError) as failure:
            # If there is no answer, it is the helper that hangs, not lightningd.
            raise HelperUnavailableError(failure.message) from None


def _read(hex_error: str) -> InvoiceError:
    try:
        return invoice_error.decode(bytes.fromhex(hex_error))
    except (MalformedError, ValueError):
        return UNREADABLE


def _start_helper(client: Client, *, may_repeat: bool = True) -> None:
    """Let lightningd start the helper, or wait while it starts for another command."""
    path = helper_path()
    try:
        client.call("plugin", {"subcommand": "start", "plugin": path}, patience=_ANSWER_SECONDS)
    except NoAnswerError:
        # A lightningd that is starting itself starts the helper, and may never answer.
        for _ in range(round((_PLUGIN_SECONDS - _ANSWER_SECONDS) / _SLOW_POLL_SECONDS)):
            active = _is_active(client, path)
            if active:
                return
            if active is None:
                if not may_repeat:
                    reason = f"lightningd does not start {path}, and does not say why"
                    raise HelperUnavailableError(reason) from None
                # It never got the call, or the helper has left again.
                return _start_helper(client, may_repeat=False)
            time.sleep(_SLOW_POLL_SECONDS)
        raise HelperUnavailableError(
            f"lightningd has not started {path} within {_PLUGIN_SECONDS} s"
        ) from None
    except LightningdError as failure:
        # lightningd has several errors for a plugin that it already has. While
        # that plugin is starting, it answers no calls.
        for _ in range(round(_START_SECONDS / _POLL_SECONDS)):
            active = _is_active(client, path)
            if active is None:
                break
            if active:
                return
            time.sleep(_POLL_SECONDS)
        raise HelperUnavailableError(f"lightningd cannot run {path}: {failure.message}") from None


def _is_active(client: Client, path: str) -> bool | None:
    """Whether the helper can be called; None when lightningd does not have it."""
    with suppress(LightningdError):
        answer = client.call("plugin", {"subcommand": "list"})
        with reading("plugin"):
            for plugin in answer["plugins"]:
                if os.path.realpath(plugin["name"]) == os.path.realpath(path):
                    return bool(plugin["active"])
    return None
