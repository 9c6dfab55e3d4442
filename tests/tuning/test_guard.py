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
from wardround.errors import InputError, UsageError
from wardround.tuning import guard, mixture
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
