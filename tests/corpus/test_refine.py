import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.corpus.fake import FakeModel, Reply, block_of, failed, ok, polite
from tests.corpus.made import entry, read, write
from wardround.corpus import checking, rules
from wardround.corpus import refine as refining
from wardround.corpus.checking import Checkers
from wardround.corpus.compose import Limits, compose
from wardround.corpus.keys import sample_key
from wardround.corpus.recipes import load
from wardround.corpus.refine import OnBroken, Refinement, refine
from wardround.corpus.rewritten import Broken, Rewrite
from wardround.corpus.store import Store
from wardround.journal import Journal
from wardround.models.scripted import ScriptedModel
from wardround.records import Answer, Document, Request, Sample, encode

TASKS = ("triage", "treatment_plan")


@pytest.fixture
def material(tmp_path: Path) -> tuple[list[Sample], dict[str, Document]]:
    path = write(tmp_path / "a.jsonl", [entry(), entry("乙病")])
    documents = [d for d in read(path) if isinstance(d, Document)]
    samples = compose(documents, load(), tasks=TASKS, limits=Limits()).samples
    assert len(samples) == 4
    return list(samples), {d.id: d for d in documents}


def run(
    material: tuple[list[Sample], dict[str, Document]],
    journal: Path,
    model: FakeModel | ScriptedModel,
    on_broken: OnBroken = "keep",
) -> tuple[list[Sample], Refinement]:
    samples, documents = material
    work = journal.with_name(f"{journal.name}-work")
    work.mkdir(exist_ok=True)
    with (
        Journal(journal, config="c") as j,
        Store(work / "samples") as store,
        Store(work / "rewrites") as rewrites,
    ):
        keys = [
            msgspec.structs.replace(sample_key(s), place=store.append(encode(s))) for s in samples
        ]
        found = refine(
            keys, store, documents.__getitem__, model,
            rewrites=rewrites, journal=j, concurrency=2, on_broken=on_broken,
        )  # fmt: skip
        kept = [k for k in keys if k.place not in found.dropped]
        made = [
            rewrites.read(found.rewritten[k.place], Sample)
            if k.place in found.rewritten
            else store.read(k.place, Sample)
            for k in kept
        ]
    return made, found.counts


def test_a_rewrite_that_keeps_every_rule_is_kept(
    material: tuple[list[Sample], dict[str, Document]], tmp_path: Path
) -> None:
    model = FakeModel()
    found, stats = run(material, tmp_path / "j", model)
    assert [s.id for s in found] == [s.id for s in material[0]]
    assert all(s.refined and s.output.startswith("综上所述，") for s in found)
    assert stats == Refinement(
        model="fake", asked=4, kept=4, retried=0, fell_back=0, dropped=0, failed=0, rules={}
    )
    request = model.asked[0]
    sample = next(s for s in material[0] if request.key.startswith(f"refine:{s.id}:"))
    assert block_of(request, "question") == sample.input
    assert block_of(request, "reference") == sample.output
    assert "处疼痛、低热" in block_of(request, "passage")
    assert request.hint == {"reference": sample.output}


