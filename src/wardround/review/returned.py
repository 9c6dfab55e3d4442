"""What reviews of other steps' work give back, each in the form the step reads.

sample   sheet.csv          the checking sheet filled in, for `wardround sample DATASET --read`
verdict  scores.csv         item, rater, score …, for `wardround agree RUN`
pair     verdicts.jsonl     un-blinded; preferences.jsonl for `wardround prefer`
image    sheet.csv          a line for each expert and claim, for `wardround loop extend`
item     NAME.jsonl         the test set with its signed items; findings.jsonl says what is wrong with the others
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median_low
from typing import Any

from wardround.artifact import MANIFEST, Workspace, open_artifact, sha256_file, write_atomically
from wardround.errors import ArtifactError
from wardround.review.snapshot import Item, Review, Snapshot
from wardround.rows import read_json_rows
from wardround.sheets import inert

SAMPLE_WORDS = {"good": "合格", "minor": "有小问题", "bad": "不合格"}
GRAVITY = ("good", "minor", "bad")
SHEET = (
    "benchmark", "case", "claim", "in_truth", "made_by", "not_made_by", "reasons", "words",
    "verdict", "type", "place", "wrong", "right", "expert", "note",
)  # fmt: skip
"""The columns of a disagreement list's sheet."""


def _put_csv(
    ws: Workspace, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]], *, bom: bool = True
) -> int:  # fmt: skip
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    count = 0
    for row in rows:
        writer.writerow([inert(str(cell)) for cell in row])
        count += 1
    write_atomically(ws.file(name), text.getvalue().encode("utf-8-sig" if bom else "utf-8"))
    return count


def _comments(reviews: Sequence[Review]) -> str:
    return "\n".join(f"{r.reviewer}：{r.comment.strip()}" for r in reviews if r.comment.strip())


# -- samples ------------------------------------------------------------------------------------------------


def samples(ws: Workspace, snapshot: Snapshot, items: list[Item]) -> dict[str, int]:
    """The sheet with the middle verdict of its reviewers (of two, the graver), and one sheet for each reviewer."""
    source = snapshot.config.source
    header, columns = source["header"], source["columns"]

    def filled(item: Item, verdict: str, comment: str) -> list[str]:
        cells = [*item.data["cells"], *[""] * (len(header) - len(item.data["cells"]))]
        cells[columns["verdict"]] = SAMPLE_WORDS.get(verdict, "")
        if columns["comment"] >= 0:
            cells[columns["comment"]] = comment
        return cells

    def middle(reviews: Sequence[Review]) -> str:
        # The low median counted from the graver end: of two different verdicts the graver stands.
        found = [-GRAVITY.index(r.scores["verdict"]) for r in reviews]
        return GRAVITY[-median_low(found)] if found else ""

    rows = [filled(i, middle(i.reviews), _comments(i.reviews)) for i in items]
    _put_csv(ws, "sheet.csv", header, rows)
    people = sorted({r.reviewer for i in items for r in i.reviews})
    for who in people:
        own = [(i, [r for r in i.reviews if r.reviewer == who]) for i in items]
        _put_csv(
            ws, f"sheets/{who}.csv", header,
            [filled(i, rs[0].scores["verdict"], rs[0].comment) for i, rs in own if rs],
        )  # fmt: skip
    return {"judged": sum(bool(i.reviews) for i in items)}


# -- verdicts and pairs -------------------------------------------------------------------------------------


def verdicts(ws: Workspace, snapshot: Snapshot, items: list[Item]) -> dict[str, int]:
    """Every reviewer's score of every answer."""
    rows = [
        [i.data["case"], r.reviewer, r.scores["score"], i.data["benchmark"], i.data["turn"], i.data["repeat"]]
        for i in items
        for r in i.reviews
    ]  # fmt: skip
    header = ("item", "rater", "score", "benchmark", "turn", "repeat")
    return {"scores": _put_csv(ws, "scores.csv", header, rows)}


def pairs(ws: Workspace, snapshot: Snapshot, items: list[Item]) -> dict[str, int]:
    """Who was preferred, un-blinded, and preference pairs of the first turns.

    A later turn's answers follow upon different conversations, so they are verdicts but no pairs to learn from.
    """
    source = snapshot.config.source
    models, inputs = source["models"], source["inputs"]
    asked = _asked(inputs)
    told, learned = [], []
    for item in items:
        for r in item.reviews:
            chosen = r.scores["preference"]
            winner = None if chosen == "tie" else item.data[chosen]
            where = {k: item.data[k] for k in ("benchmark", "case", "turn", "repeat")}
            told.append(
                where
                | {
                    "reviewer": r.reviewer, "preferred": None if winner is None else models[winner],
                    "side": chosen, "A": models[item.data["A"]], "B": models[item.data["B"]],
                    "comment": r.comment, "at": r.at,
                }
            )  # fmt: skip
            if item.data["turn"] == 1:
                learned.append(_preference(item, r, inputs, asked))
    ws.write_jsonl("verdicts.jsonl", told)
    ws.write_jsonl("preferences.jsonl", learned)
    wins = Counter(row["preferred"] or "tie" for row in told)
    ws.write_json(
        "pairs.json",
        {"models": models, "wins": dict(sorted(wins.items())), "left_out": source["left_out"]},
    )
    return {"verdicts": len(told), "preferences": len(learned), "ties": wins["tie"]}


