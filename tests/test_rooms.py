"""What import-linter cannot say of the rooms, and what a command really loads."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import pytest

import sendinvoice_cli
from sendinvoice_cli.bolt12 import invoice
from tests.docs.mdoc import ROOT
from tests.support import rpc_server
from tests.support.requests_builder import request_string, signed_invoice, unsigned_invoice

_PACKAGE = Path(sendinvoice_cli.__file__).parent

#: Other people's packages, and the only rooms or modules that may import them.
_THIRD_PARTIES: dict[str, set[str]] = {
    "click": {"cli", "sandbox"},
    "coincurve": {"bolt12", "onion", "sandbox"},
    "cryptography": {"bolt12", "onion", "sandbox"},
    # node.rpc.pyln_modules imports its modules by name.
    "pyln": set(),
    "rich": {"render"},
}


class _Import(NamedTuple):
    module: str  # which imports, such as node.client
    name: str  # what it imports, in full; for this package without its own name
    is_ours: bool
    at_start: bool  # as soon as the module is imported
    line: int


def _imports(path: Path) -> Iterator[_Import]:
    parts = path.relative_to(_PACKAGE).with_suffix("").parts
    module = ".".join(parts)

    def walk(node: ast.AST, at_start: bool) -> Iterator[_Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield _Import(module, alias.name, False, at_start, child.lineno)
            elif isinstance(child, ast.ImportFrom):
                base = list(parts[: len(parts) - child.level]) if child.level else []
                names = [*base, *(child.module.split(".") if child.module else [])]
                for alias in child.names:
                    name = ".".join([*names, alias.name])
                    yield _Import(module, name, child.level > 0, at_start, child.lineno)
            else:
                inner = at_start and not isinstance(
                    child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
                )
                if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                    inner = False
                yield from walk(child, inner)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), True)


_FILES = sorted(_PACKAGE.rglob("*.py"))
_IMPORTS = [each for path in _FILES for each in _imports(path)]


def _show(found: list[_Import]) -> list[str]:
    return [f"{each.module}:{each.line} imports {each.name}" for each in found]


def test_imports_are_found() -> None:
    """The rules below would hold for an empty package, too."""
    names = {(each.module, each.name) for each in _IMPORTS}
    assert ("cli.command", "click") in names
    assert ("bolt12.invoice", "bolt12.fields") in names
    assert any(each.name.startswith("rich.") and not each.at_start for each in _IMPORTS)


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("bolt12/string.py", "import socket", "pure"),
        ("node/info.py", "from ..answering import order", "rooms"),
        ("node/rpc/client.py", "from ..ways import graph", "node"),
        ("render/text.py", "from ..node import info", "render"),
        ("answering/waiting.py", "import asyncio", "asyncio"),
        ("batch/rows.py", "import click", "third-parties"),
        ("sandbox/behaviour.py", "from .model import node", "sandbox"),
    ],
)
def test_the_contracts_can_be_broken(tmp_path: Path, module: str, line: str, contract: str) -> None:
    """import-linter holds them in make check; this shows that it would notice."""
    shutil.copytree(_PACKAGE, tmp_path / "sendinvoice_cli")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "sendinvoice_cli" / module
    path.write_text(path.read_text(encoding="utf-8") + f"\n{line}\n", encoding="utf-8")
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--contract", contract],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "1 broken" in done.stdout


def test_no_two_modules_of_a_room_share_a_name() -> None:
    paths = [path.relative_to(_PACKAGE) for path in _FILES if path.stem != "__init__"]
    names = Counter((path.parts[0] if len(path.parts) > 1 else "", path.stem) for path in paths)
    assert [name for name, number in names.items() if number > 1] == []


def _table(header: str) -> dict[str, str]:
    """The first and the last cell of each row of a table of CONTRIBUTING.md."""
    lines = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()
    rows = takewhile(lambda line: line.startswith("|"), lines[lines.index(header) + 2 :])
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {row[0]: row[-1] for row in cells}


def test_where_to_change_something_exists() -> None:
    cells = _table("| what | go to |").values()
    named = {name for cell in cells for name in re.findall(r"`([\w/]+(?:\.py|/))`", cell)}
    assert len(named) > 10
    assert {name for name in named if not (_PACKAGE / name).exists()} == set()


def test_every_room_is_explained() -> None:
    rooms = {path.relative_to(_PACKAGE).parts[0] for path in _FILES} - {"__init__.py"}
    explained = _table("| room | what lives there |")
    assert {room.strip("`").removesuffix("/") for room in explained} == rooms


def test_the_command_knows_little_of_the_node() -> None:
    known = {each.name for each in _IMPORTS if each.module in ("cli.command", "cli.options")}
    known = {name for name in known if name.startswith("node.")}
    assert {name for name in known if not name.startswith("node.rpc.socket_path")} == set()


def test_nothing_imports_the_command() -> None:
    importers = {each.module for each in _IMPORTS if each.is_ours and each.name.startswith("cli.")}
    assert {name for name in importers if not name.startswith("cli.")} == {"__main__"}


def test_nobody_imports_by_the_full_name() -> None:
    found = [
        each for each in _IMPORTS if each.name.startswith("sendinvoice_cli") and not each.is_ours
    ]
    assert _show(found) == []


def test_third_parties() -> None:
    wrong = []
    for each in _IMPORTS:
        package = each.name.split(".")[0]
        if each.is_ours or package in sys.stdlib_module_names:
            continue
        if not {each.module, each.module.split(".")[0]} & _THIRD_PARTIES.get(package, set()):
            wrong.append(each)
    assert _show(wrong) == []


def test_rich_is_imported_when_there_is_something_to_draw() -> None:
    found = [each for each in _IMPORTS if each.name.split(".")[0] == "rich" and each.at_start]
    assert _show(found) == []


def test_only_the_command_exits() -> None:
    exits = set()
    for path in _FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "sys.exit",
                "exit",
                "quit",
            ):
                exits.add(path.relative_to(_PACKAGE).parts[0])
    assert exits - {"sandbox"} == {"cli"}


def test_streams_of_the_process_are_taken_in_one_place() -> None:
    """Everybody else is handed them, so that tests can hand others."""
    users = set()
    for path in _FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if ast.unparse(node) in ("sys.stdin", "sys.stdout", "sys.stderr"):
                users.add(path.relative_to(_PACKAGE).as_posix())
    assert {user for user in users if not user.startswith("sandbox/")} == {"render/streams.py"}


# --- what is loaded ---

_SCRIPT = """
import json, sys
from sendinvoice_cli import threads
from sendinvoice_cli.cli.command import run
status = run(sys.argv[1:])
threads.join_all(20)
rare = {"pyln", "rich", "asyncio", "sendinvoice_cli.cli.files", "sendinvoice_cli.render.table"}
loaded = sorted({"pyln" if name.startswith("pyln.") else name for name in sys.modules} & rare)
print(json.dumps([int(status), loaded]), file=sys.stderr)
"""


def _run(*args: str, **environment: str) -> tuple[str, int, list[str]]:
    """Run the command in a process of its own: its stdout, exit status, and what it loaded."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith("SENDINVOICE_")
    }
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, *args],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**clean, **environment},
    )
    status, loaded = json.loads(done.stderr.splitlines()[-1])
    return done.stdout, status, loaded


