"""The picture in ARCHITECTURE.md, held: which way imports point, which library lives in which room, and where
each step of the path has its one home."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.services import ROOT, missing

# What a room may import of ours, beside itself. Every file of app/ and workers/ is in one.
SERVER = ("app.domain", "app.feed", "app.config", "app.metrics")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "app/__init__.py": (),
    "app/domain": (),
    "app/config.py": (),
    "app/loop.py": (),
    "app/embedded.py": (),
    "app/log.py": ("app.config", "app.domain.credentials"),
    "app/reach.py": ("app.config",),
    "app/family.py": ("app.config", "app.embedded"),
    "app/up.py": ("app.config", "app.embedded", "app.family"),
    "app/processes.py": ("app.config", "app.embedded", "app.family"),
    "app/statusfile": ("app.domain",),
    "app/metrics.py": ("app.domain",),
    "app/redis_nodes.py": ("app.config",),
    "app/bell.py": (),
    "app/feed.py": ("app.domain", "app.redis_nodes", "app.bell"),
    "app/security": ("app.config", "app.domain", "app.db"),
    "app/piccolo_conf.py": ("app.config", "app.db"),
    "app/db": (*SERVER, "app.piccolo_conf"),
    "app/markdown.py": (),
    "app/live": (*SERVER, "app.db", "app.security", "app.markdown"),
    "app/outbox.py": ("app.db", "app.feed", "app.metrics"),
    "app/due.py": ("app.db", "app.domain", "app.live"),
    "app/model.py": ("app.domain", "app.db", "app.statusfile"),
    "app/importing": ("app.domain", "app.statusfile"),
    "app/catalog_command.py": (
        *("app.config", "app.domain", "app.db", "app.model", "app.importing", "app.statusfile"),
        *("app.feed", "app.outbox"),
    ),
    "app/assignment.py": (*SERVER, "app.live", "app.db", "app.model", "app.statusfile"),
    "app/run_now.py": ("app.domain", "app.feed"),
    "app/api": (
        *(*SERVER, "app.security", "app.db", "app.live", "app.statusfile", "app.model", "app.run_now"),
    ),
    "app/pages": (
        *(*SERVER, "app.security", "app.db", "app.live", "app.markdown", "app.model", "app.statusfile"),
        "app.run_now",
    ),
    "app/main.py": (
        *(*SERVER, "app.security", "app.db", "app.live", "app.assignment", "app.outbox", "app.due"),
        *("app.api", "app.pages", "app.model"),
    ),
    "app/console.py": ("app.config", "app.db", "app.domain", "app.security"),
    "app/remote.py": ("app.reach",),
    "app/explain.py": ("app.config", "app.domain", "app.feed", "app.db"),
    "app/heartbeats.py": ("app.config", "app.domain", "app.db", "app.security"),
    "app/server.py": (
        *("app.main", "app.config", "app.metrics", "app.db", "app.live", "app.security", "app.loop"),
    ),
    "app/commands": ("app", "workers"),
    "app/cli.py": ("app.commands", "app.config", "app.reach"),
    "workers": ("app.domain", "app.feed", "app.security.egress", "app.config", "app.loop"),
}

PROBES = "workers/probes/"
EGRESS = "app/security/egress.py"
LIVES_IN: dict[str, tuple[str, ...]] = {
    "redis": ("app/feed.py", "app/bell.py", "app/redis_nodes.py"),
    "piccolo": ("app/db/", "app/piccolo_conf.py", "migrations/"),
    "aiosqlite": ("app/db/",),
    "sqlite3": ("app/db/", "app/importing/uptime_kuma.py"),
    "asyncpg": ("app/db/",),
    "litestar": ("app/main.py", "app/live/streams.py", "app/api/", "app/pages/", "app/security/"),
    "uvicorn": ("app/server.py", "app/live/handover.py"),
    "uvloop": ("app/loop.py",),
    "jinja2": ("app/pages/",),
    "babel": ("app/pages/language.py",),
    "brotli": ("app/pages/answer.py",),
    "markdown_it": ("app/markdown.py",),
    "nh3": ("app/markdown.py",),
    "dateutil": ("app/domain/recurrence.py",),
    "yaml": ("app/statusfile/",),
    "cronsim": ("app/domain/heartbeat.py",),
    "prometheus_client": ("app/metrics.py", "app/api/"),
    "httpx": (PROBES,),
    "h11": ("app/security/fetch.py",),
    "argon2": ("app/security/passwords.py",),
    "pyotp": ("app/security/second_factor.py",),
    "joserfc": ("app/security/oidc.py",),
    "ssl": (PROBES, "app/reach.py", "app/security/fetch.py"),
    "dns": (PROBES,),
    "aiodns": (PROBES, EGRESS),
    # To be connected to is not to connect: the others listen, tune what was accepted, or look at a port.
    "socket": (PROBES, EGRESS, "app/server.py", "app/live/peer.py", "app/up.py", "app/reach.py"),
    "urllib.request": (),
    "http.client": ("app/remote.py",),
}

DOMAIN_KNOWS = {
    *(
        "msgspec",
        "bisect",
        "collections",
        "datetime",
        "difflib",
        "enum",
        "functools",
        "hashlib",
        "itertools",
        "math",
        "re",
    ),
    *("struct", "typing"),
    *("cronsim", "dateutil", "zoneinfo"),  # calendars: rules of repetition, and when clocks change
}
VERBS = {
    "judge": "app/domain/standing.py",
    "announce": "app/feed.py",
    "follow": "app/feed.py",
    "fold": "app/domain/board.py",
    "record": "app/db/recorder.py",
    "push": "app/live/hub.py",
}

# In parts, or this file would name them too.
REGISTRIES = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("unpkg", "com"),
        ("jsdelivr", "net"),
        ("proxy", "golang", "org"),
        ("crates", "io"),
    )
]


def files(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(parsed(path)))


def imports(path: Path) -> Iterator[str]:
    """Each name that is imported anywhere in the file, also within a function."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A dot would hide from where.
            yield from (f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)


