from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from wardround.models import batching  # noqa: E402
from wardround.models.batching import Engine, Row, row_of  # noqa: E402
from wardround.models.loaded import Loaded  # noqa: E402
from wardround.models.rows import TOKENS, Shared, Single, shares_rows  # noqa: E402
from wardround.records import Answer  # noqa: E402

pytestmark = pytest.mark.torch

PROMPTS = [[5, 9, 30], [7] * 11, [40, 41, 42, 43, 44, 45], [8, 3], [100, 90, 80, 70], [11] * 20]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def loaded(tiny_checkpoint: Path) -> Loaded:
    return Loaded(tiny_checkpoint, "cpu")


def row(loaded: Loaded, ids: list[int], room: int = 12, **settings: Any) -> Row:
    return row_of(loaded, ids, room, settings)


def finish(engine: Engine) -> dict[Row, Answer]:
    """Turn until nothing is left."""
    ended: dict[Row, Answer] = {}
    while engine.under_way or engine.waiting:
        ended |= {r: item for r, item in engine.turn() if isinstance(item, Answer)}
    return ended


KNOWN: dict[tuple[int, tuple[int, ...]], list[int]] = {}


def alone(loaded: Loaded, ids: list[int], room: int = 12) -> list[int]:
    """What transformers itself says, greedily, to one prompt."""
    key = (id(loaded.model), tuple(ids))
    if key not in KNOWN or room > 14:
        KNOWN[key] = said_alone(loaded, ids, max(room, 14))
    return KNOWN[key][:room]


def said_alone(loaded: Loaded, ids: list[int], room: int) -> list[int]:
    with torch.inference_mode():
        made = loaded.model.generate(
            torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=room, do_sample=False,
        )  # fmt: skip
    return [int(t) for t in made[0, len(ids) :]]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrivals=st.lists(
        st.tuples(st.integers(0, len(PROMPTS) - 1), st.integers(1, 14), st.integers(0, 4)),
        min_size=1, max_size=10,
    ),
    size=st.integers(1, 5),
)  # fmt: skip
def test_whoever_comes_and_goes_each_answer_is_the_one_it_gets_alone(
    loaded: Loaded, arrivals: list[tuple[int, int, int]], size: int
) -> None:
    engine = Engine(loaded, size)
    rows: list[tuple[Row, int, int]] = []
    ended: dict[Row, Answer] = {}
    for which, room, turns in arrivals:
        rows.append((row(loaded, PROMPTS[which], room), which, room))
        engine.add(rows[-1][0])
        for _ in range(turns):
            ended |= {r: item for r, item in engine.turn() if isinstance(item, Answer)}
            assert engine.under_way <= size
    ended |= finish(engine)
    for made, which, room in rows:
        assert made.made == alone(loaded, PROMPTS[which], room)
        assert ended[made].status == "ok"
    assert len(ended) == len(rows)


def test_the_cache_grows_and_is_given_back(loaded: Loaded) -> None:
    engine = Engine(loaded, 3)
    # One answer goes beyond the first piece of cache while others come and go beside it.
    long = row(loaded, [9, 8, 7], TOKENS + 20)
    engine.add(long)
    for k in range(20):
        engine.add(row(loaded, PROMPTS[k % 6], 3 + k))
    finish(engine)
    assert long.made == alone(loaded, [9, 8, 7], TOKENS + 20)
    assert engine.most == 3
    lane = Shared(loaded.model, 2, 256)
    with torch.inference_mode():
        lane.join([[1, 2, 3]])
        assert lane.room == (1, TOKENS)
        lane.join([[1] * (TOKENS + 1)])
        assert lane.room == (2, 2 * TOKENS)
        lane.leave(0)
        assert (lane.rows, lane.longest) == (1, TOKENS + 1)
        lane.leave(0)
    assert lane.room == (0, 0)


def test_a_newcomer_does_not_wait_for_a_long_answer(loaded: Loaded) -> None:
    engine = Engine(loaded, 2)
    long, short = row(loaded, PROMPTS[0], 100), row(loaded, PROMPTS[1], 2)
    engine.add(long)
    engine.turn()
    engine.add(short)
    ended = [r for r, item in engine.turn() if isinstance(item, Answer)]
    assert ended == [short]
    assert len(long.made) == 3


def test_a_seeded_draw_has_the_model_to_itself(loaded: Loaded) -> None:
    def drawn(*company: Row) -> list[int]:
        engine = Engine(loaded, 8)
        seeded = row(loaded, PROMPTS[2], 20, temperature=1.0, seed=3)
        for r in (*company, seeded):
            engine.add(r)
        finish(engine)
        return seeded.made

    assert drawn() == drawn(row(loaded, PROMPTS[3]), row(loaded, PROMPTS[1], temperature=1.0))


def test_who_is_not_wanted_leaves_at_the_next_turn(loaded: Loaded) -> None:
    wanted = [True]
    engine = Engine(loaded, 2)
    gone = row_of(loaded, PROMPTS[0], 100, {}, wanted=lambda: wanted[0])
    stays, next_one = row(loaded, PROMPTS[1], 30), row(loaded, PROMPTS[2], 5)
    for r in (gone, stays, next_one):
        engine.add(r)
    engine.turn()
    wanted[0] = False
    ended = finish(engine)
    assert set(ended) == {stays, next_one}
    assert stays.made == alone(loaded, PROMPTS[1], 30)
    assert len(gone.made) == 2