def test_processes_beside_change_nothing(
    material: tuple[list[Sample], dict[str, Document]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reply = {1: "每日服用37片。", 2: "请遵医嘱。"}
    model = FakeModel(lambda r: ok(block_of(r, "reference") + reply[r.nth]))
    here = run(material, tmp_path / "here", model)
    monkeypatch.setattr(refining, "MANY", 1)
    there: list[Rewrite] = []

    class Waited(Checkers):
        """Two processes, waited for."""

        def __init__(self, processes: int | None) -> None:
            assert processes is None
            super().__init__(2)

        async def check(self, rewrite: Rewrite) -> Broken | None:
            while not all([one.takes() for one in self._beside]):  # noqa: C419 (each has to be asked)
                await asyncio.sleep(0.01)
            there.append(rewrite)
            return await super().check(rewrite)

    monkeypatch.setattr(refining, "Checkers", Waited)
    monkeypatch.setattr(checking, "verdict", lambda rewrite: pytest.fail("checked here"))
    assert run(material, tmp_path / "beside", model) == here
    assert here[1].rules == {"number_not_in_source": 4} and here[1].kept == 4
    assert len(there) == 8


@pytest.mark.parametrize(
    ("rule", "reply"),
    [
        ("empty", lambda r: ok(" ")),
        ("apology_or_refusal", lambda r: ok("抱歉，" + block_of(r, "reference"))),
        ("mentions_passage", lambda r: ok("根据参考资料，" + block_of(r, "reference"))),
        ("unfinished", lambda r: ok(block_of(r, "reference"), "length")),
        ("unfinished", lambda r: ok(block_of(r, "reference").rstrip("。") + "，")),
        ("too_short", lambda r: ok("药物治疗。")),
        ("too_long", lambda r: ok(block_of(r, "reference") * 9)),
        ("number_not_in_source", lambda r: ok(block_of(r, "reference") + "每日服用37片。")),
    ],
)
def test_each_rule_is_told_once_and_then_the_reference_stays(
    material: tuple[list[Sample], dict[str, Document]], tmp_path: Path, rule: str, reply: Reply
) -> None:
    samples, documents = material
    plans = [s for s in samples if s.task == "treatment_plan"][:1]
    model = FakeModel(reply)
    found, stats = run((plans, documents), tmp_path / "j", model)
    assert found == plans
    assert (stats.kept, stats.retried, stats.fell_back, stats.failed) == (0, 1, 1, 0)
    assert stats.rules == {rule: 2}
    first, second = model.asked
    assert rules.RULES[rule] not in first.messages[-1].text
    assert rules.RULES[rule] in second.messages[-1].text
    assert first.key != second.key


def test_a_second_try_may_do(
    material: tuple[list[Sample], dict[str, Document]], tmp_path: Path
) -> None:
    def reply(request: Request) -> Answer:
        return polite(request) if request.key.endswith(":2") else ok("对不起。")

    _, stats = run(material, tmp_path / "j", FakeModel(reply))
    assert (stats.kept, stats.retried, stats.fell_back) == (4, 4, 0)
    assert stats.rules == {"apology_or_refusal": 4}


def test_triage_keeps_to_one_department(
    material: tuple[list[Sample], dict[str, Document]], tmp_path: Path
) -> None:
    samples, documents = material
    triage = [s for s in samples if s.task == "triage"]
    model = FakeModel(lambda r: ok("呼吸内科或心内科\n" + block_of(r, "reference")))
    _, stats = run((triage, documents), tmp_path / "j", model)
    assert stats.rules == {"several_departments": 4}


def test_a_failed_request_is_counted_and_asked_again_alone(
    material: tuple[list[Sample], dict[str, Document]], tmp_path: Path
) -> None:
    bad = material[0][1].id
    first = FakeModel(lambda r: failed() if bad in r.key else polite(r))
    found, stats = run(material, tmp_path / "j", first)
    assert (stats.kept, stats.failed, stats.fell_back) == (3, 1, 0)
    assert [s.id for s in found if not s.refined] == [bad]
    second = FakeModel()
    found, stats = run(material, tmp_path / "j", second)
    assert second.keys == [f"refine:{bad}:1"]
    assert (stats.kept, stats.failed) == (4, 0)


def test_scripted_models(
    material: tuple[list[Sample], dict[str, Document]], tmp_path: Path
) -> None:
    found, stats = run(material, tmp_path / "rewrite", ScriptedModel("rewrite"))
    assert (stats.model, stats.kept, stats.rules) == ("scripted:rewrite", 4, {})
    assert all(s.refined for s in found)
    _, stats = run(material, tmp_path / "echo", ScriptedModel("echo"))
    assert (stats.kept, stats.fell_back) == (0, 4)
    _, stats = run(material, tmp_path / "empty", ScriptedModel("empty"))
    assert stats.rules == {"empty": 8}