def inside(name: str, package: str) -> bool:
    return f"{name}.".startswith(f"{package}.")


OURS = [*files("app"), *files("workers")]


def test_every_file_is_in_one_room() -> None:
    homes = {name_of(p): [room for room in MAY_IMPORT if p in files(room)] for p in OURS}
    assert {path: rooms for path, rooms in homes.items() if len(rooms) != 1} == {}


def test_imports_point_one_way() -> None:
    wrong = [
        f"{name_of(path)} imports {name}"
        for room, others in MAY_IMPORT.items()
        for path in files(room)
        for name in imports(path)
        if name.startswith(".") or inside(name, "app") or inside(name, "workers")
        if not any(inside(name, ok) for ok in (room.removesuffix(".py").replace("/", "."), *others))
    ]
    assert wrong == []


def test_nobody_but_the_server_imports_main() -> None:
    wrong = [name_of(path) for path in OURS for name in imports(path) if inside(name, "app.main")]
    assert set(wrong) <= {"app/server.py"}


def test_each_library_has_one_room() -> None:
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in [*OURS, *files("migrations")]
        for name in imports(path)
        for library, rooms in LIVES_IN.items()
        if inside(name, library) and not name_of(path).startswith(rooms)
    ]
    assert wrong == []


def test_the_domain_knows_nothing_but_values() -> None:
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in files("app/domain")
        for name in imports(path)
        if not inside(name, "app.domain") and name.split(".")[0] not in DOMAIN_KNOWS
    ]
    assert wrong == []


def test_the_domain_waits_for_nothing_and_reads_no_clock() -> None:
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in files("app/domain")
        for node in nodes(path)
        if isinstance(node, waiting)
        or (isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"})
        or (isinstance(node, ast.Name) and node.id in {"open", "print", "input"})
    ]
    assert wrong == []


@pytest.mark.parametrize("verb", VERBS)
def test_each_step_of_the_path_has_one_home(verb: str) -> None:
    homes = [
        f"{name_of(path)}:{node.lineno}"
        for path in OURS
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == verb
    ]
    assert [home.partition(":")[0] for home in homes] == [VERBS[verb]], homes


def test_a_patch_is_applied_in_one_place() -> None:
    scripts = sorted((ROOT / "app/static").glob("*.js"))
    defined = re.compile(r"^\s*(?:(?:export\s+)?function\s+|#)?apply\([^)]*\)\s*{", re.MULTILINE)
    homes = [path.name for path in scripts for _ in defined.findall(path.read_text())]
    assert homes == ["board.js"]


def test_no_package_says_anything_but_what_it_is_for() -> None:
    talkative = []
    for path in OURS:
        if path.name == "__init__.py" and not name_of(path).startswith(PROBES):
            body = parsed(path).body
            if body and not (len(body) == 1 and isinstance(body[0], ast.Expr)):
                talkative.append(name_of(path))
    assert talkative == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [name_of(path) for path in OURS if not ast.get_docstring(parsed(path))]
    assert silent == []


SHELLS = {"os.system", "os.popen", "asyncio.create_subprocess_shell", "subprocess.getoutput"}


def test_nothing_is_given_to_a_shell() -> None:
    wrong = []
    for path in [*OURS, *files("bench"), ROOT / "statuswire"]:
        wrong += [f"{name_of(path)} imports {name}" for name in imports(path) if name in SHELLS]
        for node in nodes(path):
            if isinstance(node, ast.keyword) and node.arg == "shell":
                wrong.append(f"{name_of(path)}:{node.value.lineno} shell=")
            if isinstance(node, ast.Attribute) and ast.unparse(node) in SHELLS:
                wrong.append(f"{name_of(path)}:{node.lineno} {ast.unparse(node)}")
    assert wrong == []


def committed() -> list[Path]:
    """And what would be, if everything were committed now."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        missing("git, or this is not a clone:")
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_names_a_package_registry() -> None:
    """Where packages come from is the business of whoever installs them."""
    wrong = [
        f"{name_of(path)} names {host}"
        for path in committed()
        for host in REGISTRIES
        if host.encode() in path.read_bytes().lower()
    ]
    assert wrong == []


def test_the_locks_name_no_place_at_all() -> None:
    locks = [path for path in committed() if path.suffix == ".lock"]
    assert [name_of(path) for path in locks if "://" in path.read_text()] == []
    assert locks


def loaded(code: str) -> set[str]:
    """The modules of a new process that has run `code`."""
    told = f"{code}\nimport sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_a_worker_carries_neither_web_server_nor_database() -> None:
    modules = loaded("import workers.main, workers.patrol, workers.probes")
    assert "app.feed" in modules
    server = ("litestar", "piccolo", "uvicorn", "jinja2", "prometheus_client", "app.db", "app.live")
    assert sorted(name for name in modules if any(inside(name, it) for it in server)) == []


def test_a_mistyped_command_loads_nothing_heavy() -> None:
    heavy = ("litestar", "piccolo", "uvicorn", "redis", "httpx", "asyncpg", "yaml")
    assert sorted(name for name in loaded("import app.cli") if any(inside(name, it) for it in heavy)) == []
