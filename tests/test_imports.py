"""The one-way rule: a room imports only from rooms below it, and nothing goes round in a circle."""

import ast
from pathlib import Path

import wardround

ROOT = Path(wardround.__file__).parent

# Each layer may import itself and the layers above it in this list. Rooms of one layer are strangers,
# except the ground floor, whose files form an order of their own (checked for cycles below).
LAYERS = [
    {"__init__", "errors", "records", "progress", "rows", "sheets", "choices", "taxonomy"},
    {"artifact", "journal", "lineage", "metrics", "store"},
    {"models", "engine", "images"},
    {"corpus", "benchmarks", "tuning", "review", "survey", "assist"},
    {"governance"},
    {"report"},
    {"web", "demo", "listing"},
    {
        "cli",
        "cli_build",
        "cli_common",
        "cli_eval",
        "cli_exchange",
        "cli_images",
        "cli_people",
        "cli_prefer",
        "cli_reports",
        "cli_review",
        "cli_review_open",
        "cli_serve",
        "cli_survey",
        "cli_survey_tables",
        "cli_training",
        "cli_tune",
        "__main__",
    },
]
ROOMS_THAT_NEVER_MEET = LAYERS[3]
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def modules() -> dict[str, Path]:
    out = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts
        out[".".join(parts)] = path
    return out


def imports(path: Path) -> set[str]:
    """Dotted names under wardround that a file imports anywhere, functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; name the room in full"
            found |= {f"{node.module}.{a.name}" for a in node.names} | {str(node.module)}
    known = modules()
    inside = {n.removeprefix("wardround.") for n in found if n.startswith("wardround.")}
    return {n for n in inside if n in known}


def room(name: str) -> str:
    return name.split(".")[0]


def test_every_room_has_a_place() -> None:
    assert {room(m) for m in modules()} <= set(LEVEL)


def test_imports_point_one_way() -> None:
    against = [
        f"{module} imports {other}"
        for module, path in modules().items()
        for other in imports(path)
        if LEVEL[room(other)] > LEVEL[room(module)]
    ]
    assert not against


def test_rooms_meet_only_through_artifacts() -> None:
    met = [
        f"{module} imports {other}"
        for module, path in modules().items()
        for other in imports(path)
        if room(module) in ROOMS_THAT_NEVER_MEET
        and room(other) in ROOMS_THAT_NEVER_MEET
        and room(module) != room(other)
    ]
    assert not met


def test_no_cycles() -> None:
    """At module level only top-level imports count: a package's __init__ may name its own files."""
    graph = {
        m: {o for o in imports(p) if o != m and not m.startswith(o + ".")}
        for m, p in modules().items()
    }
    for module in graph:
        package = [o for o in graph[module] if o.startswith(module + ".")]
        for inner in package:
            graph[inner] = graph[inner] - {module}
    state: dict[str, int] = {}

    def visit(module: str, trail: tuple[str, ...]) -> None:
        if state.get(module) == 2:
            return
        assert state.get(module) != 1, " → ".join((*trail, module))
        state[module] = 1
        for other in sorted(graph[module]):
            visit(other, (*trail, module))
        state[module] = 2

    for module in graph:
        visit(module, ())
