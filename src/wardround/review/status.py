"""How a study stands, for the command line: progress, agreement, what waits for a model, the panel's queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from wardround.metrics.panel import MEASURES, REASONS
from wardround.review import figures, jobs, opening, panel, progress
from wardround.review.snapshot import moment
from wardround.review.study import ITEM_STATES, KINDS
from wardround.store.database import Store


def status(store: Store, slug: str) -> dict[str, Any]:
    """Everything, as plain values."""
    with store.read() as conn:
        row = opening.study_row(conn, slug)
        config = opening.read_config(row["config"])
        waiting = jobs.waiting(conn, row["id"])
        members = [
            {"name": r.name, "reviews": r.done, "planned": r.planned, "active": r.active}
            for r in progress.reviewers(conn, row["id"])
        ]
        found = figures.compute(conn, row["id"])
        return {
            "study": slug,
            "title": config.title,
            "kind": config.kind,
            "status": row["status"],
            "overview": msgspec.to_builtins(progress.overview(conn, row["id"])),
            "reviewers": members,
            "agreement": msgspec.to_builtins(found.first) if found.reviews else [],
            "agreement_all_rounds": msgspec.to_builtins(found.all) if found.reviews else [],
            "drafts": msgspec.to_builtins(waiting)
            | {"next_due": moment(waiting.next_due) if waiting.next_due else None},
            "panel": [
                {"id": r["key"], "rounds": r["round"], "strikes": r["strikes"]}
                for r in panel.queue(conn, row["id"])
            ],
        }


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The same in a few lines, Chinese first."""
    view = found["overview"]
    zh, en = KINDS[found["kind"]]
    yield f"{found['study']} · {found['title']} · {zh} {en} · {found['status']}"
    states = "，".join(f"{' '.join(ITEM_STATES[s])} {n}" for s, n in view["states"].items() if n)
    yield f"{view['final']} / {view['items']} 项完成 items final；{states}"
    done, wanted = view["reviews"]
    yield f"{done} / {wanted} 份评审 reviews；金标准 gold {view['gold']}"
    strikes = "，".join(f"{k} 次 {n} 项" for k, n in view["strikes"].items() if str(k) != "0")
    if strikes:
        yield f"未通过轮次 strikes: {strikes}"
    for name, n in view["unassigned"].items():
        yield f"! {name}: {n} 个名额无人可评 slots nobody may take"
    for r in found["reviewers"]:
        yield f"  {r['name']}: {r['reviews']} / {r['planned']}"
    if found["agreement"]:
        yield "一致性（首轮，改动之前） agreement in first rounds, before anything was changed:"
        yield from _agreement(found["agreement"])
    if found["agreement_all_rounds"]:
        yield "一致性（全部轮次） agreement in all rounds:"
        yield from _agreement(found["agreement_all_rounds"])
    drafts = found["drafts"]
    if drafts["queued"] or drafts["running"]:
        due = f"，下次 next {drafts['next_due']}" if drafts["next_due"] else ""
        yield f"等模型 drafts: {drafts['queued']} 排队 queued，{drafts['running']} 进行中 running{due}"
    for error, n in drafts["errors"].items():
        yield f"! {n} × {error}"
    if found["panel"]:
        yield f"待专家组 before the panel: {', '.join(p['id'] for p in found['panel'])}"


def _agreement(dimensions: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for dimension in dimensions:
        measures = dimension["measures"]
        reasons = {m["undefined"] for m in measures}
        told = "；".join(map(_measure, measures))
        if len(reasons) == 1 and None not in reasons:
            told = " ".join(REASONS[reasons.pop()])
        yield f"  {dimension['field']}: {told}"


def _measure(m: Mapping[str, Any]) -> str:
    name = MEASURES[m["measure"]][0]
    if m["value"] is None:
        return f"{name} {REASONS[m['undefined']][0]}"
    between = "" if m["low"] is None else f" [{m['low']:.2f}, {m['high']:.2f}]"
    return f"{name} {m['value']:.2f}{between}"


def studies(store: Store) -> list[dict[str, Any]]:
    """All studies, one row each."""
    with store.read() as conn:
        found = progress.studies(conn)
    return [
        {
            "slug": s.slug, "title": opening.read_config(s.config).title,
            "kind": opening.read_config(s.config).kind, "status": s.status, "items": s.items,
            "final": s.final, "states": s.states, "members": s.members, "errors": s.errors,
        }
        for s in found
    ]  # fmt: skip
