"""A league on models of the test's own: what they share, what they don't, and how each ends for itself."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.test_run import Judge, Junior, data, summary
from wardround.artifact import open_artifact
from wardround.benchmarks.league import COMPARISON, Entry, League, evaluate_all, folder
from wardround.benchmarks.run import Settings, evaluate
from wardround.errors import BusyError, ConfigMismatchError, CostCapError, ModelError, UsageError
from wardround.models.ledger import Price
from wardround.records import Answer, Request

__all__ = ["data"]


class Sick(Junior):
    """Dead at the check."""

    async def check(self) -> None:
        raise ModelError(f"{self.name} is dead", hint="wake it")


def league(
    data: Path,
    out: Path,
    models: list[Any],
    judges: list[Any] | None = None,
    against: str | None = None,
    **settings: Any,
) -> League:
    entries = [m if isinstance(m, Entry) else Entry(model=m) for m in models]
    judges = [Judge()] if judges is None else judges
    return evaluate_all(
        ["doctorflan_test"], data, entries, judges, out, Settings(**settings), against=against
    )


def comparison(found: League) -> dict[str, Any]:
    assert found.comparison is not None
    read: dict[str, Any] = json.loads((found.comparison.path / "comparison.json").read_text())
    return read


def test_each_run_has_the_bytes_it_would_have_alone(data: Path, tmp_path: Path) -> None:
    judge = Judge()
    found = league(data, tmp_path / "l", [Junior("a"), Junior("b"), Junior("c")], [judge])
    assert [m.name for m in found.models] == ["a", "b", "c"]
    for one in found.models:
        alone = tmp_path / f"alone-{one.name}"
        evaluate(["doctorflan_test"], data, Junior(one.name), [Judge()], alone, Settings())
        assert one.outcome is not None and one.outcome.artifact is not None
        assert one.outcome.artifact.manifest.digest == open_artifact(alone).manifest.digest
        assert one.outcome.artifact.manifest.cost == open_artifact(alone).manifest.cost
    assert judge.calls.total() == 24
    assert [r["model"] for r in comparison(found)["runs"]] == ["a", "b", "c"]


def test_the_dead_and_the_failing_cost_the_others_nothing(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "l"
    models = [Junior("a"), Sick("b"), Junior("c", fail="Triage题1"), Junior("d", die_after=3)]
    found = league(data, out, [*models, Junior("e")])
    assert [m.sealed for m in found.models] == [True, False, False, False, True]
    _, dead, failed, died, _ = found.models
    assert isinstance(dead.error, ModelError) and dead.outcome is None
    assert failed.error is None and failed.outcome is not None
    assert (failed.outcome.failed, failed.outcome.reasons) == (1, {"http 500": 1})
    assert isinstance(died.error, ModelError)
    assert [r["model"] for r in comparison(found)["runs"]] == ["a", "e"]
    again = {n: Junior(n) for n in "abcde"}
    whole = league(data, out, list(again.values()))
    assert all(m.sealed for m in whole.models)
    assert [again[n].calls.total() for n in "abcde"] == [0, 8, 1, 5, 0]
    assert [r["model"] for r in comparison(whole)["runs"]] == list("abcde")


def test_a_dead_judge_is_found_once_and_before_anything_is_paid_for(
    data: Path, tmp_path: Path
) -> None:
    class DeadJudge(Judge):
        checks = 0

        async def check(self) -> None:
            self.checks += 1
            await asyncio.sleep(0)
            raise ModelError("judge is dead")

    models, judge = [Junior(n) for n in "abc"], DeadJudge()
    found = league(data, tmp_path / "l", models, [judge])
    assert [str(m.error) for m in found.models] == ["judge is dead"] * 3
    assert sum(m.calls.total() for m in models) == 0
    assert (judge.checks, found.comparison) == (1, None)
    assert list((tmp_path / "l").iterdir()) == []


def test_a_run_is_sealed_while_others_go_on(data: Path, tmp_path: Path) -> None:
    sealed = threading.Event()

    class Waits(Junior):
        async def complete(self, request: Request) -> Answer:
            for _ in range(500):
                if (tmp_path / "l" / "quick" / "manifest.json").exists():
                    sealed.set()
                    break
                await asyncio.sleep(0.01)
            return await super().complete(request)

    found = league(data, tmp_path / "l", [Waits("slow"), Junior("quick")], limit=2)
    assert sealed.is_set()
    assert all(m.sealed for m in found.models)


def test_the_comparison_follows_the_sealed_runs_and_the_reference(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "l"
    two = league(data, out, [Junior("a"), Junior("b")])
    digest = two.comparison.manifest.digest if two.comparison else ""
    same = league(data, out, [Junior("a"), Junior("b")])
    assert same.comparison is not None and same.comparison.manifest.digest == digest
    three = comparison(league(data, out, [Junior("a"), Junior("b"), Junior("c")], against="b"))
    assert [r["model"] for r in three["runs"]] == ["a", "b", "c"]
    assert three["runs"][three["reference"]]["model"] == "b"
    # Models that are not asked come into the comparison only if they were asked before.
    rest = [Entry(model=m, asked=False) for m in (Junior("b"), Junior("x"))]
    some = league(data, out, [Junior("a"), *rest])
    assert [m.name for m in some.models] == ["a", "b"]
    assert comparison(some)["runs"][1]["model"] == "b"
    # What isn't a comparison is never removed.
    (out / COMPARISON / "manifest.json").unlink()
    with pytest.raises(UsageError, match="nothing there was touched"):
        league(data, out, [Junior("a"), Junior("b")])
    assert (out / COMPARISON / "comparison.json").exists()
    alone = league(data, tmp_path / "one", [Junior("a")])
    assert alone.comparison is None and alone.models[0].sealed


def test_one_cap_for_all_runs_counts_sealed_ones_too(data: Path, tmp_path: Path) -> None:
    """An answer is told as 3 + 2 tokens at 1 each; a verdict isn't told, and free."""
    out, price = tmp_path / "l", Price(per_in=1e6, per_out=1e6)
    prices = {"a": price, "b": price, "judge": Price(per_in=0.0, per_out=0.0)}
    assert league(data, out, [Junior("a")], prices=prices).models[0].sealed
    other = league(data, out, [Junior("a"), Junior("c")], max_tokens=9)
    assert isinstance(other.models[0].error, ConfigMismatchError) and other.models[1].sealed
    second = Junior("b")
    capped = league(data, out, [Junior("a"), second], prices=prices, max_cost=60)
    assert [m.sealed for m in capped.models] == [True, False]
    assert isinstance(capped.models[1].error, CostCapError)
    assert "40 is spent" in str(capped.models[1].error)
    assert second.calls.total() == 0
    assert all(
        m.sealed
        for m in league(data, out, [Junior("a"), Junior("b")], prices=prices, max_cost=1e6).models
    )


