"""The reply helper: the plugin that lightningd runs so that we hear payers' refusals.

Only a plugin sees onion messages (hook ``onion_message_recv_secret``). This
one keeps those whose 32-byte path_id a command expects, and hands them to that
command. It passes everything else on. All commands share one helper, which
leaves when it has been idle for a while.

RPC methods:

``sendinvoice-expect session pathsecrets until [forget]``
    expects replies for ``session`` until then (UNIX seconds), and none any more
    with the path_ids in ``forget``. ``pathsecrets``, lightningd's word, are the
    path_ids (hex) of these replies.
``sendinvoice-replies session received``
    waits until the session has more than ``received`` replies, and returns
    the new ones, and the number to pass next time:
    ``{"replies": [{"pathsecret", "invoice_error"}], "received"}``.
"""

from __future__ import annotations

import gc
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..rpc.pyln_modules import load

EXPECT = "sendinvoice-expect"
REPLIES = "sendinvoice-replies"

#: Error code for an unknown session, usually because the helper has restarted.
UNKNOWN_SESSION = -32001

#: Seconds without a session after which the helper leaves.
IDLE_SECONDS = 600
#: Seconds between looks at the clock.
_TICK_SECONDS = 15

MAX_SESSIONS = 1000
MAX_PATH_IDS = 100_000
#: Longest invoice_error kept, in hex digits. An onion message holds less.
MAX_REPLY_SIZE = 2 * 32768
#: Hex digits of replies kept over all sessions.
MAX_REPLIES_SIZE = 16 * 1024 * 1024

#: The lowest type of a payload field in an onion message (BOLT 4).
_FIRST_PAYLOAD_TYPE = 64

#: The hook's answers: lightningd asks the next plugin, or the message is dealt with.
CONTINUE = {"result": "continue"}
RESOLVED = {"result": "resolve"}

Respond = Callable[[dict[str, Any]], None]


class RefusedError(Exception):
    """We refuse a call; the text is for the caller."""


class _Session:
    def __init__(self, until: float) -> None:
        self.until = until
        self.path_ids: set[str] = set()
        #: Replies that the caller has not confirmed.
        self.replies: list[dict[str, str]] = []
        #: Number of replies that it has confirmed.
        self.received = 0
        #: Answers the caller's open call.
        self.respond: Respond | None = None

    def drop(self, count: int) -> int:
        """Drop the oldest replies; returns how many hex digits these had."""
        dropped, self.replies = self.replies[:count], self.replies[count:]
        return sum(len(reply["invoice_error"]) for reply in dropped)

    def answer(self) -> None:
        """Answer the open call with the new replies."""
        if self.respond is not None:
            respond, self.respond = self.respond, None
            respond({"replies": list(self.replies), "received": self.received + len(self.replies)})


class Registry:
    """Which session expects which reply. Its memory is bounded; times are UNIX seconds."""

    def __init__(self, now: float) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str, _Session] = {}
        self._by_path_id: dict[str, _Session] = {}
        #: Hex digits of the replies in all sessions.
        self._size = 0
        self._idle_since = now

    def expect(
        self, session: str, path_ids: Sequence[str], until: float, forget: Sequence[str] = ()
    ) -> None:
        """Expect replies with these path_ids for ``session``.

        :raises RefusedError: malformed parameters, or too many expected replies.
        """
        if not _is_hex(session, 16) or not all(_is_hex(each, 32) for each in path_ids):
            raise RefusedError("session is 16 bytes, pathsecrets are of 32 bytes, in hex")
        if not math.isfinite(until):
            raise RefusedError("until is a time in UNIX seconds")
        with self._lock:
            found = self._sessions.get(session)
            for path_id in forget:
                if found is not None and self._by_path_id.get(path_id) is found:
                    del self._by_path_id[path_id]
                    found.path_ids.discard(path_id)
            new = [each for each in path_ids if each not in self._by_path_id]
            if len(self._by_path_id) + len(new) > MAX_PATH_IDS or (
                found is None and len(self._sessions) >= MAX_SESSIONS
            ):
                raise RefusedError("other commands expect too many replies already")
            if found is None:
                found = self._sessions[session] = _Session(until)
            found.until = until
            for path_id in new:
                found.path_ids.add(path_id)
                self._by_path_id[path_id] = found

    def replies(self, session: str, received: int, respond: Respond) -> None:
        """Call ``respond`` once the session has more than ``received`` replies, or ends.

        :raises RefusedError: no such session.
        """
        with self._lock:
            found = self._sessions.get(session)
            if found is None:
                raise RefusedError("no such session")
            found.answer()
            found.respond = respond
            self._size -= found.drop(max(received - found.received, 0))
            found.received = max(received, found.received)
            if found.replies:
                found.answer()

    def on_message(self, message: Mapping[str, Any]) -> bool:
        """Take an onion message if it is an expected reply.

        :returns: False when it is not one: it is for somebody else.
        """
        path_id = message.get("pathsecret")
        with self._lock:
            session = self._by_path_id.get(path_id) if isinstance(path_id, str) else None
            if session is None or not isinstance(path_id, str):
                return False
            error = message.get("invoice_error")
            if (
                isinstance(error, str)
                and not _has_other_payload(message)
                and len(error) <= MAX_REPLY_SIZE
                and path_id in session.path_ids
                and self._size + len(error) <= MAX_REPLIES_SIZE
            ):
                # Each message gets one reply: we drop a repeated one.
                session.path_ids.discard(path_id)
                session.replies.append({"pathsecret": path_id, "invoice_error": error})
                self._size += len(error)
                session.answer()
            return True

    def expire(self, now: float) -> None:
        """End the sessions whose time is over."""
        with self._lock:
            over = [name for name, each in self._sessions.items() if each.until <= now]
            for name in over:
                session = self._sessions.pop(name)
                session.answer()
                self._size -= session.drop(len(session.replies))
            if over:
                self._by_path_id = {
                    path_id: each for path_id, each in self._by_path_id.items() if each.until > now
                }
            if self._sessions:
                self._idle_since = now

    def is_idle(self, now: float) -> bool:
        """Whether nobody has waited for a reply for IDLE_SECONDS."""
        with self._lock:
            return not self._sessions and now - self._idle_since >= IDLE_SECONDS


