"""Connections that failed a short while ago, so that no row of a batch waits for them again."""

import math
from collections.abc import Callable
from typing import NamedTuple

from ...errors import LightningdError
from ..rpc.client import NoAnswerError

#: Seconds for which we remember that a connection failed.
FAILED_SECONDS = 60


class _Failure(NamedTuple):
    error: LightningdError | NoAnswerError
    at: float
    patience: float


class Failures:
    """How connections to nodes (33-byte ids) failed.

    :param clock: tells the time in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: dict[bytes, _Failure] = {}

    def add(
        self, node: bytes, error: LightningdError | NoAnswerError, patience: float = math.inf
    ) -> None:
        """Note that a connection failed.

        :param patience: seconds that it was given; math.inf when lightningd gave up by itself.
        """
        self._failures[node] = _Failure(error, self._clock(), patience)

    def find(self, node: bytes, patience: float) -> LightningdError | NoAnswerError | None:
        """How a connection has failed; None if it is worth a try.

        :param patience: seconds that it would get; it is worth another try with more than before.
        """
        failure = self._failures.get(node)
        if failure is None or patience > failure.patience:
            return None
        return failure.error if 0 <= self._clock() - failure.at < FAILED_SECONDS else None
