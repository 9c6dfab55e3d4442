"""Studies of what other steps made: candidates, dataset samples, a run's answers, two runs side by side, disagreements
(and a test set's items: `item_sources`).

Each reads the file or artifact as it stands (the format is the contract, see the docs of each step) and gives a
`Source`: what kind of study, its form, its items, and where they are from. What reviewers must not see (judges'
scores, model names, which run an answer is from) goes into an item's `data`, never into a part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from wardround import sheets, taxonomy
from wardround.artifact import Artifact, InputRef, open_artifact, ref
from wardround.errors import InputError, UsageError
from wardround.images.report import PLACES
from wardround.records import Record, Score, decode
from wardround.review import candidates, forms
from wardround.review.asked import plain
from wardround.review.study import Field, Kind, NewItem, Part


class Source(Record, frozen=True, kw_only=True):
    """What a study is opened from. `record` is kept in its settings: inputs with digests, labels, what export needs.

    `model`: the shown name of the model that wrote the texts, where one did and the study may ask it again.
    """

    kind: Kind
    form: tuple[Field, ...]
    items: tuple[NewItem, ...]
    record: dict[str, Any]
    guide_zh: str = ""
    guide_en: str = ""
    model: str = ""


class Answered(Record, frozen=True, kw_only=True):
    """What is read of a line of a run's `records.jsonl`."""

    benchmark: str
    case: str
    turn: int
    repeat: int
    specialty: str = ""
    question: str
    reference: str
    status: str
    answer: str | None
    score: Score | None = None

    @property
    def key(self) -> str:
        """Its name within a run."""
        return f"{self.benchmark}/{self.case}/{self.turn}/{self.repeat}"


def from_candidates(path: Path) -> Source:
    """Rationales of a `candidates` artifact."""
    artifact = open_artifact(path, "candidates")
    author = candidates.model_of(artifact)
    found = candidates.read_candidates(artifact)
    return Source(
        kind="rationale", form=forms.rationale_form(), model=author,
        items=tuple(candidates.items(found, author)),
        record=record_of(path, artifact.manifest.labels, "candidates"),
        guide_zh="按五个维度为推理依据打分；各分的含义见打分栏。发现有问题的一步，可划出原文并写明。",
        guide_en="Score the rationale on five dimensions; the anchors say what each score means. Mark a faulty step.",
    )  # fmt: skip


def record_of(path: Path, labels: Iterable[str], role: str, **more: Any) -> dict[str, Any]:
    """Where the items are from, as the study keeps it."""
    return {
        "inputs": [_input(ref(path, role, seen_from=path), path)],
        "labels": list(labels),
    } | more


def _input(found: InputRef, path: Path) -> dict[str, str]:
    return {
        "role": found.role, "kind": found.kind, "digest": found.digest, "path": str(path.resolve()),
    }  # fmt: skip


def specialty_id(name: str) -> str:
    """A specialty's id, from its id or name."""
    return name if name in taxonomy.specialties() else taxonomy.specialty_of([name])


# -- a dataset's checking sheet -----------------------------------------------------------------------------


def from_sheet(path: Path) -> Source:
    """The rows of a checking sheet (`wardround sample`)."""
    sheet = sheets.read(path)
    header = sheet.headings
    places = {name.split(" ")[-1].split("（")[0]: n for n, name in enumerate(header)}
    needed = ("id", "input", "verdict")
    if any(n not in places for n in needed) or "answer" not in places:
        raise InputError(
            "not a checking sheet", path=path, hint="write one with `wardround sample`"
        )

    def cell(row: Sequence[str], name: str) -> str:
        return row[places[name]] if name in places and places[name] < len(row) else ""

    items = []
    for line in sheet.rows:
        row = line.cells
        key, stratum = cell(row, "id"), cell(row, "stratum")
        body = [part_of("input", "question", "输入", "Input", cell(row, "input"))]
        body += [
            part_of(name, role, zh, en, text)
            for name, role, zh, en, text in (
                ("passage", "reference", "原文", "Source passage", cell(row, "passage")),
                ("source", "source", "出处", "Source", cell(row, "source")),
            )
            if text
        ]
        items.append(
            NewItem(
                key=key, specialty=specialty_id(stratum.rpartition("/")[2]), body=tuple(body),
                content=(part_of("answer", "answer", "参考答案", "Reference answer", cell(row, "answer")),),
                data={"cells": list(row), "stratum": stratum},
            )
        )  # fmt: skip
    columns = {"verdict": places["verdict"], "comment": places.get("comment", -1)}
    return Source(
        kind="sample", form=forms.sample_form(), items=tuple(items),
        record=record_of(path, (), "sheet", header=list(header), columns=columns),
        guide_zh="对照原文检查参考答案。", guide_en="Check the reference answer against its source.",
    )  # fmt: skip


