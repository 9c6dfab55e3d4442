"""A study on the page, for the tests of the reviewer's desk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.web.world import World
from wardround.review import opening
from wardround.review.forms import rationale_form
from wardround.review.study import NewItem, Part, StudyConfig


def question(key: str, **more: Any) -> NewItem:
    """A question with its key and a rationale in three steps."""
    fields: dict[str, Any] = {
        "key": key, "specialty": "cardiology", "author": "model:x",
        "data": {"answer": "B", "given": {"answer": "B"}},
        "body": (
            Part(id="question", role="question", text=f"（{key}）62岁男性，胸骨后压榨样痛2小时，血压84/52mmHg，心电图Ⅱ、Ⅲ、aVF导联ST段抬高，V4R抬高。首先应避免的处理是？"),
            Part(id="A", role="option", text="A. 静脉补液"),
            Part(id="B", role="option", text="B. 舌下含服硝酸甘油"),
            Part(id="C", role="option", text="C. 阿司匹林嚼服"),
            Part(id="key", role="key", zh="标准答案", en="Key", text="B"),
        ),
        "content": (
            Part(id="answer", role="answer", zh="所选答案", en="Chosen", text="B"),
            Part(id="s1", role="step", text="下壁导联与V4R同时抬高，提示下壁合并右心室梗死。"),
            Part(id="s2", role="step", text="右心室梗死依赖前负荷，血压已低。"),
            Part(id="s3", role="step", text="硝酸甘油降低前负荷，会使血压进一步下降，故应避免，选B。"),
        ),
    }  # fmt: skip
    return NewItem(**fields | more)


def open_rationales(
    world: World, members: Sequence[int], count: int = 3, slug: str = "trial", **settings: Any
) -> int:
    """The id of an open study of rationales."""
    made: dict[str, Any] = {
        "kind": "rationale", "title": "推理依据试评", "form": rationale_form(), "gold_rate": 0.0,
    }  # fmt: skip
    items = [question(f"q{i:02d}") for i in range(count)]
    with world.store.write() as conn:
        return opening.open_study(
            conn, slug, StudyConfig(**made | settings), items, by=None, members=members
        )
