"""Near-duplicates: what is dropped, what is kept and why, and the same whatever the order of shards."""

import gc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardround.corpus import near_pairs
from wardround.corpus.near import MOST, WIDTH, Blocked, Near, near_duplicates, signatures
from wardround.corpus.near_pairs import BANDS

CASE = (
    "患者男性，45岁，反复咳嗽、咳痰3天，加重伴发热1天就诊。查体：体温38.5℃，双肺呼吸音粗，右下肺可闻及湿啰音。"
    "血常规示白细胞12.5×10^9/L。考虑社区获得性肺炎，予阿莫西林0.5g口服，每日3次，疗程7天，注意休息，多饮水。"
)
OTHER = "孩子今年六岁，经常肚子疼，吃饭不香，体重没有增加，大便干燥，两三天一次，请问需要做什么检查，平时怎么调理比较好呢。"


def _near(texts: list[str], groups: list[int] | None = None, **more: object) -> Near:
    return near_duplicates(
        signatures(texts),
        groups or [0] * len(texts),
        texts.__getitem__,
        **more,  # type: ignore[arg-type]
    )


def test_format_and_order_are_duplicates_of_the_first() -> None:
    texts = [
        CASE,
        OTHER,
        CASE.replace("，", ", "),
        "".join(reversed(CASE.split("。"))) or "",
        OTHER + "谢谢",
    ]
    moved = CASE.split("。")
    texts[3] = "。".join([*moved[2:-1], *moved[:2]]) + "。"
    assert _near(texts).dropped == {2: 0, 3: 0, 4: 1}


def test_a_changed_fact_is_kept_and_listed() -> None:
    texts = [CASE, CASE.replace("0.5g", "0.25g"), CASE.replace("右下肺", "左下肺")]
    blocked: list[Blocked] = []
    near = _near(texts, on_blocked=blocked.append)
    assert near.dropped == {} and near.blocked == len(blocked)
    kinds = {(b.kept, b.other): {d.kind for d in b.differences} for b in blocked}
    assert kinds[0, 1] == {"dose"} and kinds[0, 2] == {"side"}
    assert all(b.jaccard > 0.65 for b in blocked)


def test_pairs_kept_apart_are_handed_over_and_let_go() -> None:
    texts = [CASE.replace("45岁", f"{i}岁") for i in range(20, 120)]
    seen: list[Blocked] = []
    near = _near(texts, on_blocked=seen.append)
    assert near.blocked == len(seen) == _living_pairs() > len(texts)
    assert [b.other for b in seen] == sorted(b.other for b in seen)
    seen.clear()
    assert _near(texts, on_blocked=lambda b: None) == near
    assert _living_pairs() == 0


def _living_pairs() -> int:
    gc.collect()
    return sum(type(o) is Blocked for o in gc.get_objects())


def test_without_a_guard_they_are_the_same() -> None:
    assert _near([CASE, CASE.replace("0.5g", "0.25g")], guard=None).dropped == {1: 0}


def test_groups_never_meet_and_order_says_who_is_kept() -> None:
    assert _near([CASE, CASE, CASE], [1, 2, 1]).dropped == {2: 0}
    assert _near([CASE, CASE, CASE], order=[5, 1, 3]).dropped == {0: 1, 2: 1}


def test_texts_shorter_than_a_gram_equal_only_their_own() -> None:
    texts = ["肺炎", "哮喘", "肺炎。", "", "。", "肺", "肺癌", "", "肺结核", "肺炎"]
    assert _near(texts).dropped == {2: 0, 9: 0}


def test_what_is_kept_is_never_dropped_itself() -> None:
    words = list("清浊浮沉阔窄浓淡新旧远近深浅疏密虚实")
    texts = [
        "".join(words[(i + k) % len(words)] for k in range(12)) + OTHER for i in range(len(words))
    ]
    dropped = _near(texts).dropped
    assert not set(dropped.values()) & set(dropped)
    assert all(kept < gone for gone, kept in dropped.items())


def test_signatures_are_pure_per_shard() -> None:
    texts = [CASE, "", OTHER, "肺炎", CASE + OTHER]
    whole = signatures(texts)
    parts = np.concatenate([signatures(texts[:2]), signatures(texts[2:])])
    assert whole.shape == (5, WIDTH) and whole.dtype == np.uint64
    assert (whole == parts).all() and not whole[1].any()
    assert signatures([]).shape == (0, WIDTH)
    assert near_duplicates(signatures([]), [], str).dropped == {}


def test_candidates_are_bounded_however_alike_all_texts_are() -> None:
    texts = [CASE.replace("45岁", f"{i}岁") for i in range(20, 420)]
    near = _near(texts)
    assert near.dropped == {}
    assert near.candidates <= len(texts) * BANDS * MOST
    assert near.blocked <= len(texts) * MOST


def test_part_by_part_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = (
        [CASE.replace("45岁", f"{i % 60}岁") for i in range(200)] + [OTHER] * 3 + ["", "肺炎"] * 2
    )
    order = [(i * 37) % len(texts) for i in range(len(texts))]
    whole = _near(texts, order=order)
    asked: list[tuple[int, int]] = []
    within = near_pairs._within

    def counted(*args: Any) -> Any:
        asked.append(args[2:4])
        return within(*args)

    monkeypatch.setattr(near_pairs, "AT_A_TIME", 300)
    monkeypatch.setattr(near_pairs, "_within", counted)
    assert _near(texts, order=order) == whole
    assert len(asked) > 8 and whole.dropped and whole.blocked


@settings(max_examples=20)
@given(st.lists(st.sampled_from([CASE, CASE + "谢谢", OTHER, OTHER[:50], "肺炎", ""]), max_size=12))
def test_each_dropped_text_names_a_kept_one(texts: list[str]) -> None:
    near = _near(texts)
    assert near == _near(texts)
    for gone, kept in near.dropped.items():
        assert kept not in near.dropped and kept < gone and texts[gone]
