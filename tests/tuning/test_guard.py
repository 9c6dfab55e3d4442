"""What must not be learned from is refused before anything else is done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from tests.tuning.conftest import write_dataset
from tests.tuning.tiny import TUNE
from wardround.artifact import begin, open_artifact, ref, sha256_file
from wardround.errors import ArtifactError, InputError, UsageError
from wardround.tuning import ancestry, guard, mixture, preferences
from wardround.tuning.sft import TuneOptions, tune

NOWHERE = Path("no-base")


def listed(path: Path, digest: str) -> Path:
    path.write_text(f"# held out\n\n{digest.upper()}  exam of 2025\n")
    return path


def test_a_dataset_listed_as_held_out_is_refused(dataset: Path, tmp_path: Path) -> None:
    file = listed(tmp_path / "held.txt", open_artifact(dataset).manifest.digest)
    with pytest.raises(UsageError, match="listed as held out"):
        tune(dataset, NOWHERE, tmp_path / "out", TuneOptions(held_out=(file,)))
    assert not (tmp_path / "out").exists()


def test_so_are_its_files_its_sources_and_plain_files(dataset: Path, tmp_path: Path) -> None:
    source = tmp_path / "exam.jsonl"
    source.write_text('{"instruction": "问", "output": "答"}\n')
    out = tmp_path / "built"
    with begin(out, kind="dataset", config={}, inputs=[ref(source, "source", seen_from=out)]) as ws:
        ws.write_json("contamination.json", {"sets": [], "own_test": 0})
        ws.seal(counts={})
    for path, digest in (
        (dataset, sha256_file(dataset / "train.parquet")), (out, sha256_file(source)),
        (source, sha256_file(source)),
    ):  # fmt: skip
        with pytest.raises(UsageError, match="listed as held out"):
            guard.refuse_held_out(mixture.sources(path), NOWHERE, frozenset({digest}))
    guard.refuse_held_out(mixture.sources(source), NOWHERE, frozenset({"0" * 64}))


def test_the_configuration_lists_digests_and_files(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = open_artifact(dataset).manifest.digest
    listed(tmp_path / "more.txt", "a" * 64)
    config = tmp_path / "wardround.toml"
    config.write_text(f'[tuning]\nheld_out = ["{digest}", "more.txt"]\n')
    monkeypatch.setenv("WARDROUND_CONFIG", str(config))
    assert guard.held_out_digests(()) == {digest, "a" * 64}
    config.write_text("[tuning]\nheld_out = 5\n")
    with pytest.raises(InputError, match="held_out under"):
        guard.held_out_digests(())
    config.write_text('[tuning]\nheld_out = ["gone.txt"]\n')
    with pytest.raises(UsageError, match="no such file of held-out digests"):
        guard.held_out_digests(())


def test_a_line_that_is_no_digest_is_named(tmp_path: Path) -> None:
    (tmp_path / "held.txt").write_text("abc\n")
    with pytest.raises(InputError, match="row 1"):
        guard.held_out_digests([tmp_path / "held.txt"])


@pytest.mark.torch
def test_a_base_tuned_on_held_out_data_is_refused(
    dataset: Path, base: Path, tmp_path: Path
) -> None:
    other = write_dataset(tmp_path / "other", talks=[])
    file = listed(tmp_path / "held.txt", open_artifact(dataset).manifest.digest)
    options = msgspec.structs.replace(TUNE, held_out=(file,))
    with pytest.raises(UsageError, match="was tuned on data listed as held out"):
        tune(other.path, base, tmp_path / "out", options)


def test_the_best_weights_of_such_a_base_are_refused_too(dataset: Path, tmp_path: Path) -> None:
    digest = open_artifact(dataset).manifest.digest
    made = tmp_path / "made"
    with begin(
        made, kind="checkpoint", config={}, inputs=[ref(dataset, "dataset", seen_from=made)]
    ) as ws:
        ws.write_json("best/config.json", {})
        ws.seal(counts={})
    with pytest.raises(UsageError, match="was tuned on data listed as held out"):
        guard.refuse_held_out([], made / "best", frozenset({digest}))


def test_no_contamination_report_needs_an_explicit_yes(tmp_path: Path) -> None:
    bare = write_dataset(tmp_path / "bare", checked=False)
    with pytest.raises(UsageError, match="no contamination report") as caught:
        tune(bare.path, NOWHERE, tmp_path / "out")
    assert "--accept-unchecked" in caught.value.hint
    found = mixture.sources(bare.path)
    assert guard.refuse_unchecked(found, accept=True) == (guard.UNCHECKED,)


@pytest.mark.parametrize(
    ("coverage", "known"),
    [
        ({"contamination": {"sets": []}}, True),
        ({"excluded": {"matches_test": 3}}, True),
        ({"excluded": {"empty_answer": 3}}, False),
        ({}, False),
    ],
)
def test_older_datasets_show_what_the_split_found(
    tmp_path: Path, coverage: dict[str, object], known: bool
) -> None:
    with begin(tmp_path / "old", kind="dataset", config={}) as ws:
        ws.write_json("coverage.json", coverage)
        ws.seal(counts={})
    assert guard.unchecked(mixture.sources(tmp_path / "old")) == (
        [] if known else [tmp_path / "old"]
    )


def test_a_report_that_is_none_is_an_error(tmp_path: Path) -> None:
    with begin(tmp_path / "d", kind="dataset", config={}) as ws:
        ws.write_json("contamination.json", [1])
        ws.seal(counts={})
    with pytest.raises(InputError, match="not a contamination report"):
        guard.unchecked(mixture.sources(tmp_path / "d"))


@pytest.mark.torch
def test_bases_that_are_none_are_named(dataset: Path, base: Path, tmp_path: Path) -> None:
    wrong = shutil.copytree(base, tmp_path / "wrong")
    (wrong / "manifest.json").unlink()
    config = json.loads((wrong / "config.json").read_bytes())
    (wrong / "config.json").write_text(json.dumps(config | {"architectures": ["BertForMaskedLM"]}))
    with pytest.raises(UsageError, match="a BertForMaskedLM, not a causal"):
        tune(dataset, wrong, tmp_path / "out-a", TUNE)
    (wrong / "config.json").write_text(json.dumps(config))
    (wrong / "chat_template.jinja").unlink()
    with pytest.raises(UsageError, match="there is none"):
        tune(dataset, wrong, tmp_path / "out-b", TUNE)
    (wrong / "model.safetensors").write_bytes(b"not weights")
    shutil.copy(base / "chat_template.jinja", wrong)
    with pytest.raises(UsageError, match="can't be loaded as a causal"):
        tune(dataset, wrong, tmp_path / "out-c", TUNE)


def sealed(out: Path, kind: str, **inputs: Path) -> Path:
    """A small artifact made from others, which stand by their roles ("data_x" for "data:x")."""
    refs = [ref(p, r.replace("_", ":", 1), seen_from=out) for r, p in inputs.items()]
    with begin(out, kind=kind, config={"name": out.name}, inputs=refs) as ws:
        if kind == "review":
            ws.write_jsonl("preferences.jsonl", [])
        ws.write_json("config.json", {})
        ws.seal(counts={})
    return out


def generations(tmp_path: Path) -> tuple[Path, Path, str]:
    """The source of a dataset, the third checkpoint tuned on it, and the source's digest."""
    exam = tmp_path / "exam.json"
    exam.write_text('["题目"]')
    data = sealed(tmp_path / "data", "dataset", source=exam)
    first = sealed(tmp_path / "first", "checkpoint", dataset=data)
    second = sealed(tmp_path / "second", "checkpoint", base=first)
    return exam, sealed(tmp_path / "third", "checkpoint", base=second), sha256_file(exam)


