"""Where answers disagree, for experts: a list made of runs on the same cases, and a sheet to fill in.

Four ways to disagree, each named in `reasons`:

- "models": answers claim different things of one case (or, where a benchmark has no claims, score it far apart);
- "rules": what the rule baseline claims and what some model claims differ;
- "truth": all who were asked claim what the truth lacks or, of two or more, none claims what it has;
- "jury": judges of one answer contradict one another.

A benchmark's claims are `Score.detail["claimed"]`, a list of words comparable across runs, with the truth in
`detail["true"]`; any benchmark that fills them in takes part. Option orders of one question are one case then, as
repeats are. A claim that is in the truth and that everybody makes is not listed, nor is a control without images: there
is nothing in it for an expert to see.

Artifact "disagreements": `items.jsonl` (one case a line, the most contested first), `sheet.csv` for the experts (one
claim a line; see `extend`), `summary.json`.
"""

from __future__ import annotations

import csv
import functools
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wardround import sheets
from wardround.artifact import Artifact, begin, open_artifact, ref, write_atomically
from wardround.benchmarks.record import RunRecord
from wardround.errors import InputError, UsageError
from wardround.records import Record, decode

RULES = "scripted:rules"
FAR = 0.5
"""Scores further apart than this share of the scale are a disagreement."""
SHEET = (
    "benchmark", "case", "claim", "in_truth", "made_by", "not_made_by", "reasons", "words",
    "verdict", "type", "place", "wrong", "right", "expert", "note",
)  # fmt: skip
"""The sheet's columns; the experts fill in from `verdict` on."""


class Contested(Record, frozen=True, kw_only=True):
    """One claim of one case, who makes it and who doesn't, by model name; `words` are what one of them wrote."""

    claim: str
    in_truth: bool
    made_by: tuple[str, ...]
    not_made_by: tuple[str, ...]
    reasons: tuple[str, ...]


class Disagreement(Record, frozen=True, kw_only=True):
    """One case on which answers or judges differ. `scores`: model → judge → value; `answers`: model → answer;
    `picture`: name, digests and modality of the picture it is about, if any."""

    benchmark: str
    case: str
    turn: int
    question: str
    reference: str
    reasons: tuple[str, ...]
    claims: tuple[Contested, ...]
    scores: dict[str, dict[str, float | None]]
    answers: dict[str, str]
    picture: dict[str, str] = {}


def disagreements(runs: Sequence[Path], out: Path) -> Artifact:
    """List where `runs` (one or more sealed run artifacts) disagree; `UsageError` when they share no case."""
    if not runs:
        raise UsageError("no run given", hint="name one run or more")
    config = {"far": FAR, "rules": RULES}
    inputs = [ref(r, f"run:{k}", seen_from=out) for k, r in enumerate(runs)]
    with begin(out, kind="disagreements", config=config, inputs=inputs) as ws:
        if ws.done is not None:
            return open_artifact(out)
        by_run = [_records(path) for path in runs]
        labels = [x for path in runs for x in open_artifact(path).manifest.labels]
        _check_same(by_run)
        found = _all(by_run)
        ws.write_jsonl("items.jsonl", found)
        write_atomically(ws.file("sheet.csv"), sheet(found).encode("utf-8-sig"))
        reasons = Counter(r for d in found for r in d.reasons)
        counts = {
            "cases": len({k for _, records in by_run for k in records}),
            "contested": len(found),
            "claims": sum(len(d.claims) for d in found),
        }
        ws.write_json(
            "summary.json",
            {"models": [name for name, _ in by_run], **counts, "reasons": dict(reasons)},
        )
        return ws.seal(counts=counts, labels=dict.fromkeys(labels))


Key = tuple[str, str, int]
Records = dict[Key, list[RunRecord]]


def _records(path: Path) -> tuple[str, Records]:
    """A run's model and its records by benchmark, case and turn, all repeats."""
    artifact = open_artifact(path, "run")
    name = _model(artifact)
    with open(artifact.file("records.jsonl"), "rb") as f:
        records = [r for line in f if not _control((r := decode(line, RunRecord)).benchmark)]
    claiming = {r.cluster for r in records if "true" in r.score.detail}
    found: Records = defaultdict(list)
    for r in records:
        found[r.benchmark, r.unit if r.cluster in claiming else r.case, r.turn].append(r)
    return name, dict(found)


@functools.cache
def _control(name: str) -> bool:
    """Whether a benchmark is another's control."""
    from wardround.benchmarks import BENCHMARKS, benchmark

    return name in BENCHMARKS and hasattr(benchmark(name), "control_of")


def _model(artifact: Artifact) -> str:
    summary = decode(artifact.file("summary.json").read_bytes(), dict[str, Any])
    return str(summary["model"])


def _check_same(by_run: Sequence[tuple[str, Records]]) -> None:
    """Runs that are compared must share a case, and asked the same of it."""
    if len({name for name, _ in by_run}) < len(by_run):
        raise UsageError("two runs are of the same model", hint="give one run of each model")
    if len(by_run) > 1 and not set.intersection(*(set(r) for _, r in by_run)):
        raise UsageError("the runs share no case", hint="give runs on the same test set")
    asked: dict[Key, str] = {}
    for _, records in by_run:
        for key, found in records.items():
            if asked.setdefault(key, found[0].question) != found[0].question:
                raise UsageError(
                    f"case {key[1]} of {key[0]} is another question in two runs",
                    hint="give runs on the same version of the test set",
                )


def _all(by_run: Sequence[tuple[str, Records]]) -> list[Disagreement]:
    keys = sorted({k for _, records in by_run for k in records})
    found = [_one(key, {n: r[key] for n, r in by_run if key in r}) for key in keys]
    listed = [d for d in found if d is not None]
    return sorted(listed, key=lambda d: (-len(d.reasons), -len(d.claims), d.benchmark, d.case))


