"""Preference rows: what is read, what is set aside with its reason, what is refused by row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wardround.artifact import begin
from wardround.errors import ArtifactError, InputError, UsageError
from wardround.tuning import guard, preferences
from wardround.tuning.leftover import nothing_left
from wardround.tuning.preferences import read, sources

DIGEST = "ab" * 32


def row(n: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": f"第{n}位患者应去哪个科？"}],
        "chosen": f"骨科，理由{n}。", "rejected": "不清楚。",
        "provenance": {"kind": "review", "who": "d07", "when": "2026-03-01", "source": DIGEST},
    } | more  # fmt: skip


def origin(**more: Any) -> dict[str, Any]:
    return {"provenance": row()["provenance"] | more}


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return path


def test_rows_become_pairs_that_know_where_they_are_from(tmp_path: Path) -> None:
    edit = row(2, **origin(kind="edit", who="d08", when="2026-03-01T10:00:00Z"))
    path = write(tmp_path / "a.jsonl", [row(), edit])
    pairs, aside = read(sources(path))
    assert [(p.id, p.origin.kind, p.chosen) for p in pairs] == [
        ("a.jsonl:1", "review", "骨科，理由1。"),
        ("a.jsonl:2", "edit", "骨科，理由2。"),
    ]
    assert not aside
    assert preferences.doctors(pairs) == 2
    assert pairs[0].document != pairs[1].document


def test_what_prefers_nothing_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    turned = row(4, chosen="不清楚。", rejected="骨科，理由4。")
    rows = [
        row(1), row(2, tie=True), row(3, rejected=" 骨科，理由3。\n"),
        row(4), turned, row(5), row(5, **origin(who="d09")),
    ]  # fmt: skip
    pairs, aside = read(sources(write(tmp_path / "a.jsonl", rows)))
    assert [p.id for p in pairs] == ["a.jsonl:1", "a.jsonl:6", "a.jsonl:7"]
    assert [(x.row, x.reason) for x in aside] == [
        (2, "tie"), (3, "identical"), (4, "contradicted"), (5, "contradicted"),
    ]  # fmt: skip
    assert {x.file for x in aside} == {"a.jsonl"}
    assert len(pairs) + len(aside) == len(rows)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (row(chosen=3), r"Expected `str`, got `int` - at `\$.chosen`"),
        ({k: v for k, v in row().items() if k != "provenance"}, "missing required field"),
        (row(**origin(kind="guess")), "Invalid enum value"),
        (row(**origin(who="张医生")), "provenance.who is no pseudonym"),
        (row(**origin(who="Dr Zhang")), "provenance.who is no pseudonym"),
        (row(**origin(when="yesterday")), "provenance.when is no date"),
        (row(**origin(source="abc")), "provenance.source is no SHA-256"),
        (row(rejected="  "), "rejected is empty"),
        (row(prompt=[]), "user and assistant in turn"),
        (row(prompt=[{"role": "assistant", "content": "好。"}]), "user and assistant in turn"),
        (row(prompt=row()["prompt"] * 2), "user and assistant in turn"),
        (row(prompt=[{"role": "user", "content": ""}]), "message 1 of the prompt is empty"),
    ],
)
def test_a_bad_row_is_named_without_its_text(
    tmp_path: Path, broken: dict[str, Any], said: str
) -> None:
    path = write(tmp_path / "a.jsonl", [row(), broken])
    with pytest.raises(InputError, match=f"a.jsonl, row 2: not a preference: .*{said}") as e:
        read(sources(path))
    assert "骨科" not in str(e.value) and "张" not in str(e.value)
    assert e.value.row == 2


def test_all_bad_rows_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": \n[]\n' + json.dumps(row()) + "\n{}\n", "utf-8")
    with pytest.raises(InputError, match=r"row 1: .*\(rows 2, 4 can't be read either\)"):
        read(sources(path))
    path.write_text("\n\n", "utf-8")
    with pytest.raises(InputError, match="holds no preferences"):
        read(sources(path))


def test_rows_that_judged_held_out_data_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [row(), row(2, **origin(source="cd" * 32))])
    with pytest.raises(InputError, match=r"row 2: judged what is listed as held out \(cdcd"):
        read(sources(path), held_out=frozenset({"cd" * 32}))


def test_an_artifact_with_preferences_is_read_any_other_refused(tmp_path: Path) -> None:
    for name, file in (("with", preferences.FILE), ("without", "other.jsonl")):
        with begin(tmp_path / name, kind="feedback", config={}) as ws:
            ws.write_jsonl(file, [row()])
            ws.seal(counts={})
    pairs, _ = read(sources(tmp_path / "with"))
    assert [p.id for p in pairs] == ["with:1"]
    with pytest.raises(ArtifactError, match=r"feedback artifact without preferences\.jsonl"):
        sources(tmp_path / "without")


def test_an_empty_answer_in_an_artifact_is_set_aside(tmp_path: Path) -> None:
    rows = [row(1), row(2, rejected=" \n"), row(3, chosen=""), row(4, chosen="", rejected="")]
    with begin(tmp_path / "made", kind="review", config={}) as ws:
        ws.write_jsonl(preferences.FILE, rows)
        ws.seal(counts={})
    pairs, aside = read(sources(tmp_path / "made"))
    assert [p.id for p in pairs] == ["made:1"]
    assert [(x.row, x.reason) for x in aside] == [(n, "empty_answer") for n in (2, 3, 4)]


def test_rows_say_which_test_set_they_are_from(tmp_path: Path) -> None:
    exam = {"benchmark": "exam", "digest": "cd" * 32}
    path = write(tmp_path / "a.jsonl", [row(), row(2, **origin(tests=[exam]))])
    found = sources(path)
    pairs, _ = read(found)
    assert preferences.tests(found, pairs) == {path: [{}, {"cd" * 32: "exam"}]}
    with pytest.raises(UsageError, match=f"exam {'cd' * 32}"):
        guard.refuse_tests(found, preferences.tests(found, pairs))
    with pytest.raises(InputError, match="row 2: judged what is listed as held out"):
        read(found, held_out=frozenset({"cd" * 32}))


def test_nothing_left_says_why_where_and_what_next(tmp_path: Path) -> None:
    rows = [row(n, tie=True) for n in range(1, 6)] + [row(6, rejected="骨科，理由6。")]
    _, aside = read(sources(write(tmp_path / "a.jsonl", rows)))
    error = nothing_left("pair", tmp_path / "a.jsonl", aside, kept_out=1)
    assert "5 tied (a.jsonl:1, a.jsonl:2, a.jsonl:3, …)" in str(error)
    assert "1 with two equal answers (a.jsonl:6); 1 held out" in str(error)
    assert "have more pairs judged" in error.hint and "--held-out-share" in error.hint


def test_files_of_one_name_keep_their_pairs_apart(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    both = [write(tmp_path / "a.jsonl", [row()]), write(tmp_path / "b" / "a.jsonl", [row(2)])]
    pairs, _ = read(sources(both))
    assert [p.id for p in pairs] == ["1-a.jsonl:1", "2-a.jsonl:1"]
    with pytest.raises(UsageError, match="named twice"):
        sources([both[0], both[0]])
    with pytest.raises(UsageError, match="no such directory"):
        sources(tmp_path / "none.jsonl")