@pytest.mark.parametrize(
    ("args", "status"),
    [
        (["--help"], 0),
        (["--version"], 0),
        ([], 2),
        (["lnr1qq"], 2),
        (["lnr1qq", "label", "0.5msat"], 2),
        (["lnr1qq", "label", "--timeout", "0"], 2),
        (["lnr1qq", "label", "1", "--amount-msat", "1"], 2),
        (["lnr1qq", "label", "--network", "moon"], 2),
        (["lnr1qq", "label", "--unknown"], 2),
    ],
)
def test_help_and_usage_errors_load_little(args: list[str], status: int) -> None:
    assert _run(*args)[1:] == (status, [])


def test_completion_loads_little() -> None:
    completing = {"COMP_WORDS": "sendinvoice --no", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "sendinvoice_cli"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **completing, "_SENDINVOICE_COMPLETE": "bash_complete"},
    )
    assert "--no-connect" in done.stdout
    assert "sendinvoice_cli.cli.command" in done.stderr
    for package in ("pyln", "rich"):
        assert f" {package}" not in done.stderr


def _paid_before(text: str) -> dict[str, object]:
    """lightningd's answers when the request's invoice is paid already."""
    bolt12 = invoice.encode(signed_invoice(unsigned_invoice()))
    stored = {
        "label": "a label",
        "status": "paid",
        "payment_hash": "77" * 32,
        "expires_at": 2**31,
        "amount_msat": 100_000,
        "bolt12": bolt12,
        "description": text,
    }
    return {
        "getinfo": {
            "id": "02" + "11" * 32,
            "alias": "us",
            "network": "bitcoin",
            "version": "v26.06",
            "blockheight": 1,
            "our_features": {"node": (1 << 39).to_bytes(5, "big").hex()},
        },
        "help": {"help": [{"command": "injectonionmessage path_key message"}]},
        "listconfigs": {"configs": {}},
        "listinvoices": {"invoices": [stored]},
    }


@pytest.mark.parametrize(("option", "loaded"), [("--json", ["pyln"]), ("--quiet", ["pyln"])])
def test_output_for_programs_loads_no_rich(tmp_path: Path, option: str, loaded: list[str]) -> None:
    socket = tmp_path / "rpc"
    with rpc_server.serving(socket, rpc_server.answers(_paid_before("\x1b[31m"))):
        out, status, found = _run(request_string(), "a label", option, "--rpc-file", str(socket))
    assert (status, found) == (0, loaded)
    if option == "--json":
        assert json.loads(out)["status"] == "paid"
        assert "\x1b" not in out
    else:
        assert out == ""


def test_importing_pyln_leaves_json_alone() -> None:
    """pyln.client replaces JSONEncoder.default for the whole process."""
    script = (
        "import json; before = json.JSONEncoder.default\n"
        "import sendinvoice_cli.node.rpc.client\n"
        "assert json.JSONEncoder.default is before\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
