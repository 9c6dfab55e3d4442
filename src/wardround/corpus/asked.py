"""A choice question → the question that can be asked without its options.

Exam stems end in what they ask: "… 首选的检查是（　）". Taken apart, the part before is a case or nothing, and the
part that asks can stand alone, unless it is about the options themselves ("下列说法错误的是"), a picture, or
another question: then there is nothing to ask (`asks` is "").
"""

from __future__ import annotations

import re

from wardround.corpus.text import bare, sentence, typeset
from wardround.records import Record

_BLANK = re.compile(r"[（(]\s*[　\s_]*[)）]|_{2,}|[。？?：:，,\s]+$")
_SPLIT = re.compile(
    r"(?<=[。；！？?])|(?<=[，,])(?=(?:其?最|首|应|该|此|可|宜|诊断|治疗|为(?:了|明确|确|进|减)|下列|哪|拟|术|目前|目下|若|如果|考虑|还|需))"
)
_ABOUT_OPTIONS = re.compile(
    r"错误|不正确|不属于|不包括|除外|不是|无关|不符合|不应|不宜|不恰当|不可能|不需|没有关系|不会|不能|除了|例外|[①②③④]|"
    r"(?:说法|叙述|描述|论述|表述|观点|组合|搭配|陈述|选项)|"
    r"(?:上|前|下|见)(?:述|题|图|一题)|接上题|如题|题号|图(?:中|示|片|像所)|[如见]图|共用|题干"
)
_OPTIONS_NAMED = re.compile(
    r"(?:下列|以下|下述)(?:各项中?|哪[一几]?[种项个类]?|选项中?|药物中|疾病中|检查中|[几]项)?[，,]?(?:中|的)?"
)
_PATIENT = re.compile(r"患者|患儿|病人|(?:男|女)(?:性|婴|童|孩)?[，,。]|\d+\s*(?:岁|个月|月龄)")
_LETTERS = re.compile(
    r"(?:选项|选|答案|故)\s*(?:为|是|选)?\s*[A-E]|[A-E]\s*(?:项|选项|错|对|正确|不符|、[A-E])|[（(][A-E][对错)）]|(?<!维生素)[A-E][、和及][A-E](?![A-Za-z])"
)
_CHOSEN = re.compile(
    r"(?:因此|所以|故|综上)?[，,]?(?:本题|此题|答案|正确答案)?(?:应)?[，,]?(?:故)?(?:选择?|答案[为是选]?|正确答案[为是]?)\s*[：:]?\s*[A-E]+\s*(?:项|选项)?(?:正确)?"
)
_EXAMS = re.compile(r"^本题(?:主要)?(?:考[查核]|考点)|^考点|^(?:该|此)题|^解析[：:]?$|^【")
_SENTENCE = re.compile(r"[^。！？\n]*[。！？\n]+|[^。！？\n]+$")


class Asked(Record, frozen=True, kw_only=True):
    """The case before the question ("" for none) and the question, "" when it can't stand without options."""

    stem: str
    asks: str


def asked(question: str) -> Asked:
    """Take a choice question apart."""
    text = re.sub(r"^(?:\d+\s*[.、．]|[（(]?[AB][1-4]型题[)）]?[：:]?)\s*", "", question.strip())
    text = _BLANK.sub("", _BLANK.sub("", text)).strip()
    pieces = [p for p in _SPLIT.split(text) if p and p.strip()]
    last = pieces[-1].strip() if pieces else ""
    before = "".join(pieces[:-1]).strip()
    if len(pieces) == 1 or not _PATIENT.search(before):
        before, last = ("", text) if not _PATIENT.search(text) else (before, last)
    if _ABOUT_OPTIONS.search(last) or (
        before and re.search(r"接上题|如上题|见图|如图|图示", before)
    ):
        return Asked(stem=sentence(before) if before else "", asks="")
    last = _OPTIONS_NAMED.sub("哪项" if not before else "", last, count=1)
    return Asked(stem=sentence(before.rstrip("，,")) if before else "", asks=_opened(last))


def _opened(last: str) -> str:
    """The asking clause as an open question."""
    text = bare(last)
    if not text:
        return ""
    if re.search(r"(?:哪|什么|何|多少|几|如何|怎|谁)", text):
        return text + "？"
    if re.search(r"(?:是|为|有|宜选|应选|选|属于|见于|在于|包括|处理|考虑|首选)$", text):
        return text + (
            "什么？"
            if text[-1] in "是为有选虑" or text.endswith(("属于", "见于", "在于", "包括", "首选"))
            else "是什么？"
        )
    return text + "是什么？"


def explained(explanation: str) -> str:
    """An explanation without the letters of options; "" when it can't be read without them."""
    kept = []
    for piece in _SENTENCE.findall(re.sub(r"^[\s【\[]*解析[】\]：:]*", "", explanation)):
        text = _CHOSEN.sub("", piece).strip()
        if not text.strip("。，；, ") or _EXAMS.match(text):
            continue
        if _LETTERS.search(text):
            if re.search(r"[A-E]", text) and len(text) < 80:
                continue
            return ""
        kept.append(text if text[-1] in "。！？；" else text + "。")
    return typeset("".join(kept))