def part_of(id_: str, role: str, zh: str, en: str, text: str, **more: str) -> Part:
    """A part, for short."""
    return Part(id=id_, role=role, zh=zh, en=en, text=text, **more)


# -- runs ---------------------------------------------------------------------------------------------------


def _answers(run: Artifact, benchmark: str | None) -> dict[str, Answered]:
    """The run's answers by key; failed requests have none."""
    found = {}
    with open(run.file("records.jsonl"), "rb") as f:
        for number, line in enumerate(f, start=1):
            try:
                one = decode(line, Answered)
            except msgspec.DecodeError as e:
                raise InputError(
                    f"not a record: {e}", path=run.path / "records.jsonl", row=number
                ) from e
            if one.status == "ok" and one.answer and benchmark in (None, one.benchmark):
                found[one.key] = one
    if not found:
        raise UsageError(f"{run.path}: no answers to review", hint="check --benchmark")
    return found


def _benchmark(run: Artifact, asked: str | None) -> str:
    """The one benchmark that is reviewed."""
    names = list(_summary(run)["benchmarks"])
    if asked is None and len(names) > 1:
        raise UsageError(
            f"{run.path}: answers to {', '.join(names)}", hint="name one with --benchmark"
        )
    if asked is not None and asked not in names:
        raise UsageError(f"{run.path}: no {asked} in it", hint=f"one of: {', '.join(names)}")
    return asked or names[0]


def _summary(run: Artifact) -> dict[str, Any]:
    return decode(run.file("summary.json").read_bytes(), dict[str, Any])


def _body(one: Answered) -> tuple[Part, ...]:
    parts = [part_of("question", "question", "问题", "Question", one.question)]
    if one.reference:
        parts.append(part_of("reference", "reference", "参考答案", "Reference", one.reference))
    return tuple(parts)


def _where(one: Answered) -> dict[str, Any]:
    return {k: getattr(one, k) for k in ("benchmark", "case", "turn", "repeat")}


def from_run(path: Path, benchmark: str | None = None) -> Source:
    """A run's answers, each to be scored on the benchmark's scale."""
    run = open_artifact(path, "run")
    name = _benchmark(run, benchmark)
    summary = _summary(run)
    low, high = summary["benchmarks"][name]["scale"]
    items = tuple(
        NewItem(
            key=key, specialty=specialty_id(one.specialty), body=_body(one), data=_where(one),
            content=(part_of("answer", "answer", "回答", "Answer", one.answer or ""),),
            author=str(summary["model"]),
        )
        for key, one in _answers(run, name).items()
    )  # fmt: skip
    return Source(
        kind="verdict", form=forms.score_form(low, high), items=items,
        record=record_of(path, run.manifest.labels, "run", benchmark=name),
        guide_zh="对照参考答案，为回答打分。", guide_en="Score the answer, with the reference beside it.",
    )  # fmt: skip


