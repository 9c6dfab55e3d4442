"""The laws of sharing out, and what a balance does to a dataset."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround.corpus.balance import Balance, balanced, quotas, read_balance, share_out
from wardround.corpus.keys import SampleKey
from wardround.errors import InputError, UsageError

NAMES = st.sampled_from("abcdef")


@given(
    available=st.dictionaries(NAMES, st.integers(0, 50)),
    weights=st.dictionaries(NAMES, st.sampled_from([0.0, 0.5, 1.0, 2.0, 7.5])),
    size=st.integers(0, 300),
)
def test_sharing_out(available: dict[str, int], weights: dict[str, float], size: int) -> None:
    got = share_out(available, weights, size)
    usable = {k: n for k, n in available.items() if weights.get(k, 1.0) > 0}
    assert got.keys() == available.keys()
    assert all(0 <= got[k] <= available[k] for k in got)
    assert sum(got.values()) == min(size, sum(usable.values()))
    # Who did not get all it has got no less than its weight's part beside any other (within one).
    for a in usable:
        for b in usable:
            if got[a] < usable[a] and got[b] > 0:
                assert got[a] / weights.get(a, 1.0) >= (got[b] - 1) / weights.get(
                    b, 1.0
                ) - 1 / weights.get(a, 1.0)


def test_a_worked_example() -> None:
    assert share_out({"a": 5, "b": 100, "c": 100}, {"c": 3.0}, 85) == {"a": 5, "b": 20, "c": 60}
    assert share_out({"a": 2, "b": 2}, {}, 3) == {"a": 2, "b": 1}


CELLS = {("t", "x"): 100, ("t", "y"): 10, ("u", "x"): 40}


def test_caps_and_size() -> None:
    assert quotas(CELLS, Balance(max_per_task=50)) == {
        ("t", "x"): 40,
        ("t", "y"): 10,
        ("u", "x"): 40,
    }
    assert quotas(CELLS, Balance(max_per_cell=7)) == dict.fromkeys(CELLS, 7)
    assert quotas(CELLS, Balance(max_per_specialty=60)) == {
        ("t", "x"): 30,
        ("t", "y"): 10,
        ("u", "x"): 30,
    }
    assert sum(quotas(CELLS, Balance(size=33)).values()) == 33
    assert quotas(CELLS, Balance(tasks={"t": 0.0})) == {
        ("t", "x"): 0,
        ("t", "y"): 0,
        ("u", "x"): 40,
    }


def keys() -> list[SampleKey]:
    return [
        SampleKey(
            id=f"{t}{s}{i}", task=t, specialty=s, document="d", asked=1, answered=1, length_in=1, length_out=1
        )
        for (t, s), n in CELLS.items()
        for i in range(n)
    ]  # fmt: skip


def test_nothing_vanishes_and_the_seed_decides() -> None:
    samples = keys()
    kept, over = balanced(samples, Balance(max_per_cell=9), 1)
    assert Counter(s.id for s in (*kept, *over)) == Counter(s.id for s in samples)
    assert Counter((s.task, s.specialty) for s in kept) == dict.fromkeys(CELLS, 9)
    assert balanced(samples[::-1], Balance(max_per_cell=9), 1)[0] == kept[::-1]
    assert balanced(samples, Balance(max_per_cell=9), 2)[0] != kept
    assert balanced(samples, Balance(), 1) == (samples, [])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("size: many", "not a balance file"),
        ("tasks: {triag: 1}", "no task named triag"),
        ("specialties: {cardiology: -1}", "weight of cardiology"),
        ("max_per_task: -3", "below 0"),
        ("wieghts: {}", "wieghts"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "balance.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said) as e:
        read_balance(path)
    assert str(path) in str(e.value)
    with pytest.raises(UsageError):
        read_balance(tmp_path / "none.yaml")


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "balance.yaml"
    path.write_text("size: 92000\ntasks: {triage: 2}\n", encoding="utf-8")
    assert read_balance(path) == Balance(size=92000, tasks={"triage": 2.0})
