"""Scripted models answer image parts: how many, how large, which; in process and over HTTP alike."""

from __future__ import annotations

import asyncio
from hashlib import sha256

import pytest

from tests.images.pictures import chest, jpeg, png
from wardround.images.picture import data_url, image_part
from wardround.models.ledger import IMAGE, Budget, Ledger, Price
from wardround.models.names import ModelOptions, open_model
from wardround.models.scripted import ScriptedModel
from wardround.models.server import serve_in_thread
from wardround.records import Answer, ImagePart, ImageURL, Message, Part, Request, TextPart

CODES = "AA　甲\nBB　乙\nCC　丙\n"


def asked(*parts: Part) -> Request:
    return Request(key="k", messages=(Message(role="user", content=parts),))


def said(script: str, request: Request) -> Answer:
    return asyncio.run(ScriptedModel(script).complete(request))


def test_look_tells_every_picture() -> None:
    one, two = png(chest()), jpeg(chest(30, 40))
    answer = said("look", asked(image_part(data_url(one)), TextPart(text="?"), image_part(data_url(two)))).text  # fmt: skip
    assert answer is not None
    lines = answer.splitlines()
    assert lines[0].endswith("2 image(s) received.")
    assert lines[1] == f"1. image/png 220×240 {len(one)} B sha256:{sha256(one).hexdigest()[:16]}"
    assert lines[2].startswith("2. image/jpeg 40×30 ")
    web = ImagePart(image_url=ImageURL(url="https://host/x.png"))
    assert "0×0 0 B" in str(said("look", asked(web)).text)


def test_pick_follows_the_picture_alone() -> None:
    texts = TextPart(text=CODES), TextPart(text="\n".join(reversed(CODES.split("\n"))))
    parts = [image_part(data_url(png(chest(40 + k)))) for k in range(12)]
    first = [said("pick", asked(p, texts[0])).text for p in parts]
    assert first == [said("pick", asked(p, texts[1])).text for p in parts]
    assert len(set(first)) == 3
    assert said("pick", asked(texts[1])).text == "答案：AA"


def test_fixed_words_and_refusal() -> None:
    assert said("say=答案：DR", asked(TextPart(text="?"))).text == "答案：DR"
    assert "无法" in str(said("refuse", asked(TextPart(text="?"))).text)


@pytest.mark.parametrize("side", [40, 1400])
def test_over_http(side: int) -> None:
    data = png(chest(side, side))
    request = asked(image_part(data_url(data)), TextPart(text="?"))

    async def ask(url: str) -> Answer:
        model = open_model(f"eye@{url}", options=ModelOptions())
        try:
            return await model.complete(request)
        finally:
            await model.close()

    served = ScriptedModel("look")
    served.name = "eye"
    with serve_in_thread(served) as url:
        assert asyncio.run(ask(url)).text == said("look", request).text


def test_a_picture_counts_towards_the_cost_cap() -> None:
    prices = {"scripted:look": Price(per_in=1e6, per_out=0.0)}
    ledger = Ledger(prices, budget=Budget(None))
    model = ScriptedModel("look")
    plain = ledger.worst(model, asked(TextPart(text="?")))
    assert ledger.worst(model, asked(image_part(data_url(png(chest()))), TextPart(text="?"))) == plain + IMAGE  # fmt: skip