def _has_other_payload(message: Mapping[str, Any]) -> bool:
    """Whether an onion message has a payload field besides an invoice_error.

    BOLT 4, "Onion Messages": a message with several payload fields is ignored. Those are the
    types from 64 on, known to lightningd or not.
    """
    unknown = message.get("unknown_fields")
    return (
        "invoice" in message
        or "invoice_request" in message
        or any(
            isinstance(each, Mapping)
            and isinstance(each.get("number"), int)
            and each["number"] >= _FIRST_PAYLOAD_TYPE
            for each in (unknown if isinstance(unknown, list) else ())
        )
    )


def _is_hex(text: object, size: int) -> bool:
    return (
        isinstance(text, str)
        and len(text) == size * 2
        and all(character in "0123456789abcdef" for character in text)
    )


def main() -> None:
    """Run as a plugin of lightningd."""
    # lightningd waits until this has started, and imports leave no garbage.
    gc.disable()
    pyln: Any = load("plugin", "Plugin")
    gc.enable()
    RpcException = pyln.RpcException  # noqa: N806

    # lightningd crashes when a hook answers with an error.
    pyln.hook_fallbacks["onion_message_recv_secret"] = CONTINUE

    plugin = pyln.Plugin(dynamic=True)
    registry = Registry(time.time())

    def expect(
        session: str,
        pathsecrets: list[str],
        until: float,
        forget: Sequence[str] = (),
        **_: object,
    ) -> dict[str, Any]:
        """Used by sendinvoice."""
        try:
            registry.expect(session, pathsecrets, float(until), forget)
        except RefusedError as refusal:
            raise RpcException(str(refusal), -32602) from None
        return {}

    def replies(request: Any, session: str, received: int, **_: object) -> None:
        """Used by sendinvoice."""
        try:
            registry.replies(session, int(received), request.set_result)
        except RefusedError as refusal:
            request.set_exception(RpcException(str(refusal), UNKNOWN_SESSION))

    def on_message(onion_message: Mapping[str, Any], **_: object) -> dict[str, str]:
        return RESOLVED if registry.on_message(onion_message) else CONTINUE

    plugin.add_method(EXPECT, expect)
    plugin.add_method(REPLIES, replies, background=True)
    plugin.add_hook("onion_message_recv_secret", on_message)

    def keep_house() -> None:
        while True:
            time.sleep(_TICK_SECONDS)
            registry.expire(time.time())
            if registry.is_idle(time.time()):
                _leave(plugin)

    threading.Thread(target=keep_house, daemon=True).start()
    plugin.run()


def _leave(plugin: Any) -> None:
    """Let lightningd stop this plugin, so that it gets no more calls."""
    try:
        plugin.rpc.call("plugin", {"subcommand": "stop", "plugin": os.path.abspath(sys.argv[0])})
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
