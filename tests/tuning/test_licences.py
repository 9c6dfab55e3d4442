"""Licences over generations: a card's front matter is what Hugging Face reads, and nothing stated gets lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from tests.tuning.tiny import TUNE
from wardround.artifact import open_artifact
from wardround.tuning import card, guard, licences
from wardround.tuning.dpo import PreferOptions, prefer
from wardround.tuning.licences import Licences, front_matter, of_base, onwards
from wardround.tuning.sft import tune


def directory(path: Path, card: str) -> Path:
    path.mkdir(parents=True)
    (path / "README.md").write_text(card, "utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("---\nlicense: apache-2.0\n---\n# x\n", ("apache-2.0",)),
        ("---\nlicense: [mit, cc-by-4.0]\n---\n", ("cc-by-4.0", "mit")),
        ("---\nlicense:\n- mit\n---\n", ("mit",)),
        ("---\nlicense: other\nlicense_name: our-terms\n---\n", ("our-terms",)),
        ("---\nlicense: other\n---\n", ("other",)),
        ("---\nlanguage: zh\n---\n", ("unstated",)),
        ("---\nlicense: [mit\n---\n", ("unstated",)),
        ("# no front matter\n---\nlicense: mit\n---\n", ("unstated",)),
        ("---\nlicense: mit\nwardround: 3\n---\n", ("mit",)),
        ("---\nlicense: mit\nwardround: {licences: [1]}\n---\n", ("mit",)),
    ],
)
def test_a_foreign_card_states_the_licence_of_its_base(
    tmp_path: Path, text: str, base: tuple[str, ...]
) -> None:
    assert of_base(directory(tmp_path / "base", text)) == Licences(base=base)


@pytest.mark.parametrize(
    ("found", "license_", "name"),
    [
        (Licences(base=("Apache-2.0",), sources=("Apache-2.0",)), "apache-2.0", None),
        (Licences(sources=("CC0-1.0",)), "cc0-1.0", None),
        (Licences(base=("apache-2.0",), sources=("dev only",)), "other", "apache-2.0-and-dev-only"),
        (Licences(base=("our terms",), sources=("our terms",)), "other", "our-terms"),
        (Licences(base=("mit",), sources=("仅供院内",)), "other", "several-see-the-card"),
        (Licences(base=("unstated",)), "unknown", None),
    ],
)
def test_front_matter_names_a_licence_only_where_it_is_one_and_known(
    found: Licences, license_: str, name: str | None
) -> None:
    front = found.front()
    assert (front["license"], front.get("license_name")) == (license_, name)


def test_a_base_in_the_hubs_cache_is_called_by_its_id(tmp_path: Path) -> None:
    place = tmp_path / "hub" / "models--Org--Chat-1.5B" / "snapshots" / "0a1b"
    assert licences.name_of(directory(place, "")) == "Org/Chat-1.5B"
    assert licences.name_of(directory(tmp_path / "mine", "")) == "mine"


@pytest.mark.torch
def test_licences_stay_over_three_generations(
    dataset: Path, base: Path, judged: Path, tmp_path: Path
) -> None:
    from huggingface_hub import ModelCard

    first = tmp_path / "first"
    shutil.copytree(base, first)
    (first / "manifest.json").unlink()
    (first / "README.md").write_text("---\nlicense: apache-2.0\n---\n# x\n", "utf-8")
    plain = tmp_path / "talks.jsonl"
    plain.write_text('{"messages":[{"role":"user","content":"头痛"},{"role":"assistant","content":"多休息。"}]}\n', "utf-8")  # fmt: skip
    options = msgspec.structs.replace(TUNE, epochs=1, accept_unchecked=True)
    second = tune([dataset, plain], first, tmp_path / "second", options)
    third = prefer(
        judged, second.path, tmp_path / "third",
        PreferOptions(precision="fp32", threads=1, held_out_share=0.2, accept_unchecked=True),
    )  # fmt: skip
    assert of_base(third.path) == Licences(
        base=("apache-2.0",), sources=("CC0-1.0", "unstated (judged.jsonl)", "unstated (talks.jsonl)")
    )  # fmt: skip
    assert onwards(third.path, ["mit"]).base == ("apache-2.0",)
    text = (third.path / "README.md").read_text("utf-8")
    assert "Licence of the base: apache-2.0" in text
    assert "of the base's earlier trainings: CC0-1.0, unstated (talks.jsonl)" in text
    assert text.count(guard.UNCHECKED) == 1
    assert open_artifact(third.path).manifest.labels.count(guard.UNCHECKED) == 1

    data: dict[str, object] = ModelCard(text).data.to_dict()  # type: ignore[no-untyped-call]
    assert data == front_matter(text)
    assert {k: data[k] for k in ("language", "library_name", "base_model", "license")} == {
        "language": "zh", "library_name": "transformers", "base_model": "second", "license": "other",
    }  # fmt: skip
    assert str(data["license_name"]).startswith("apache-2.0-and-cc0-1.0-and-")
    assert str(tmp_path) not in text


@pytest.mark.torch
def test_a_base_inside_a_checkpoint_has_the_checkpoints_licences(
    dataset: Path, base: Path, tmp_path: Path
) -> None:
    made = tune(dataset, base, tmp_path / "made", TUNE).path
    assert of_base(base) == Licences(sources=("CC0-1.0",))  # made from scratch: no base before it
    assert of_base(made) == Licences(sources=("CC0-1.0",))
    if (made / "best").is_dir():
        assert of_base(made / "best") == of_base(made)
    assert "The base was made from scratch" in (made / "README.md").read_text("utf-8")
    assert card.inherited_labels(made)
