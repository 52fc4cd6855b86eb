"""Mutate requests, and check that each is read or refused as it should be."""

from __future__ import annotations

import argparse
import inspect
import math
import random
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sendinvoice_cli.bolt12 import blinded_path, fields, invoice_request, string, tlv
from sendinvoice_cli.bolt12.tlv import Record
from sendinvoice_cli.errors import MalformedError, UnanswerableRequestError
from tests.support import vectors
from tests.support.requests_builder import NODE_ID, path, request_string

from .rules import broken_rule

MAX_SECONDS = 0.05
#: Memory is measured for one request in this many, since that is slow.
MEMORY_EVERY = 50


@dataclass
class Figures:
    """What one run has seen."""

    tried: int = 0
    accepted: int = 0
    longest_seconds: float = 0
    most_memory: int = 0
    refusals: Counter[str] = field(default_factory=Counter)


class FoundError(Exception):
    """Something that must not be; the text holds the request."""


def check(text: str, figures: Figures, max_seconds: float = MAX_SECONDS) -> None:
    """Read one request.

    :param max_seconds: what it may take.
    :raises FoundError: it was not read or refused as it should be.
    """
    figures.tried += 1
    started = time.perf_counter()
    refusal = _read(text)
    seconds = time.perf_counter() - started
    if seconds > max_seconds:
        # Once more, since a busy machine may be to blame.
        seconds = min(seconds, *(_seconds(text) for _ in range(3)))
        if seconds > max_seconds:
            raise FoundError(f"took {seconds:.3f} s: {text}")
    figures.longest_seconds = max(figures.longest_seconds, seconds)
    if figures.tried % MEMORY_EVERY == 0:
        _measure_memory(text, figures)
    if refusal is None:
        figures.accepted += 1
        rule = broken_rule(text)
        if rule is not None:
            raise FoundError(f"accepted, and breaks {rule}: {text}")
    else:
        figures.refusals[refusal.split(":")[0]] += 1


def _read(text: str) -> str | None:
    """Why the request is refused, None when it is not."""
    try:
        invoice_request.decode(text)
    except (MalformedError, UnanswerableRequestError) as refusal:
        if not refusal.message:
            raise FoundError(f"refused without a word: {text}") from None
        return refusal.message
    except Exception as failure:
        raise FoundError(f"{type(failure).__name__}: {failure}: {text}") from failure
    return None


def _seconds(text: str) -> float:
    started = time.perf_counter()
    _read(text)
    return time.perf_counter() - started


def _measure_memory(text: str, figures: Figures) -> None:
    tracemalloc.start()
    _read(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    figures.most_memory = max(figures.most_memory, peak)
    if peak > 64 * len(text) + 1_000_000:
        raise FoundError(f"took {peak} bytes of memory: {text}")


def seeds() -> list[str]:
    """Valid requests of every kind, and the strings of the BOLT vectors."""
    everything: dict[int, bytes | None] = {
        fields.OFFER_METADATA: b"\x01\x02",
        fields.OFFER_CURRENCY: b"EUR",
        fields.OFFER_AMOUNT: b"\x64",
        fields.OFFER_ABSOLUTE_EXPIRY: tlv.encode_tu(4_000_000_000),
        fields.OFFER_ISSUER: "Käse & Brot".encode(),
        fields.OFFER_QUANTITY_MAX: b"\x05",
        fields.INVREQ_CHAIN: bytes(32),
        fields.INVREQ_FEATURES: b"\x02",
        fields.INVREQ_QUANTITY: b"\x03",
        fields.INVREQ_PAYER_NOTE: b"thank you",
        fields.INVREQ_PATHS: path(NODE_ID, 3).encode() + path(NODE_ID, 1).encode(),
        fields.INVREQ_BIP_353_NAME: b"\x03bob\x0bexample.org",
        159: b"odd",
        2_000_000_001: bytes(100),
    }
    found = [
        request_string(),
        request_string(sign=False),
        request_string(everything),
        request_string(everything, sign=False),
        request_string({fields.INVREQ_PATHS: path(NODE_ID, 200).encode()}, sign=False),
        request_string({1_000_000_001 + 2 * at: b"" for at in range(2000)}),
    ]
    for name, kinds in (
        ("offers", ("accepted", "breaks_a_rule_of_offers", "malformed")),
        ("strings", ("accepted", "refused")),
    ):
        for kind in kinds:
            texts = (vector["text"] for vector in vectors.load(name)[kind])
            found += [text.replace("lno1", "lnr1") for text in texts]
    found.append(vectors.load("signatures")["signed_request"]["text"])
    return found


def mutants(chance: random.Random) -> Iterator[str]:
    """Mutated requests, without end."""
    texts = seeds()
    streams = [data for data in map(_bytes_of, texts) if data]
    while True:
        yield _mutate_bytes(chance, chance.choice(streams))
        yield _mutate_fields(chance, chance.choice(streams))
        yield _mutate_text(chance, chance.choice(texts))


def _bytes_of(text: str) -> bytes:
    try:
        return string.decode(text, "lnr")
    except MalformedError:
        return b""


def _mutate_bytes(chance: random.Random, data: bytes) -> str:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(changed) + 1)
        kind = chance.randrange(3)
        if kind == 0:
            changed[at:at] = chance.randbytes(chance.randint(1, 8))
        elif kind == 1:
            del changed[at : at + chance.randint(1, 8)]
        elif at < len(changed):
            changed[at] = chance.randrange(256)
    return string.encode("lnr", bytes(changed)) if changed else "lnr1"