def test_a_base_is_followed_through_all_generations(tmp_path: Path) -> None:
    _, third, digest = generations(tmp_path)
    with pytest.raises(UsageError, match="was tuned on data listed as held out"):
        guard.refuse_held_out([], third, frozenset({digest}))
    guard.refuse_held_out([], third, frozenset({"0" * 64}))


def test_the_chain_a_checkpoint_keeps_outlives_the_folders(tmp_path: Path) -> None:
    _, third, digest = generations(tmp_path)
    last = tmp_path / "last"
    inputs = [ref(third, "base", seen_from=last)]
    with begin(last, kind="checkpoint", config={}, inputs=inputs) as ws:
        ancestry.write(ws, inputs)
        ws.seal(counts={})
    assert str(tmp_path) not in (last / ancestry.FILE).read_text()
    after = sealed(tmp_path / "after", "checkpoint", base=last)
    for name in ("first", "second", "third", "data"):
        shutil.rmtree(tmp_path / name)
    for base in (last, after):
        with pytest.raises(UsageError, match="was tuned on data listed as held out"):
            guard.refuse_held_out([], base, frozenset({digest}))


def test_what_a_dataset_was_held_against_is_not_learned(tmp_path: Path) -> None:
    exam = tmp_path / "exam.json"
    exam.write_text("[]")
    out = tmp_path / "data"
    inputs = [ref(exam, "held_out", seen_from=out)]
    with begin(out, kind="dataset", config={}, inputs=inputs) as ws:
        ws.seal(counts={})
    guard.refuse_held_out(mixture.sources(out), NOWHERE, frozenset({sha256_file(exam)}))


