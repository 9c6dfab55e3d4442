"""`review export`: a study as an artifact of kind "review". Nothing vanishes: what isn't decided is listed with its state.

Of every study: `items.jsonl` (each item with versions, reviews and results), `gold.jsonl`, `agreement.json` (overall, by
field and by reviewer), `summary.json`. By kind: rationales in the formats that are trained on, or the file that the
step reads back which the items came from. Reviewers appear under pseudonyms unless names are asked for.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from wardround.artifact import Artifact, InputRef, Workspace, begin, open_artifact
from wardround.review import export_rationales, figures, returned
from wardround.review.snapshot import Item, Snapshot
from wardround.review.study import KINDS
from wardround.store.database import Store

Writer = Callable[[Workspace, Snapshot, list[Item]], dict[str, int]]
WRITERS: Mapping[str, Writer] = {
    "rationale": export_rationales.write,
    "sample": returned.samples,
    "verdict": returned.verdicts,
    "pair": returned.pairs,
    "image": returned.images,
    "item": returned.signed,
}
"""Kind of study → what writes the files of its own; returns what to count."""


def export(store: Store, slug: str, out: Path, *, names: bool = False) -> Artifact:
    """Write the study into `out`. The same study in the same state gives the same bytes."""
    with store.read() as conn:
        snapshot = Snapshot(conn, slug, names=names)
        config = snapshot.config
        told = msgspec.to_builtins(config)
        source = told.pop("source")
        settings = {
            "study": slug, "settings": told, "names": names, "state": snapshot.state(),
            "source": {k: v for k, v in source.items() if k != "path"},
        }  # fmt: skip
        with begin(out, kind="review", config=settings, inputs=_inputs(source, out)) as ws:
            if ws.done is not None:
                return open_artifact(out)
            found = list(snapshot.items())
            items = [i for i in found if i.gold is None]
            ws.write_jsonl("items.jsonl", items)
            ws.write_jsonl("gold.jsonl", (i for i in found if i.gold is not None))
            agreement = _agreement(figures.compute(conn, snapshot.id), snapshot)
            ws.write_json("agreement.json", agreement)
            counts = {
                "items": len(items),
                "gold": len(found) - len(items),
                "reviews": sum(len(i.reviews) for i in items),
                "reviewers": len({r.reviewer for i in items for r in i.reviews}),
            }
            counts |= WRITERS[config.kind](ws, snapshot, items)
            states = dict(sorted(Counter(i.status for i in items).items()))
            ws.write_json(
                "summary.json",
                {"study": slug, "title": config.title, "kind": config.kind, "status": snapshot.status,
                 "states": states, **counts},
            )  # fmt: skip
            return ws.seal(counts=counts, labels=_labels(snapshot, items, source), seed=config.seed)


def _inputs(source: Mapping[str, Any], out: Path) -> list[InputRef]:
    """What the items came from, by the digest it had when the study was opened."""
    return [
        InputRef(
            role=given["role"], kind=given["kind"], digest=given["digest"],
            path=os.path.relpath(given["path"], out.resolve()),
        )
        for given in source.get("inputs", ())
    ]  # fmt: skip


def _agreement(found: figures.Figures, snapshot: Snapshot) -> dict[str, Any]:
    """Figures without what differs between equal exports, reviewers under their pseudonyms."""
    told: dict[str, Any] = msgspec.to_builtins(found)
    raters = {snapshot.who(r.pop("user")): r for r in told["raters"].values()}
    kept = {k: told[k] for k in ("reviews", "first", "all", "windows")}
    return kept | {"raters": dict(sorted(raters.items()))}


_PEOPLE: Mapping[str, tuple[str, str]] = {
    "reviewer": ("评审改写", "revised by reviewers"),
    "panel": ("专家组改写或撰写", "amended or written by the panel"),
}
"""Kind of a version's author → what such a person did with the text."""


def _authors(items: list[Item], kind: str) -> list[str]:
    """Who of this kind wrote any version."""
    return sorted({v.author for i in items for v in i.versions if v.author_kind == kind})


def _labels(snapshot: Snapshot, items: list[Item], source: Mapping[str, Any]) -> list[str]:
    """What must be shown: who wrote it, who looked at it, and what the source had to say."""
    zh, en = KINDS[snapshot.config.kind]
    raters = len({r.reviewer for i in items for r in i.reviews})
    people = (
        f"{zh}：{raters} 名评审参与；评审者身份由本系统账户确认，资质未经核验 / {en}: {raters} reviewers took "
        "part; accounts are this system's, qualifications unverified"
    )
    authors = _authors(items, "model")
    labels = [people]
    if authors:
        wrote = ", ".join(authors)
        labels.append(f"文字由模型撰写（{wrote}） / Written by a model ({wrote})")
    for kind, (by_zh, by_en) in _PEOPLE.items():
        if found := _authors(items, kind):
            texts = sum(v.author_kind == kind for i in items for v in i.versions)
            final = sum(i.standing is not None and i.standing.author_kind == kind for i in items)
            who = ", ".join(found)
            labels.append(
                f"{texts} 份文字由{by_zh}（{who}），其中 {final} 份为现行文本 / {texts} texts were {by_en} ({who}); "
                f"{final} of them stand"
            )
    if any(a.startswith("scripted:") for a in authors):
        labels.append(
            "其中有脚本化替身所写的文字，没有医学内容 / Some of it was written by a scripted stand-in and has no "
            "medical content"
        )
    return list(dict.fromkeys([*labels, *source.get("labels", ())]))