def test_models_that_run_here_take_turns(data: Path, tmp_path: Path) -> None:
    at_once = most = 0

    class Local(Junior):
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.identity = {"kind": "local", "digest": name}

        async def check(self) -> None:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)

        async def close(self) -> None:
            nonlocal at_once
            if self.calls:
                at_once -= 1

    found = league(data, tmp_path / "l", [Local("a"), Local("b"), Local("c"), Junior("d")])
    assert all(m.sealed for m in found.models)
    assert (most, at_once) == (1, 0)


def test_wrong_use(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "l"
    with pytest.raises(UsageError, match="two models are named"):
        league(data, out, [Junior("Qwen"), Junior("qwen")])
    with pytest.raises(UsageError, match="two models are named"):
        league(data, out, [Junior("judge")])
    with pytest.raises(UsageError, match="needs models"):
        league(data, out, [])
    with pytest.raises(UsageError, match="no model named 'z'"):
        league(data, out, [Junior("a")], against="z")
    assert not out.exists()
    evaluate(["doctorflan_test"], data, Junior("a"), [], tmp_path / "run", Settings())
    with pytest.raises(UsageError, match="not a league"):
        league(data, tmp_path / "run", [Junior("a")])


def test_two_leagues_do_not_share_a_directory(data: Path, tmp_path: Path) -> None:
    class Greedy(Junior):
        async def complete(self, request: Request) -> Answer:
            with pytest.raises(BusyError):
                await asyncio.to_thread(league, data, tmp_path / "l", [Junior("b")])
            return await super().complete(request)

    found = league(data, tmp_path / "l", [Greedy("b")], limit=1)
    assert found.models[0].sealed


def test_a_failed_check_leaves_the_directory_to_a_mended_address(
    data: Path, tmp_path: Path
) -> None:
    class Moved(Sick):
        def __init__(self) -> None:
            super().__init__("a")
            self.identity = {"kind": "test", "model": "elsewhere"}

    assert not league(data, tmp_path / "l", [Moved()]).models[0].sealed
    assert league(data, tmp_path / "l", [Junior("a")]).models[0].sealed
    assert summary(tmp_path / "l" / "a")["counts"]["scored"] == 8


@pytest.mark.parametrize("name", ["qwen2.5-7B", "baichuan_m2", "华佗-7B", "a"])
def test_plain_names_are_folders(name: str) -> None:
    assert folder(name) == name


@given(names=st.sets(st.text(min_size=1, max_size=100), min_size=2, max_size=8))
def test_folders_are_safe_and_never_shared(names: set[str]) -> None:
    given_names = names | {"comparison", "..", "a/b", "a b", "a?b", ".hidden", "x" * 300, "𠀀" * 99}
    folders = [folder(n) for n in given_names]
    assert len(set(folders)) == len(folders)
    for one in folders:
        assert one not in {"", COMPARISON}
        assert not set(one) & set('/\\:*?"<>|\0\n ')
        assert not one.startswith(("-", ".")) and len(one.encode()) < 160
