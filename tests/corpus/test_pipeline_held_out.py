"""Nothing of a held-out set is within reach of training, whatever form it comes in."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import wardround
from tests.corpus.built import NAMES, accounted, lines, quick, sources, train_of
from tests.corpus.made import case, entry, write
from wardround.artifact import Artifact
from wardround.corpus import held_out
from wardround.corpus.build import build
from wardround.corpus.shards import compared_text
from wardround.errors import InputError, UsageError
from wardround.records import Dialogue, Document, Exclusion, Sample

STEM = "患者女，46岁，反复上腹痛半年，餐后加重，伴夜间反酸，查体剑突下压痛，胃镜见胃窦小弯侧溃疡一处，表面覆白苔"
OPTIONS = (
    "幽门螺杆菌根除治疗",
    "立即行胃大部切除术",
    "长期口服糖皮质激素",
    "仅作心理疏导即可",
    "停用一切药物观察",
)
LETTERS = dict(zip("ABCDE", OPTIONS, strict=True))
QUESTION = f"{STEM}，最适宜的处理是什么？"
JOINED = " ".join(f"{k}.{v}" for k, v in LETTERS.items())
PAIR = {
    "question": QUESTION,
    "answer": "首选幽门螺杆菌根除治疗，并给予抑酸、保护胃黏膜处理，四周后复查。",
}


def as_csv(rows: list[dict[str, str]]) -> Callable[[Path], None]:
    def put(path: Path) -> None:
        with open(path, "w", encoding="utf-8-sig", newline="") as f:
            writer = csv.DictWriter(f, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    return put


def as_lines(row: dict[str, Any]) -> Callable[[Path], None]:
    return lambda path: void(write(path, [row]))


def as_table(row: dict[str, Any]) -> Callable[[Path], None]:
    return lambda path: pq.write_table(pa.Table.from_pylist([row]), path)


def void(_: object) -> None:
    return None


FLAN = {"category": "Treatment Plan", "input": QUESTION, "output": PAIR["answer"], "id": "1"}
DOTA = {
    "id": "1", "turn_1_question": QUESTION, "turn_2_question": "还需完善哪些检查？",
    "turn_3_question": "如何随访？", "reference": PAIR["answer"],
}  # fmt: skip
HELD: dict[str, tuple[str, Callable[[Path], None]]] = {
    "doctorflan": ("flan.jsonl", as_lines(FLAN)),
    "doctorflan parquet": ("flan.parquet", as_table(FLAN)),
    "dotabench": ("dota.jsonl", as_lines(DOTA)),
    "dotabench parquet": ("dota.parquet", as_table(DOTA)),
    "cmb": ("cmb.json", as_lines({"question": QUESTION, "option": LETTERS, "answer": "A"})),
    "cmexam": ("cmexam.csv", as_csv([{"Question": QUESTION, "Options": JOINED, "Answer": "A"}])),
    "medqa": ("medqa.jsonl", as_lines({"question": QUESTION, "options": LETTERS, "answer_idx": "A"})),
    "medethiceval": ("ethic.csv", as_csv([{"problem": f"{QUESTION}\n{JOINED}", "answer": "A"}])),
    "medbench": ("bench.jsonl", as_lines({"question": f"{QUESTION}\n{JOINED}", "answer": "A"})),
    "llmeval-med": ("llmeval.json", lambda p: void(
        p.write_text(json.dumps({"治疗": [{"problem": QUESTION, "sanswer": PAIR["answer"]}]}, ensure_ascii=False),
                     encoding="utf-8"))),
    "cmb-clin": ("clin.json", as_lines({"id": "1", "description": STEM, "QA_pairs": [PAIR]})),
    "rubric": ("rubric.jsonl", as_lines({"id": "1", "question": QUESTION, "criteria": []})),
    "answers": ("answers.jsonl", as_lines({"id": "1", "question": QUESTION, "answer": PAIR["answer"]})),
    "messages": ("chat.jsonl", as_lines({"messages": [{"role": "user", "content": QUESTION}]})),
}  # fmt: skip


def leaking(folder: Path) -> list[Path]:
    """Sources of which one case holds the item of `HELD`, and the others nothing of it."""
    folder.mkdir(exist_ok=True)
    story = case()["description"].replace("患者，男，50岁，2天前受凉后咳嗽、发热。", f"{STEM}。")
    leak = case(1, description=story, QA_pairs=[
        {"question": "请制定治疗方案。", "answer": f"{PAIR['answer']}\n备选：{'；'.join(OPTIONS)}。"}])  # fmt: skip
    return [write(folder / "cases.json", [leak, *(case(n) for n in range(2, 6))])]


def within_reach(made: Artifact, held: Iterable[Path]) -> list[str]:
    """Training texts that are too like a held-out item."""
    found = held_out.load(list(held))
    samples = train_of(made)
    talks = lines(made, "train_dialogues.jsonl", Dialogue)
    texts = [compared_text(s) for s in samples]
    texts += [f"{t.question}\n{t.reference}" for d in talks for t in d.turns]
    return [t for t, hit in zip(texts, found.check(texts), strict=True) if hit is not None]


@pytest.mark.parametrize("form", HELD)
def test_nothing_of_a_held_out_set_is_trained_on(form: str, tmp_path: Path) -> None:
    name, put = HELD[form]
    held = tmp_path / name
    put(held)
    options = quick(test_per_task=0, test_dialogues=0)
    files = leaking(tmp_path / "s")
    assert within_reach(build(files, tmp_path / "free", options), [held])
    made = build(
        files, tmp_path / "out", quick(test_per_task=0, test_dialogues=0, held_out=(held,))
    )
    assert within_reach(made, [held]) == []
    hit = json.loads(made.file("contamination.json").read_text(encoding="utf-8"))
    assert [(s["file"], s["items"]) for s in hit["sets"]] == [(name, 1)]
    assert hit["sets"][0]["dropped"] + hit["sets"][0]["review"] == len(hit["hits"]) > 0
    assert made.manifest.counts["train"] > 0
    accounted(made)


def test_the_items_shipped_for_choice_questions_can_be_held_out(tmp_path: Path) -> None:
    held = Path(wardround.__file__).parent / "benchmarks" / "items" / "med_choice.jsonl"
    items = [json.loads(line) for line in held.read_text(encoding="utf-8").splitlines()][:12]
    rows = [
        entry(
            f"{NAMES[n]}病",
            cause=f"病因如下。{i['question']}\n{'；'.join(i['options'].values())}。",
        )
        for n, i in enumerate(items)
    ]
    files = [write(tmp_path / "book.jsonl", rows)]
    made = build(files, tmp_path / "out", quick(held_out=(held,)))
    assert within_reach(made, [held]) == []
    lost = {
        e.row for e in lines(made, "excluded.jsonl", Exclusion) if e.reason.startswith("held_out")
    }
    assert len(lost - {0}) == len(rows)
    accounted(made)


def test_another_datasets_test_side_can_be_held_out(tmp_path: Path) -> None:
    files = sources(tmp_path / "s")
    first = build(files, tmp_path / "first", quick())
    other = build(files, tmp_path / "other", quick(seed=5, held_out=(first.path,)))
    assert within_reach(other, [first.path]) == []
    mine = {s.id for s in lines(first, "doctorflan_test.jsonl", Sample)}
    assert not mine & {s.id for s in train_of(other)}


def test_short_questions_are_kept_out_and_unreadable_rows_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [write(tmp_path / "book.jsonl", [entry(f"{c}病") for c in NAMES[:6]])]
    free = build(files, tmp_path / "free", quick(test_per_task=0))
    asked = {s.input.rpartition("\n")[2] for s in train_of(free) if s.task == "disease_inquiry"}
    held = tmp_path / "held.jsonl"
    rows = [json.dumps({"question": q}, ensure_ascii=False) for q in sorted(asked)]
    held.write_text("\n".join([*rows, "not json"]), encoding="utf-8")
    made = build(files, tmp_path / "out", quick(test_per_task=0, held_out=(held,)))
    assert asked and not {s.input.rpartition("\n")[2] for s in train_of(made)} & asked
    report = json.loads(made.file("contamination.json").read_text(encoding="utf-8"))
    assert [(u["file"], u["row"]) for u in report["unread"]] == [("held.jsonl", len(rows) + 1)]
    assert "1 of their rows could not be read" in made.file("README.md").read_text(encoding="utf-8")
    assert f"held.jsonl, row {len(rows) + 1}: malformed JSON" in capsys.readouterr().err
    accounted(made)
    with pytest.raises(InputError, match=rf"held\.jsonl, row {len(rows) + 1}: malformed JSON"):
        build(files, tmp_path / "strictly", quick(held_out=(held,), strict=True))


def test_a_held_out_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    files = sources(tmp_path / "s", 3, 0)
    with pytest.raises(UsageError, match=r"nowhere\.csv: no such file"):
        build(files[:1], tmp_path / "out", quick(held_out=(tmp_path / "nowhere.csv",)))


def test_no_disease_stands_on_both_sides_under_another_name(tmp_path: Path) -> None:
    rows = [entry(f"{c}病") | {"alias": f"{c}型综合征"} for c in NAMES[:8]]
    rows += [entry(f"{c}型综合征") for c in NAMES[:8]]
    rows += [entry("慢阻肺"), entry("慢性阻塞性肺疾病")]
    made = build([write(tmp_path / "book.jsonl", rows)], tmp_path / "out", quick())
    sides = {d.title: d.split for d in lines(made, "documents.jsonl", Document)}
    pairs = [(f"{c}病", f"{c}型综合征") for c in NAMES[:8]] + [("慢阻肺", "慢性阻塞性肺疾病")]
    assert all(sides[a] == sides[b] for a, b in pairs)
    assert set(sides.values()) == {"train", "test"}