def _one(key: Key, by_model: Mapping[str, Sequence[RunRecord]]) -> Disagreement | None:
    first = next(iter(by_model.values()))[0]
    claims = _contested(by_model)
    reasons = {r for c in claims for r in c.reasons}
    if not any("claimed" in r.score.detail for rs in by_model.values() for r in rs):
        reasons |= _far_apart(by_model)
    reasons |= {"jury" for rs in by_model.values() for r in rs if _split(r)}
    if not reasons:
        return None
    return Disagreement(
        benchmark=key[0], case=key[1], turn=key[2], question=first.question,
        reference=first.reference, reasons=tuple(sorted(reasons)), claims=claims,
        scores={n: {j: s.value for j, s in rs[0].judges.items()} for n, rs in by_model.items()},
        answers={n: rs[0].answer or "" for n, rs in by_model.items()},
        picture=_picture(r for rs in by_model.values() for r in rs),
    )  # fmt: skip


def _picture(records: Iterable[RunRecord]) -> dict[str, str]:
    """Where the case's picture is, as the first record that tells it has it."""
    for r in records:
        for score in r.judges.values():
            if {"image", "sent", "original", "modality"} <= score.detail.keys():
                return {k: score.detail[k] for k in ("image", "sent", "original", "modality")}
    return {}


def _contested(by_model: Mapping[str, Sequence[RunRecord]]) -> tuple[Contested, ...]:
    """Claims not made by all, or made against the truth. A model makes a claim when most of its repeats do."""
    made: dict[str, set[str]] = {}
    truth: set[str] = set()
    for name, records in by_model.items():
        told = [r.score.detail for r in records if "claimed" in r.score.detail]
        if not told:
            continue
        votes = Counter(c for d in told for c in set(d["claimed"]))
        made[name] = {c for c, n in votes.items() if 2 * n > len(told)}
        truth |= set(told[0].get("true", ()))
    found = []
    for claim in sorted(set().union(*made.values(), truth) if made else ()):
        by = tuple(n for n in made if claim in made[n])
        others = tuple(n for n in made if claim not in made[n])
        if not others and claim in truth:
            continue
        models = [n for n in made if not n.startswith(RULES)]
        reasons = set()
        if len({n in by for n in models}) > 1:
            reasons.add("models")
        ruled = {n in by for n in made if n.startswith(RULES)}
        if ruled and models and ruled != {n in by for n in models}:
            reasons.add("rules")
        if not reasons and not by and len(made) < 2:
            continue  # a single miss is a matter of the score
        if not reasons:
            reasons.add("truth")
        found.append(
            Contested(
                claim=claim, in_truth=claim in truth, made_by=by, not_made_by=others,
                reasons=tuple(sorted(reasons)),
            )
        )  # fmt: skip
    return tuple(found)


def _far_apart(by_model: Mapping[str, Sequence[RunRecord]]) -> set[str]:
    values = [r.score.value for rs in by_model.values() for r in rs if r.score.value is not None]
    scale = _scale(next(iter(by_model.values()))[0].benchmark)
    return {"models"} if values and max(values) - min(values) > FAR * scale else set()


def _scale(name: str) -> float:
    from wardround.benchmarks import BENCHMARKS, benchmark

    low, high = benchmark(name).scale if name in BENCHMARKS else (0.0, 1.0)
    return high - low


def _split(record: RunRecord) -> bool:
    """Whether the judges of one answer contradict one another: far apart, or one saying yes where one says no."""
    scored = [s for s in record.judges.values() if s.value is not None]
    values = [s.value for s in scored if s.value is not None]
    if len(values) > 1 and max(values) - min(values) > FAR * _scale(record.benchmark):
        return True
    verdicts = [s.detail["verdicts"] for s in scored if "verdicts" in s.detail]
    return len({tuple(v["corrections"] + v["confirmed"]) for v in verdicts}) > 1


def sheet(found: Iterable[Disagreement]) -> str:
    """The experts' sheet: every contested claim, and each split jury without claims as a line of its own."""
    text = io.StringIO()
    writer = csv.DictWriter(text, SHEET, lineterminator="\n", restval="")
    writer.writeheader()
    for d in found:
        for c in d.claims or (None,):
            row = {"benchmark": d.benchmark, "case": d.case, "reasons": " ".join(d.reasons)}
            if c is not None:
                kind, _, place = c.claim.partition("@")
                row |= {
                    "claim": c.claim, "in_truth": "yes" if c.in_truth else "no",
                    "made_by": " ".join(c.made_by), "not_made_by": " ".join(c.not_made_by),
                    "reasons": " ".join(c.reasons), "type": _type(d, kind), "place": place,
                    "words": next((d.answers[n] for n in c.made_by), "")[:400],
                }  # fmt: skip
            writer.writerow({k: sheets.inert(v) for k, v in row.items()})
    return text.getvalue()


def _type(d: Disagreement, kind: str) -> str:
    """A picture's label by its name, for those who don't know the codes; an error's type as it is."""
    from wardround.images.labels import shown

    return shown(d.picture["modality"], kind) if d.picture else kind


def read_sheet(path: Path) -> list[tuple[int, dict[str, str]]]:
    """(row number, row) of a filled-in sheet; `InputError` when columns are missing."""
    sheet = sheets.read(path)
    missing = [c for c in ("benchmark", "case", "verdict") if c not in sheet.headings]
    if missing:
        raise InputError(
            f"no column {', '.join(missing)}", path=path, hint="start from sheet.csv of the list"
        )
    blank = dict.fromkeys(sheet.headings, "")
    return [
        (r.number, blank | dict(zip(sheet.headings, r.cells, strict=False))) for r in sheet.rows
    ]
