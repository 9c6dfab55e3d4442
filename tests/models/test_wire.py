import json
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.support import question
from wardround.images.picture import stored_part
from wardround.models.wire import (
    Terms,
    as_request,
    as_terms,
    encode_body,
    encode_pieces,
    error_text,
    read_body,
    read_completion,
    read_served,
    reason_code,
)
from wardround.records import ImagePart, ImageURL, Message, Request, TextPart

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
shapes = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "message": st.none()
                    | st.fixed_dictionaries(
                        {}, optional={"content": st.none() | st.text() | json_values}
                    ),
                    "finish_reason": st.none()
                    | st.sampled_from(["stop", "length", "content_filter"]),
                },
            )
        ),
        "usage": json_values,
        "error": json_values,
    },
)


@given(
    st.binary()
    | json_values.map(lambda v: json.dumps(v).encode())
    | shapes.map(lambda v: json.dumps(v).encode())
)
def test_any_body_is_read_without_raising_and_only_a_text_is_an_answer(data: bytes) -> None:
    answer = read_completion(data)
    if answer.status == "ok":
        choice = json.loads(data)["choices"][0]
        content = choice["message"]["content"]
        if isinstance(content, list):
            content = "".join(p["text"] for p in content if isinstance(p.get("text"), str))
        assert answer.text == content
        assert choice.get("finish_reason") != "content_filter"
    else:
        assert answer.text is None
        assert reason_code(answer.reason) in {
            "malformed", "no choices", "no content", "content filter", "error",
        }  # fmt: skip


@given(st.binary())
def test_error_bodies_and_lists_never_raise(data: bytes) -> None:
    assert isinstance(error_text(data), str)
    assert isinstance(read_served(data), list)


def test_the_body_holds_what_an_endpoint_may_see_and_nothing_else() -> None:
    request = Request(
        key="secret-key-name",
        messages=(Message(role="system", content="你是医生"), Message(role="user", content="咳嗽")),
        max_tokens=7,
        hint={"reference": "绝密参考"},
    )
    body = encode_body("m", request)
    assert json.loads(body) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "你是医生"},
            {"role": "user", "content": "咳嗽"},
        ],
        "max_tokens": 7,
        "temperature": 0.0,
    }
    assert "绝密".encode() not in body
    assert json.loads(encode_body("m", question(seed=0)))["seed"] == 0


def test_images_go_out_as_openai_parts() -> None:
    parts = (TextPart(text="看图"), ImagePart(image_url=ImageURL(url="data:image/png;base64,AAAA")))
    request = Request(key="k", messages=(Message(role="user", content=parts),))
    body = encode_body("m", request)
    assert json.loads(body)["messages"][0]["content"] == [
        {"type": "text", "text": "看图"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]
    assert read_body(body).messages == request.messages


@given(
    st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text()), min_size=1),
    st.integers(1, 99999),
    st.floats(0, 2),
    st.none() | st.integers(-(2**63), 2**63 - 1),
)
def test_what_the_client_writes_the_server_reads(
    turns: list, limit: int, temperature: float, seed: int | None
) -> None:
    messages = tuple(Message(role=role, content=text) for role, text in turns)
    request = Request(
        key="k", messages=messages, max_tokens=limit, temperature=temperature, seed=seed
    )
    assert as_request(read_body(encode_body("m", request)), "k") == request


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"messages": []}, "messages is empty"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "role"),
        ({"messages": [{"role": "user", "content": None}]}, "content"),
        ({"n": 2}, "n must be 1"),
        ({"tools": [{}]}, "tools"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": -1, "max_tokens": 5}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"model": None}, "model"),
    ],
)
def test_bad_requests_are_refused_with_a_sentence(change: dict, words: str) -> None:
    good = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    with pytest.raises(ValueError, match=words):
        read_body(msgspec.json.encode(good | change))


def test_content_in_parts_is_joined_and_oddities_of_usage_are_no_harm() -> None:
    body = {
        "choices": [
            {
                "message": {
                    "content": [{"type": "text", "text": "甲"}, {"type": "text", "text": "乙"}]
                }
            }
        ],
        "usage": {"prompt_tokens": "many", "completion_tokens": 3},
    }
    answer = read_completion(json.dumps(body).encode())
    assert (answer.text, answer.tokens_in, answer.tokens_out) == ("甲乙", None, 3)
    refused = {"choices": [{"message": {"content": None, "refusal": "I can't"}}]}
    assert read_completion(json.dumps(refused).encode()).reason == "no content: I can't"
    error = {"error": {"message": "overloaded", "code": 429}}
    assert read_completion(json.dumps(error).encode()).reason == "error: overloaded"


def test_terms_are_what_a_request_has_no_field_for() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "咳"}]}
    assert as_terms(read_body(msgspec.json.encode(body))) == Terms()
    more = body | {"stop": "。", "top_p": 0.5, "frequency_penalty": 0, "response_format": None}
    assert as_terms(read_body(msgspec.json.encode(more))) == Terms(stop=("。",), top_p=0.5)
    both = body | {"stop": ["。", "\n"], "response_format": {"type": "text"}, "logprobs": False}
    assert as_terms(read_body(msgspec.json.encode(both))) == Terms(stop=("。", "\n"))


@pytest.mark.parametrize(
    "asked",
    [
        {"logprobs": True},
        {"top_logprobs": 3},
        {"logit_bias": {"1": 5}},
        {"frequency_penalty": 0.1},
        {"presence_penalty": -1},
        {"functions": [{}]},
        {"response_format": {"type": "json_schema"}},
        {"stop": ""},
        {"top_p": 1.5},
    ],
)
def test_what_would_change_the_meaning_is_refused(asked: dict) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "咳"}]} | asked
    with pytest.raises(ValueError, match=r"not supported|must be"):
        read_body(msgspec.json.encode(body))


def test_a_stored_picture_goes_as_the_same_bytes() -> None:
    """In pieces, its own uncopied; joined they are the body that the text itself would make."""
    url = b"data:image/png;base64," + b"QUJD" * 1000
    asked = (TextPart(text='看图\0"\\'), ImagePart(image_url=ImageURL(url=url.decode())))
    again = (asked[0], stored_part(lambda: url), stored_part(lambda: url))
    plain = Request(key="k", messages=(Message(role="user", content=(*asked, asked[1])),), seed=3)
    stored = Request(key="k", messages=(Message(role="user", content=again),), seed=3)
    pieces = encode_pieces("m", stored)
    assert pieces[1] is url and pieces[3] is url and len(pieces) == 5
    assert b"".join(pieces) == encode_body("m", stored) == encode_body("m", plain)
    assert again[1] == again[2] and again[1].image_url.url == asked[1].image_url.url


def test_what_has_no_form_on_the_wire_is_refused() -> None:
    part = ImagePart(image_url=cast(ImageURL, object()))
    with pytest.raises(TypeError, match="object can't be sent"):
        encode_body("m", Request(key="k", messages=(Message(role="user", content=(part,)),)))
