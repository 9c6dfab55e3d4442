"""Where an artifact comes from: its inputs, theirs, and so on, as far as they lie where they were.

Every node is known by its digest. The diagram leaves out edges that a longer way already shows, and files that
are part of an artifact drawn anyway; the list beside it leaves out nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from markupsafe import Markup

from wardround.records import Record
from wardround.report.formats import Names, kind_names, short
from wardround.report.reading import Input, Source, open_input
from wardround.report.svg import chart, tag, text, width_of

ROLES = {
    "dataset": Names("数据集", "dataset"),
    "base": Names("基础模型", "base model"),
    "tuned": Names("微调模型", "tuned model"),
    "run_base": Names("评测·微调前", "run of the base"),
    "run_tuned": Names("评测·微调后", "run of the tuned"),
    "comparison": Names("对比", "comparison"),
    "source": Names("源文件", "source"),
    "preferences": Names("医生偏好", "doctors' preferences"),
    "human_scores": Names("医生评分", "doctors' scores"),
    "questions": Names("题目", "questions"),
    "candidates": Names("推理候选", "candidates"),
    "sheet": Names("抽查表", "checking sheet"),
    "items": Names("题集", "items"),
    "taxonomy": Names("任务清单", "task list"),
    "inspiration": Names("启发阶段", "inspiration stage"),
}


class Node(Record, frozen=True, kw_only=True):
    """One artifact or file of the lineage. `inputs` are digests of other nodes."""

    digest: str
    kind: str
    names: Names
    file: str
    problem: Names | None
    labels: tuple[str, ...]
    inputs: tuple[str, ...]
    inside: bool = False


def collect(source: Source) -> dict[str, Node]:
    """digest → node for `source` and everything behind it, `source` first, names from the nearest user."""
    nodes: dict[str, Node] = {}
    root = source.digest or source.config_digest
    nodes[root] = _node(source, root, kind_names(source.kind), None)
    queue = [source]
    while queue:
        user = queue.pop(0)
        homes = [r.path for r in user.inputs if r.kind not in {"file", "directory"}]
        for r in user.inputs:
            if r.digest in nodes:
                continue
            found = open_input(user, r)
            inside = r.kind == "file" and any(r.path.startswith(h + "/") for h in homes)
            names = ROLES.get(r.role, Names(r.role) if ":" not in r.role else Names("数据", "data"))
            if found.source is None or found.problem is not None:
                nodes[r.digest] = _leaf(found, names, inside)
                continue
            nodes[r.digest] = _node(found.source, r.digest, _better(names, r.role, r.kind), None)
            queue.append(found.source)
    return nodes


def _better(names: Names, role: str, kind: str) -> Names:
    return names if role in ROLES else kind_names(kind)


def _node(source: Source, digest: str, names: Names, problem: Names | None) -> Node:
    return Node(
        digest=digest, kind=source.kind, names=names, file=source.name, problem=problem,
        labels=source.labels, inputs=tuple(dict.fromkeys(r.digest for r in source.inputs)),
    )  # fmt: skip


def _leaf(found: Input, names: Names, inside: bool) -> Node:
    r = found.ref
    return Node(
        digest=r.digest, kind=r.kind, names=names, file=r.path.rstrip("/").rpartition("/")[2],
        problem=found.problem, labels=(), inputs=(), inside=inside,
    )  # fmt: skip


def labels(nodes: Mapping[str, Node]) -> list[str]:
    """Every label in the lineage once, the nearest artifact's first."""
    return list(dict.fromkeys(label for node in nodes.values() for label in node.labels))


def section(source: Source, nodes: Mapping[str, Node]) -> dict[str, Any]:
    """What the lineage part of a page shows."""
    users: dict[str, list[str]] = {}
    for node in nodes.values():
        for digest in node.inputs:
            users.setdefault(digest, []).append(node.file)
    return {
        "svg": diagram(nodes),
        "nodes": [
            {"node": n, "kind": kind_names(n.kind), "used": users.get(d, [])}
            for d, n in nodes.items()
        ],
        "name": source.name,
        "sealed": source.manifest is not None,
        "problems": [n for n in nodes.values() if n.problem],
    }


BOX, TALL, GAP, ROW = 122, 74, 24, 88
MOST = 10
"""Boxes above one another up to which a diagram is still one to read; beyond it the table does."""


