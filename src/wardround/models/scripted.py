"""Deterministic offline models for demos and tests, named `scripted:NAME` or `scripted:NAME=PARAMETER`.

They say nothing of any model's quality, and each carries a label that says so wherever its output is shown.
What a script answers depends on the request alone, so it is the same in process, over HTTP and at every
repeat; only `reference` and `excerpt` look at the request's `hint`, which no endpoint sends, so behind a
server these two fail openly. Token counts are character counts.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable
from hashlib import sha256

from wardround import taxonomy
from wardround.errors import UsageError
from wardround.metrics.overlap import ngram_f1, ngram_recall
from wardround.models.prompt import read_block
from wardround.models.scripted_rationale import drawn
from wardround.models.wire import failed
from wardround.records import Answer, ImagePart, Record, Request

Reply = Callable[[Request, str], str | Answer]
"""(request, parameter) → the answer's text, or a failed answer."""

OPTION = re.compile(r"^\s*[(（<＜\[【]?([A-Z])\s*[)）>＞\]】.．、:：]", re.MULTILINE)
CODE = re.compile(r"^([A-Z]{2,6}(?=[　:])|[^\s：]{2,12}(?=：\S))", re.MULTILINE)
ASKED = re.compile(r"^<([CD][0-9]{1,3})>\n(.*?)\n</\1>$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"^[(（]?(\d{1,2})\s*(?:[)）、]|[.．](?!\d))\s*")
CIRCLED = {chr(0x2460 + i): f"{i + 1}. " for i in range(20)}


class Script(Record, frozen=True, kw_only=True):
    """One scripted model: what it does, the labels it must be shown with, its default parameter if it has one."""

    about: str
    labels: tuple[str, ...]
    parameter: str | None = None


def _prompt(request: Request) -> str:
    """Text of the last user message, "" if there is none."""
    return next((m.text for m in reversed(request.messages) if m.role == "user"), "")


def _echo(request: Request, _: str) -> str:
    return _prompt(request)


def _reference(request: Request, _: str) -> str | Answer:
    reference = request.hint.get("reference")
    return reference if isinstance(reference, str) else failed("no hint", "no reference was given")


def _excerpt(request: Request, share: str) -> str | Answer:
    reference = _reference(request, "")
    if isinstance(reference, Answer):
        return reference
    return reference[: max(1, round(len(reference) * float(share)))]


def _first_option(request: Request, _: str) -> str:
    found = OPTION.search(_prompt(request))
    return found[1] if found else "没有找到选项。"


def _overlap(request: Request, _: str) -> str:
    prompt = _prompt(request)
    reference, answer = read_block("reference", prompt), read_block("answer", prompt)
    if reference is None or answer is None:
        return (
            "提示中没有 reference 与 answer 两段，无法比较，不给分。 / "
            "The prompt has no reference and answer blocks; nothing to compare, no verdict."
        )
    share = ngram_f1(answer, reference)
    return (
        f"脚本化替身：回答与参考答案的二元字组 F1 为 {share:.3f}，只比字面，不评医学质量。 / "
        f"Scripted stand-in: character-bigram F1 of answer and reference is {share:.3f}; "
        f"wording only, no judgement of medical quality.\n[[{round(1 + 9 * share, 1):g}]]"
    )


def _rubric(request: Request, threshold: str) -> str:
    """Yes to a criterion of whose character pairs the answer holds at least `threshold`; a dimension's grade by
    overlap of answer and reference."""
    prompt = _prompt(request)
    answer, reference = read_block("answer", prompt), read_block("reference", prompt)
    # What the answer itself may hold in blocks is no criterion.
    asked = ASKED.findall(prompt.rpartition("\n</answer>\n")[2])
    if answer is None or not asked:
        return (
            "提示中没有 answer 段或评分标准，不作判断。 / "
            "The prompt has no answer block or no criteria; no verdict."
        )
    lines = [
        "脚本化替身：只比字面，不评医学质量。 / "
        "Scripted stand-in: wording only, no judgement of medical quality."
    ]
    for name, text in asked:
        if name.startswith("D"):
            share = ngram_f1(answer, reference or text)
            lines.append(f"{name}: {round(1 + 4 * share)}")
        else:
            share = ngram_recall(answer, text)
            lines.append(f"{name}: {'yes' if share >= float(threshold) else 'no'}")
    return "\n".join(lines)


def _verdict(_: Request, value: str) -> str:
    return f"脚本化替身：固定给分。 / Scripted stand-in: a fixed verdict.\n[[{value}]]"


def _silent(_: Request, __: str) -> str:
    return "脚本化替身：有话，没有分数。 / Scripted stand-in: words, but no verdict."


def _rewrite(request: Request, _: str) -> str | Answer:
    """The `reference` block, or else the `passage` block, tidied; no word of it changed."""
    prompt = _prompt(request)
    text = read_block("reference", prompt)
    if text is None:
        text = read_block("passage", prompt)
    return (
        failed("no block", "no reference or passage in the prompt") if text is None else tidy(text)
    )


def tidy(text: str) -> str:
    """Blanks collapsed, empty lines dropped, and line numbers `1、` `(1)` `１．` `①` written as `1. `. Circled numbers
    stay where some stand within a line: they are one list."""
    lines = []
    alone = not any(c in CIRCLED for raw in text.splitlines() for c in raw.strip()[1:])
    for raw in text.splitlines():
        line = " ".join(raw.split())
        if not line:
            continue
        if alone and line[0] in CIRCLED:
            line = CIRCLED[line[0]] + line[1:].lstrip()
        lines.append(NUMBER.sub(lambda m: f"{int(m[1])}. ", line).rstrip())
    return "\n".join(lines)


def _rules(request: Request, _: str) -> str:
    """What the rule checker finds in the CT report of the prompt, as the JSON list that models are asked for."""
    from wardround.images.report import PLACES, split_report
    from wardround.images.report_check import check

    prompt = _prompt(request)
    report = split_report(read_block("report", prompt) or prompt)
    if report is None:
        return "提示中没有含描述与诊断的报告，无法检查。 / The prompt has no report with findings and impression."
    names = {i.id: i.zh for i in taxonomy.items("report_errors")}
    found = [
        {
            "错误类型": names[f.type],
            "位置": PLACES[f.place],
            "原文": f.wrong,
            "修改建议": f.suggestion,
        }
        for f in check(report)
    ]
    return json.dumps(found, ensure_ascii=False)


def _images(request: Request) -> list[tuple[str, bytes]]:
    """(media type, bytes) of each image part of the last user message; a part that carries none has no bytes."""
    content = next((m.content for m in reversed(request.messages) if m.role == "user"), "")
    found = []
    for part in () if isinstance(content, str) else content:
        if isinstance(part, ImagePart):
            head, _, data = part.image_url.url.partition(",")
            media = head.removeprefix("data:").partition(";")[0]
            found.append((media, b64decode(data) if head.endswith(";base64") else b""))
    return found


def _look(request: Request, _: str) -> str:
    """What the request carries: each image's media type, size in pixels and bytes, and digest."""
    found = _images(request)
    lines = [f"收到 {len(found)} 张图像。 / {len(found)} image(s) received."]
    for number, (media, data) in enumerate(found, start=1):
        width, height = image_size(data)
        digest = sha256(data).hexdigest()[:16]
        lines.append(f"{number}. {media} {width}×{height} {len(data)} B sha256:{digest}")
    return "\n".join(lines)


def image_size(data: bytes) -> tuple[int, int]:
    """Width and height in the header of a PNG or JPEG; (0, 0) when it has none."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    at = 2
    while data.startswith(b"\xff\xd8") and at + 9 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        at += 2 + max(length, 1)
    return 0, 0


def _pick(request: Request, _: str) -> str:
    """One candidate code, drawn by the picture's bytes; the first one where there is no picture."""
    codes = CODE.findall(_prompt(request))
    if not codes:
        return "没有找到候选项。"
    drawn = b"".join(data for _, data in _images(request))
    codes.sort()
    number = int.from_bytes(sha256(drawn).digest()[:4]) if drawn else 0
    return f"答案：{codes[number % len(codes)]}"


def _say(_: Request, text: str) -> str:
    return text


def _refuse(_: Request, __: str) -> str:
    return "抱歉，我无法判读该图像。 / Sorry, I cannot view this image."


def _empty(_: Request, __: str) -> str:
    return ""


def _fail(_: Request, __: str) -> Answer:
    return failed("scripted failure")


def _label(zh: str, en: str) -> tuple[str, ...]:
    return (
        f"{zh}（脚本化替身，不是模型，不能说明医学质量） / "
        f"{en} (a scripted stand-in, not a model; says nothing of medical quality)",
    )


SCRIPTED: dict[str, Script] = {
    "echo": Script(
        about="repeats the last user message",
        labels=_label("回答只是重复提问", "Answers only repeat the question"),
    ),
    "reference": Script(
        about="answers with the reference itself; fails where it is not told it",
        labels=_label("回答就是参考答案", "Answers are the references themselves"),
    ),
    "excerpt": Script(
        about="answers with the first part of the reference: excerpt=0.5 is half of it",
        labels=_label("回答是参考答案的开头部分", "Answers are the first part of the references"),
        parameter="0.5",
    ),
    "first-option": Script(
        about="answers a choice question with its first option letter",
        labels=_label("总选第一个选项", "Always picks the first option"),
    ),
    "overlap": Script(
        about="judge: character overlap of answer and reference, 1 to 10 to one decimal",
        labels=(
            "评分由脚本化替身（字面重叠）给出，不是评审模型，不能说明医学质量 / "
            "Scored by a scripted stand-in (character overlap), not a judge model; "
            "says nothing of medical quality",
        ),
    ),
    "rubric": Script(
        about="judge: yes to a criterion when the answer holds that share of its character pairs: rubric=0.5",
        labels=(
            "逐条评判由脚本化替身（字面重叠）给出，不是评审模型，不能说明医学质量 / "
            "Criteria judged by a scripted stand-in (character overlap), not a judge model; "
            "says nothing of medical quality",
        ),
        parameter="0.5",
    ),
    "rationale": Script(
        about="review: an option drawn by the question's digest, with steps that hold no reasoning",
        labels=_label(
            "推理依据只抄题面，选项由摘要抽取", "Rationales copy the question; options are drawn"
        ),
    ),
    "verdict": Script(
        about="judge: the same verdict each time: verdict=7 says [[7]]",
        labels=_label("评分固定不变", "Scores are a fixed number"),
        parameter="5",
    ),
    "silent": Script(
        about="judge: explains but gives no verdict",
        labels=_label("评审不给分", "The judge gives no verdict"),
    ),
    "rewrite": Script(
        about="refiner: the reference or passage block with its blanks and numbering tidied",
        labels=_label("改写只整理空白与编号", "Refinement only tidies blanks and numbering"),
    ),
    "rules": Script(
        about="CT reports: what the rule checker finds, as a list of errors",
        labels=(
            "回答由报告规则检查给出（脚本化基线，不是模型） / "
            "Answers are the report rules' (a scripted stand-in as a baseline, not a model)",
        ),
    ),
    "look": Script(
        about="says what images a request carries: number, type, size, digest",
        labels=_label(
            "回答只是图像的尺寸与摘要", "Answers only tell the images' sizes and digests"
        ),
    ),
    "pick": Script(
        about="answers with a candidate drawn by the picture's bytes; without a picture with the first",
        labels=_label("按图像摘要任选一个候选项", "Picks a candidate by the picture's digest"),
    ),
    "say": Script(
        about="the same words each time: say=答案：无问题",
        labels=_label("回答固定不变", "Answers are fixed words"),
        parameter="答案：无问题",
    ),
    "refuse": Script(
        about="declines to look at any image",
        labels=_label("一律拒绝看图", "Declines to look at any image"),
    ),
    "empty": Script(
        about="answers with an empty text",
        labels=_label("回答为空", "Answers are empty"),
    ),
    "fail": Script(
        about="every request fails",
        labels=_label("每次请求都失败", "Every request fails"),
    ),
}
"""Name after `scripted:` → what it is."""

_REPLIES: dict[str, Reply] = {
    "echo": _echo,
    "reference": _reference,
    "excerpt": _excerpt,
    "first-option": _first_option,
    "overlap": _overlap,
    "rubric": _rubric,
    "rationale": lambda request, _: drawn(_prompt(request)),
    "verdict": _verdict,
    "silent": _silent,
    "rewrite": _rewrite,
    "rules": _rules,
    "look": _look,
    "pick": _pick,
    "say": _say,
    "refuse": _refuse,
    "empty": _empty,
    "fail": _fail,
}


class ScriptedModel:
    """The script `name`, with its parameter where it takes one; `UsageError` for a wrong one."""

    def __init__(self, spec: str) -> None:
        script_name, given, parameter = spec.partition("=")
        script = SCRIPTED.get(script_name)
        if script is None:
            raise UsageError(
                f"no scripted model named {script_name}", hint=f"one of: {', '.join(SCRIPTED)}"
            )
        if given and script.parameter is None:
            raise UsageError(f"scripted:{script_name} takes no parameter", hint=script.about)
        self._parameter = parameter if given else script.parameter or ""
        _check_parameter(script_name, self._parameter, script.about)
        self._reply = _REPLIES[script_name]
        self.name = f"scripted:{spec}"
        self.identity = {"kind": "scripted", "script": script_name}
        if script.parameter is not None:
            self.identity["parameter"] = self._parameter
        self.labels = script.labels

    async def check(self) -> None:
        """A script can always answer."""

    async def close(self) -> None:
        """Nothing to free."""

    async def complete(self, request: Request) -> Answer:
        """The script's answer, at once."""
        reply = self._reply(request, self._parameter)
        if isinstance(reply, Answer):
            return reply
        return Answer(
            status="ok",
            text=reply,
            finish_reason="stop",
            tokens_in=sum(len(m.text) for m in request.messages),
            tokens_out=len(reply),
        )


def _check_parameter(script: str, value: str, about: str) -> None:
    if script == "verdict" and not re.fullmatch(r"-?\d{1,3}", value):
        raise UsageError(f"scripted:verdict={value}: not a whole number", hint=about)
    if script in ("excerpt", "rubric") and not re.fullmatch(r"0?\.\d+|1(\.0+)?", value):
        raise UsageError(f"scripted:{script}={value}: not a share up to 1", hint=about)