def _asked(runs: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Benchmark → digests of the test files the runs were asked, by those of their manifests that are still at hand.
    Whoever learns from the answers has to know that the questions are of a test set."""
    found: dict[str, set[str]] = {}
    for given in runs:
        place = Path(given["path"])
        manifest = open_artifact(place).manifest if (place / MANIFEST).is_file() else None
        if manifest is None or manifest.digest != given["digest"]:
            continue
        for r in manifest.inputs:
            if r.role.startswith("data:"):
                found.setdefault(r.role.removeprefix("data:"), set()).add(r.digest)
    return {name: sorted(digests) for name, digests in found.items()}


def _preference(
    item: Item, r: Review, inputs: Sequence[Mapping[str, str]], asked: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """One review as a row of preferences; of a tie, side A stands as chosen and `tie` says so."""
    benchmark = item.data["benchmark"]
    answers = {p.side: p.text for p in item.standing.content} if item.standing else {}
    chosen = r.scores["preference"]
    best = "A" if chosen == "tie" else chosen
    question = next(p.text for p in item.body if p.role == "question")
    return {
        "prompt": [{"role": "user", "content": question}],
        "chosen": answers[best],
        "rejected": answers["B" if best == "A" else "A"],
        "tie": chosen == "tie",
        "provenance": {
            "kind": "review", "who": r.reviewer, "when": r.at, "source": inputs[0]["digest"],
            "tests": [{"benchmark": benchmark, "digest": d} for d in asked.get(benchmark, ())],
        },
    }  # fmt: skip


# -- disagreements ------------------------------------------------------------------------------------------


def images(ws: Workspace, snapshot: Snapshot, items: list[Item]) -> dict[str, int]:
    """The experts' sheet: every review of every claim; "unsure" leaves the verdict blank."""
    rows = []
    for item in items:
        data = item.data
        for r in item.reviews:
            words = r.revision or {}
            cells = {
                **{k: data[k] for k in ("benchmark", "case", "claim", "type", "place")},
                "in_truth": "yes" if data["in_truth"] else "no",
                "made_by": " ".join(data["made_by"]), "not_made_by": " ".join(data["not_made_by"]),
                "reasons": " ".join(data["reasons"]), "verdict": r.scores["verdict"],
                "wrong": words.get("wrong", ""), "right": words.get("right", ""),
                "expert": r.reviewer, "note": r.comment,
            }  # fmt: skip
            rows.append([cells.get(name, "") for name in SHEET])
    return {"verdicts": _put_csv(ws, "sheet.csv", SHEET, rows)}


# -- items --------------------------------------------------------------------------------------------------


def signed(ws: Workspace, snapshot: Snapshot, items: list[Item]) -> dict[str, int]:
    """The test set's file again. Signed are items that all reviewers found fit, as they are or after small changes;
    the others stay unreviewed, and `findings.jsonl` says what was found."""
    (given,) = snapshot.config.source["inputs"]
    path = Path(given["path"])
    if not path.is_file() or sha256_file(path) != given["digest"]:
        raise ArtifactError(
            f"{path}: not the file the study was opened from",
            hint="put the items back as they were, then export again",
        )
    by_row = {i.data["row"]: i for i in items}
    rows, findings = [], []
    for number, row in read_json_rows(path):
        item = by_row.get(number)
        review = _signature(item) if item is not None else None
        if review is not None and review["status"] in ("ok", "minor"):
            rows.append(row | {"review": review})
        else:
            rows.append(row)
        if item is not None and review is not None and (review["status"] != "ok" or _said(item)):
            findings.append({"id": item.key, "row": number, **review, "reviews": _said(item)})
    ws.write_jsonl(snapshot.config.source["name"], rows)
    ws.write_jsonl("findings.jsonl", findings)
    states = Counter(r["review"]["status"] for r in rows if isinstance(r.get("review"), dict))
    return {
        "signed": states["ok"] + states["minor"],
        "signed_with_remarks": states["minor"],
        "not_signed": sum(f["status"] not in ("ok", "minor") for f in findings),
        "waiting": sum(i.status != "done" for i in items),
    }


def _signature(item: Item) -> dict[str, Any] | None:
    """What the reviewers found, once all have spoken; "divided" where some call it wrong and others don't."""
    if item.status != "done":
        return None
    found = [r.scores["verdict"] for r in item.reviews]
    if "wrong" in found:
        status = "wrong" if set(found) == {"wrong"} else "divided"
    else:
        status = "minor" if "minor" in found else "ok"
    return {
        "status": status,
        "reviewers": sorted(r.reviewer for r in item.reviews),
        "date": max(r.at for r in item.reviews)[:10],
    }


def _said(item: Item) -> list[dict[str, Any]]:
    """Comments and corrections, as each reviewer wrote them."""
    return [
        {
            "reviewer": r.reviewer, "verdict": r.scores["verdict"], "comment": r.comment,
            "correction": r.revision or {}, "spans": list(r.spans),
        }
        for r in item.reviews
        if r.comment or r.revision or r.spans or r.scores["verdict"] != "ok"
    ]  # fmt: skip