@pytest.fixture
def judged_exam(tmp_path: Path) -> tuple[Path, str]:
    """A review of the answers of a run, and the digest of the test file that was asked."""
    exam = tmp_path / "exam.jsonl"
    exam.write_text("{}\n")
    run = sealed(tmp_path / "run", "run", data_exam=exam)
    return sealed(tmp_path / "review", "review", run_0=run), sha256_file(exam)


def test_answers_to_a_test_sets_questions_need_it_given_up_by_name(
    judged_exam: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    review, digest = judged_exam
    found = preferences.sources(review)
    with pytest.raises(UsageError, match=f"questions of a test set .exam {digest}") as caught:
        guard.refuse_tests(found)
    assert "spent" in caught.value.hint
    config = tmp_path / "wardround.toml"
    config.write_text(f'[tuning]\nspent = ["{digest}"]\n')
    monkeypatch.setenv("WARDROUND_CONFIG", str(config))
    (label,) = guard.refuse_tests(found)
    assert "exam" in label and digest[:12] in label
    with pytest.raises(UsageError, match="listed as held out"):  # consent or not
        guard.refuse_held_out(found, NOWHERE, frozenset({digest}))


def test_a_run_that_is_gone_is_not_taken_for_harmless(judged_exam: tuple[Path, str]) -> None:
    review, digest = judged_exam
    shutil.rmtree(review.parent / "run")
    found = preferences.sources(review)
    with pytest.raises(UsageError, match="whose test set is not known any more"):
        guard.refuse_tests(found)
    with pytest.raises(UsageError, match=f"exam {digest}"):  # the rows still know
        guard.refuse_tests(found, {review: [{digest: "exam"}]})


def test_what_changed_since_it_was_sealed_is_refused(dataset: Path, tmp_path: Path) -> None:
    mine = shutil.copytree(dataset, tmp_path / "mine")
    guard.refuse_changed(mixture.sources(mine), NOWHERE)
    path = mine / "train_dialogues.jsonl"
    path.write_bytes(path.read_bytes().replace("骨科".encode(), "外科".encode()))
    with pytest.raises(ArtifactError, match=r"changed since it was sealed \(train_dialogues"):
        tune(mine, NOWHERE, tmp_path / "out")
    with pytest.raises(ArtifactError, match="changed since it was sealed"):
        guard.refuse_changed([], mine)