def _mutate_fields(chance: random.Random, data: bytes) -> str:
    try:
        records = dict(tlv.decode_stream(data))
    except MalformedError:
        return _mutate_bytes(chance, data)
    if chance.random() < 0.5:
        records.pop(fields.SIGNATURE, None)
    for _ in range(chance.randint(1, 3)):
        type_ = chance.choice([*records, *fields.FIELDS, chance.getrandbits(chance.randint(1, 64))])
        kind = chance.randrange(3)
        if kind == 0:
            records.pop(type_, None)
        elif kind == 1:
            records[type_] = chance.randbytes(chance.choice((0, 1, 2, 8, 9, 32, 33, 64, 300)))
        else:
            value = bytearray(records.get(type_, b"\x01"))
            if value:
                value[chance.randrange(len(value))] ^= 1 << chance.randrange(8)
            records[type_] = bytes(value)
    return string.encode(
        "lnr", tlv.encode_stream(Record(*each) for each in sorted(records.items()))
    )


def _mutate_text(chance: random.Random, text: str) -> str:
    changed = list(text)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(changed) + 1)
        character = chance.choice("qpzry9x8+ \n1bioLNR:%\u212a\u202e\0\x1b")
        changed[at : at + chance.randint(0, 2)] = [character]
    mutated = "".join(changed)
    return mutated.upper() if chance.random() < 0.1 else mutated


def run(count: int, seed: int) -> Figures:
    """Try so many mutants."""
    figures = Figures()
    # The first parse of a process loads things.
    _read(request_string())
    for text in mutants(random.Random(seed)):
        check(text, figures)
        if figures.tried >= count:
            return figures
    raise AssertionError


def run_by_coverage(options: list[str]) -> None:
    """Let atheris look for inputs by what they reach, from the seeds, until it is stopped.

    :param options: of libFuzzer.
    """
    import atheris

    figures = Figures()

    def one_input(data: bytes) -> None:
        text = (
            data.decode("utf-8", "replace") if data[:4] == b"lnr1" else string.encode("lnr", data)
        )
        # Instrumented, everything takes longer.
        check(text, figures, max_seconds=math.inf)

    for module in (fields, invoice_request, string, tlv, blinded_path):
        for function in vars(module).values():
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                atheris.instrument_func(function)
    with tempfile.TemporaryDirectory() as corpus:
        for at, text in enumerate(seeds()):
            (Path(corpus) / f"text-{at}").write_text(text, encoding="utf-8")
            (Path(corpus) / f"bytes-{at}").write_bytes(_bytes_of(text))
        atheris.Setup([sys.argv[0], corpus, *options], one_input)
        atheris.Fuzz()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument(
        "--coverage", action="store_true", help="by atheris; what is not known here goes to it"
    )
    arguments, options = parser.parse_known_args()
    if arguments.coverage:
        run_by_coverage(options)
        return
    if options:
        parser.error(f"unrecognized arguments: {' '.join(options)}")
    print(f"seed {arguments.seed}")
    figures = run(arguments.count, arguments.seed)
    print(f"{figures.tried:,} tried, {figures.accepted:,} accepted")
    print(f"longest parse {figures.longest_seconds * 1000:.1f} ms")
    print(f"most memory {figures.most_memory / 1000:,.0f} kB")
    for what, number in figures.refusals.most_common(12):
        print(f"{number:>8,}  {what}")


if __name__ == "__main__":
    main()