def diagram(nodes: Mapping[str, Node]) -> Markup:
    """Left to right: sources, dataset, models, runs, comparison, report; "" where it would be too tall."""
    drawn = {d: n for d, n in nodes.items() if not n.inside}
    edges = _reduced({d: [i for i in n.inputs if i in drawn] for d, n in drawn.items()})
    layers, ways = _layers(edges)
    columns = len(layers)
    tallest = max(len(layer) for layer in layers)
    if tallest > MOST:
        return Markup("")
    width = columns * (BOX + GAP) - GAP + 8
    height = tallest * ROW + 4
    at: dict[str, tuple[float, float]] = {}
    for i, layer in enumerate(layers):
        for j, key in enumerate(layer):
            y = height / 2 + (j - (len(layer) - 1) / 2) * ROW
            at[key] = (width - 4 - BOX - i * (BOX + GAP), y)
    parts: list[str] = [_curve([at[k] for k in way]) for way in ways]
    parts += [_box(node, *at[d]) for d, node in drawn.items()]
    said = "；".join(f"{n.names.zh} {short(d)}" for d, n in drawn.items())
    return chart(width, height, f"来源图 lineage: {said}", *parts, least=width * 0.85)


def _box(node: Node, x: float, y: float) -> Markup:
    klass = "box problem" if node.problem else f"box {node.kind}"
    name = node.names.zh if node.problem is None else f"⚠ {node.names.zh}"
    file = node.file if width_of(node.file, 10.5) < BOX - 16 else node.file[:15] + "…"
    return tag(
        "g",
        tag("title", f"{node.file} · {node.kind} · {node.digest}"),
        tag("rect", x=x, y=y - TALL / 2, width=BOX, height=TALL, rx=5, class_=klass),
        text(x + 9, y - 19, name, class_="name zh" if node.names.en else "name"),
        text(x + 9, y - 4, node.names.en, class_="en"),
        text(x + 9, y + 11, file, class_="path"),
        text(x + 9, y + 26, short(node.digest), class_="digest"),
    )


def _curve(way: Sequence[tuple[float, float]]) -> Markup:
    """From the user's left side back to the input's right side, over the points between."""
    x, y = way[0]
    path = f"M{x:.1f},{y:.1f}"
    for i, (a, b) in enumerate(way[1:], start=1):
        end = a + BOX
        path += f" C{x - GAP / 2:.1f},{y:.1f} {end + GAP / 2:.1f},{b:.1f} {end:.1f},{b:.1f}"
        if i < len(way) - 1:
            path += f" L{a:.1f},{b:.1f}"
        x, y = a, b
    return tag("path", d=path, class_="edge")


def _reduced(edges: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Without the edges that another way already makes."""

    @cache
    def behind(key: str) -> frozenset[str]:
        direct = edges.get(key, ())
        return frozenset(direct).union(*(behind(o) for o in direct))

    return {
        key: [o for o in others if not any(o in behind(p) for p in others if p != o)]
        for key, others in edges.items()
    }


def _layers(edges: Mapping[str, Sequence[str]]) -> tuple[list[list[str]], list[list[str]]]:
    """Nodes by distance from the root (the longest way), and each edge's way through places kept free."""
    depth: dict[str, int] = {}

    def settle(key: str, at: int) -> None:
        if depth.get(key, -1) >= at:
            return
        depth[key] = at
        for other in edges.get(key, ()):
            settle(other, at + 1)

    settle(next(iter(edges)), 0)
    layers: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for key in edges:
        if key in depth:
            layers[depth[key]].append(key)
    ways = []
    for key, others in edges.items():
        for other in others:
            way = [key]
            for at in range(depth[key] + 1, depth[other]):
                way.append(f"{key}>{other}@{at}")
                layers[at].append(way[-1])
            ways.append([*way, other])
    _untangle(layers, ways)
    return layers, ways


def _untangle(layers: list[list[str]], ways: Sequence[Sequence[str]]) -> None:
    """Order each layer by where its users stand."""
    users: dict[str, list[str]] = {}
    for way in ways:
        for a, b in itertools.pairwise(way):
            users.setdefault(b, []).append(a)
    for before, layer in itertools.pairwise(layers):
        place = {key: i - (len(before) - 1) / 2 for i, key in enumerate(before)}

        def mean(key: str, place: dict[str, float] = place) -> float:
            found = [place[u] for u in users.get(key, ()) if u in place]
            return sum(found) / len(found) if found else 0.0

        layer.sort(key=mean)
