"""What requests cost, and the cap that is never passed."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.support import Fake, question
from wardround.errors import CostCapError
from wardround.journal import Journal
from wardround.models.ask import Ask, Job, run, run_jobs
from wardround.models.ledger import FREE, Budget, Ledger, Price, percentiles
from wardround.models.wire import failed
from wardround.records import Answer

PRICE = Price(per_in=1e6, per_out=1e6)
"""One a token, so that costs are token counts."""


def answer(tokens_in: int | None = 10, tokens_out: int | None = 5) -> Answer:
    return Answer(status="ok", text="好", tokens_in=tokens_in, tokens_out=tokens_out, latency_s=0.5)


def work(
    model: Fake, keys: range | str, max_tokens: int = 50
) -> list[Callable[[Ask], Awaitable[Answer]]]:
    async def one(ask: Ask, key: str) -> Answer:
        return await ask(model, question("问", key, max_tokens=max_tokens))

    return [lambda ask, key=str(k): one(ask, key) for k in keys]  # type: ignore[misc]


def test_tokens_cost_and_time_by_model(tmp_path: Path) -> None:
    model, judge = Fake(lambda _: answer(), "model"), Fake(lambda _: answer(100, 1), "judge")
    ledger = Ledger({"model": Price(per_in=2.0, per_out=8.0)})
    with Journal(tmp_path / "j", config="c") as journal:
        pieces = work(model, "abc") + work(judge, "xy")
        run(pieces, models=[model, judge], journal=journal, concurrency=2, ledger=ledger)
    cost = ledger.cost()
    assert cost["model: cost"] == pytest.approx((30 * 2 + 15 * 8) / 1e6)
    assert cost["cost"] == cost["model: cost"]
    assert "judge: cost" not in cost
    assert (cost["judge: tokens_in"], cost["tokens_in"], cost["requests"]) == (200, 230, 5)
    assert ledger.timing()["model"] == {"n": 3, "p50": 0.5, "p90": 0.5, "p99": 0.5, "max": 0.5}
    assert ledger.seconds > 0


def test_the_cap_stops_before_it_is_passed_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    """Each request really costs 15 and may cost 3 bytes + 16 + 50 = 69."""
    model = Fake(lambda _: answer(), "model")
    with Journal(tmp_path / "j", config="c") as journal:
        ledger = Ledger({"model": PRICE}, cap=200)
        with pytest.raises(CostCapError, match="before the cost would pass 200: 135 is spent") as e:
            run(
                work(model, range(30)),
                models=[model],
                journal=journal,
                concurrency=8,
                ledger=ledger,
            )
        assert "--max-cost" in e.value.hint
        assert len(journal) == 9
        assert ledger.cost()["cost"] == 135 <= 200
        again = Ledger({"model": PRICE}, cap=30 * 15 + 54)
        found = run(
            work(model, range(30)), models=[model], journal=journal, concurrency=8, ledger=again
        )
    assert len(found) == 30
    assert len(model.asked) == 30
    assert again.cost()["cost"] == 450


def test_several_ledgers_can_share_a_budget(tmp_path: Path) -> None:
    """Together they stay under the cap; what is free is never refused."""
    budget = Budget(200)
    models = [Fake(lambda _: answer(), n) for n in ("a", "b", "free")]
    prices = {"a": PRICE, "b": PRICE, "free": FREE}
    ledgers = [Ledger(prices, budget=budget) for _ in models]
    journals = [Journal(tmp_path / m.name, config="c") for m in models]
    found = run_jobs(
        [
            Job(work=work(m, range(30)), models=[m], journal=j, ledger=ledger)
            for m, j, ledger in zip(models, journals, ledgers, strict=True)
        ],
        concurrency=4,
    )
    assert [type(end) for end in found] == [CostCapError, CostCapError, list]
    assert sum(ledger.cost()["cost"] for ledger in ledgers) == 135 == budget.charged
    assert ledgers[0].cost()["cost"] > 0 < ledgers[1].cost()["cost"]
    for journal in journals:
        journal.close()


def test_what_is_in_flight_is_not_thrown_away(tmp_path: Path) -> None:
    import asyncio

    async def slow(_: object) -> Answer:
        await asyncio.sleep(0.01)
        return answer()

    model = Fake(slow, "model")
    with Journal(tmp_path / "j", config="c") as journal:
        ledger = Ledger({"model": PRICE}, cap=500)
        with pytest.raises(CostCapError):
            run(
                work(model, range(99)),
                models=[model],
                journal=journal,
                concurrency=16,
                ledger=ledger,
            )
        assert len(journal) == len(model.asked) == ledger.cost()["requests"]


def test_what_the_endpoint_does_not_tell_is_charged_at_its_worst_now_and_in_later_sessions(
    tmp_path: Path,
) -> None:
    replies = {
        "a": answer(None, None),
        "b": failed("timeout"),
        "c": failed("http 500"),
        "d": answer(),
    }
    model = Fake(lambda request: replies[request.key], "model")
    with Journal(tmp_path / "j", config="c") as journal:
        first = Ledger({"model": PRICE}, cap=1000)
        run(work(model, "abcd"), models=[model], journal=journal, concurrency=1, ledger=first)
        assert first._charged == 69 + 69 + 0 + 15
        later = Ledger({"model": PRICE}, cap=1000)
        later.open(journal)
    assert later._charged == first._charged
    assert later.cost() == first.cost()
    assert later.cost()["tokens_untold"] == 1


@given(
    real=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 50)), min_size=1, max_size=60),
    cap=st.integers(1, 1500),
    concurrency=st.integers(1, 9),
)
@settings(max_examples=40, deadline=None)
def test_the_cap_holds_whatever_is_billed(
    tmp_path_factory: pytest.TempPathFactory,
    real: list[tuple[int, int]],
    cap: int,
    concurrency: int,
) -> None:
    model = Fake(lambda request: answer(*real[int(request.key)]), "model")
    ledger = Ledger({"model": PRICE}, cap=cap)
    with Journal(tmp_path_factory.mktemp("j") / "j", config="c") as journal:
        try:
            run(
                work(model, range(len(real))), models=[model], journal=journal,
                concurrency=concurrency, ledger=ledger,
            )  # fmt: skip
        except CostCapError:
            assert ledger.cost().get("cost", 0) + 69 > cap
    assert ledger.cost().get("cost", 0) <= cap


def test_percentiles_are_nearest_ranks() -> None:
    assert percentiles([float(i) for i in range(1, 101)]) == {
        "n": 100, "p50": 50.0, "p90": 90.0, "p99": 99.0, "max": 100.0,
    }  # fmt: skip
    assert percentiles([3.0]) == {"n": 1, "p50": 3.0, "p90": 3.0, "p99": 3.0, "max": 3.0}
    assert percentiles([]) == {"n": 0}