def from_pair(first: Path, second: Path, benchmark: str | None = None, *, seed: int = 0) -> Source:
    """The answers of two runs to the same questions, side by side. Which stands on which side is drawn by item."""
    runs = [open_artifact(p, "run") for p in (first, second)]
    name = _benchmark(runs[0], benchmark)
    ours, theirs = (_answers(r, name) for r in runs)
    both = [k for k in ours if k in theirs and ours[k].question == theirs[k].question]
    if not both:
        raise UsageError(
            "the runs share no answered question", hint="give runs on the same test set"
        )
    items = []
    for key in both:
        pair = (ours[key], theirs[key])
        turned = hashlib.sha256(f"{seed}/{key}".encode()).digest()[0] % 2
        sides = {"A": pair[turned].answer or "", "B": pair[1 - turned].answer or ""}
        content = tuple(
            part_of(side, "answer", f"回答 {side}", f"Answer {side}", text, side=side)
            for side, text in sides.items()
        )
        items.append(
            NewItem(
                key=key, specialty=specialty_id(pair[0].specialty), body=_body(pair[0]),
                content=content, data={**_where(pair[0]), "A": turned, "B": 1 - turned},
                author="",
            )
        )  # fmt: skip
    record = record_of(first, [x for r in runs for x in r.manifest.labels], "run:0", benchmark=name)
    record["inputs"].append(_input(ref(second, "run:1", seen_from=second), second))
    models = [str(_summary(r)["model"]) for r in runs]
    left = {"a_only": len(ours) - len(both), "b_only": len(theirs) - len(both)}
    return Source(
        kind="pair", form=forms.pair_form(), items=tuple(items),
        record=record | {"models": models, "left_out": left},
        guide_zh="两个回答来自不同来源，左右次序随机。选出内容更好的一个。",
        guide_en="Two answers from different sources, in random order. Choose the better by content.",
    )  # fmt: skip


# -- disagreements ------------------------------------------------------------------------------------------


def from_disagreements(
    path: Path, *, picture: Callable[[Mapping[str, Any]], str] | None = None
) -> Source:
    """The contested claims of a `disagreements` artifact, one an item. `picture`: its line → a data: URL, or ""."""
    artifact = open_artifact(path, "disagreements")
    items: list[NewItem] = []
    for row in _lines(artifact.file("items.jsonl")):
        url = picture(row) if picture and row.get("picture") else ""
        items += [_claim(row, claim, url) for claim in row["claims"]]
    if not items:
        raise UsageError(
            f"{path}: no contested claims", hint="judges' splits alone can't be reviewed"
        )
    return Source(
        kind="image", form=forms.claim_form(), items=tuple(items),
        record=record_of(path, artifact.manifest.labels, "disagreements"),
        guide_zh="判断每条说法是否成立。成立而标准答案没有的报告错误，请填原文和应改成的文字。",
        guide_en="Does each claim hold? For an error of a report that the truth lacks, fill in the words.",
    )  # fmt: skip


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, "rb") as f:
        for line in f:
            yield decode(line, dict[str, Any])


def _claim(row: Mapping[str, Any], claim: Mapping[str, Any], url: str) -> NewItem:
    kind, _, place = claim["claim"].partition("@")
    key = f"{row['benchmark']}/{row['case']}/{row['turn']}/{claim['claim']}"
    zh, en = _claim_words(row, kind, place)
    body = [part_of("picture", "picture", "图像", "Picture", "", picture=url)] if url else []
    body.append(part_of("question", "question", "题面", "Case", plain(row["question"])))
    # Who makes the claim, and whether the truth has it, is not shown.
    content = [part_of("claim", "answer", "说法", "Claim", zh, text_en=en)]
    if not row.get("picture"):
        content += [
            part_of("wrong", "note", "原文（错误成立时填）", "Words as they stand (if so)", ""),
            part_of("right", "note", "应改为", "Words as they should be", ""),
        ]
    data = {
        "benchmark": row["benchmark"], "case": row["case"], "type": kind, "place": place,
        "prompt": row["question"],
    }  # fmt: skip
    return NewItem(
        key=key, body=tuple(body), content=tuple(content),
        data=data | {k: claim[k] for k in ("claim", "in_truth", "made_by", "not_made_by", "reasons")},
    )  # fmt: skip


def _claim_words(row: Mapping[str, Any], kind: str, place: str) -> tuple[str, str]:
    """A claim in Chinese and English."""
    if row.get("picture"):
        from wardround.images.labels import shown

        modality = row["picture"]["modality"]
        return shown(modality, kind), shown(modality, kind, "en")
    names = {i.id: (i.zh, i.en) for i in taxonomy.items("report_errors")}
    zh, en = names.get(kind, (kind, kind))
    if not place:
        return zh, en
    where = next((name for id_, name in PLACES.items() if id_ == place), place)
    return f"{zh}（{where}）", f"{en} ({place})"