def test_out_of_memory_some_wait_and_nothing_changes(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, join = Shared.step, Shared.join
    most = []

    def tight_step(self: Shared, tokens: Any) -> Any:
        if self.rows > 2:
            raise torch.OutOfMemoryError("no room")
        most.append(self.rows)
        return step(self, tokens)

    def tight_join(self: Shared, prompts: Any) -> Any:
        if len(prompts) > 3:
            raise torch.OutOfMemoryError("no room")
        return join(self, prompts)

    engine = Engine(loaded, 8)
    monkeypatch.setattr(Shared, "step", tight_step)
    monkeypatch.setattr(Shared, "join", tight_join)
    rows = [row(loaded, p, 9) for p in PROMPTS]
    for r in rows:
        engine.add(r)
    ended = finish(engine)
    assert [r.made for r in rows] == [alone(loaded, p, 9) for p in PROMPTS]
    assert {a.status for a in ended.values()} == {"ok"}
    assert max(most) <= 2


def test_what_never_fits_fails_by_itself(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    join = Shared.join

    def tight(self: Shared, prompts: Any) -> Any:
        if any(len(p) > 15 for p in prompts):
            raise torch.OutOfMemoryError("no room")
        return join(self, prompts)

    engine = Engine(loaded, 8)
    monkeypatch.setattr(Shared, "join", tight)
    rows = [row(loaded, p) for p in PROMPTS]
    for r in rows:
        engine.add(r)
    ended = finish(engine)
    assert [ended[r].status for r in rows] == ["ok"] * 5 + ["failed"]
    assert ended[rows[5]].reason == "memory: 20 tokens don't fit the GPU"


def test_an_error_in_a_step_ends_those_in_it_and_no_more(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(loaded, 2)
    step = Shared.step
    broken = [True]

    def sometimes(self: Shared, tokens: Any) -> Any:
        if broken.pop() if broken else False:
            raise ValueError("odd")
        return step(self, tokens)

    monkeypatch.setattr(Shared, "step", sometimes)
    rows = [row(loaded, p) for p in PROMPTS[:3]]
    for r in rows:
        engine.add(r)
    ended = finish(engine)
    assert [ended[r].reason for r in rows] == ["generation: ValueError: odd"] * 2 + [""]
    assert rows[2].made == alone(loaded, PROMPTS[2])


SHAPE: dict[str, Any] = {
    "vocab_size": 320, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2,
    "eos_token_id": 2, "bos_token_id": None, "pad_token_id": 0,
}  # fmt: skip
KINDS: list[tuple[str, dict[str, Any], bool]] = [
    ("Llama", {}, True),
    ("Qwen2", {}, True),
    ("Qwen3", {"head_dim": 8, "attn_implementation": "eager"}, True),
    ("Qwen3Moe", {"head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}, True),
    ("DeepseekV3", {
        "num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8,
        "qk_nope_head_dim": 8, "v_head_dim": 4, "n_routed_experts": 4, "n_group": 1, "topk_group": 1,
        "num_experts_per_tok": 2, "moe_intermediate_size": 16, "first_k_dense_replace": 1,
    }, True),
    ("Mistral", {"sliding_window": 8}, False),
    ("Gemma2", {"head_dim": 8, "sliding_window": 8, "attn_implementation": "eager"}, False),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "more", "shares"), KINDS, ids=[k for k, _, _ in KINDS])
def test_other_architectures_answer_as_they_do_alone(
    kind: str, more: dict[str, Any], shares: bool, loaded: Loaded
) -> None:
    more = dict(more)
    attention = more.pop("attn_implementation", "sdpa")
    config = getattr(transformers, f"{kind}Config")(**(SHAPE | more))
    config._attn_implementation = attention
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    other = Loaded.__new__(Loaded)
    other.__dict__ |= loaded.__dict__ | {"model": model, "eos": frozenset({2}), "repetition": {}}
    assert shares_rows(model) == shares
    engine = Engine(other, 4)
    rows = [row(other, p, 14) for p in PROMPTS]
    for r in rows:
        engine.add(r)
    finish(engine)
    assert [r.made for r in rows] == [alone(other, p, 14) for p in PROMPTS]
    assert engine.most == (4 if shares else 1)


def test_a_single_row_is_transformers_own_cache(loaded: Loaded) -> None:
    lane = Single(loaded.model)
    with torch.inference_mode():
        first = lane.join([[5, 6, 7]])
        second = lane.step([9])
        whole = loaded.model(torch.tensor([[5, 6, 7, 9]])).logits
    assert torch.allclose(first, whole[:, 2], atol=1e-4)
    assert torch.allclose(second, whole[:, 3], atol=1e-4)


def test_few_prompts_are_computed_between_two_steps(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "JOIN_TOKENS", 12)
    join, came = Shared.join, []

    def noted(self: Shared, prompts: Any) -> Any:
        came.append([len(p) for p in prompts])
        return join(self, prompts)

    engine = Engine(loaded, 8)
    monkeypatch.setattr(Shared, "join", noted)
    for p in PROMPTS:
        engine.add(row(loaded, p, 5))
    finish(engine)
    # Padded to the longest: 2 × 11 and 2 × 20 are too many, 2 × 6 just fit.
    assert came == [[3], [11], [6, 2], [4], [20]]
