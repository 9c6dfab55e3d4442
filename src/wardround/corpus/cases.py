"""Reading a clinical case: the sections of its description, and the parts of its answers.

Descriptions follow the headings of Chinese medical records (现病史, 主诉, 体格检查, 辅助检查 …), numbered or not,
alone on a line or with their text behind a colon. Answers about a diagnosis often hold several parts
(诊断, 诊断依据, 鉴别诊断); each part serves another task.
"""

from __future__ import annotations

import re

from wardround.corpus.text import HAN, renumbered, sentence, typeset
from wardround.metrics.overlap import normalise
from wardround.records import Record

_NUMBER = r"(?:[（(]\s*\d{1,2}\s*[)）]\s*|\d{1,2}\s*[.、．]\s*)?"
_HEADINGS = {
    "chief": "主诉",
    "history": "现病史|病史摘要|病情摘要",
    "past": "既往史[^：:\n]{0,10}|既往病史",
    "exam": "体格检查|查体|(?:专科|全身|入院)(?:查体|体检|检查)|生命体征|病史及(?:检体|体检)",
    "tests": "辅助检查",
    "other": "治疗经过|治疗过程|病例资料|诊疗经过|(?:入院|初步|临床|目前|术前|门诊)?诊断",
}
_HEADING = re.compile(
    rf"{_NUMBER}(?:{'|'.join(f'(?P<{k}>{v})' for k, v in _HEADINGS.items())})\s*(?:[：:]\s*(?P<rest>.*))?"
)
_SAYS_DIAGNOSIS = re.compile(rf"{_NUMBER}(?:入院|初步|临床|目前|术前|门诊)?诊断\s*[：:]\s*\S.*")
_WRAPS_AT = 30
_LABELLED = re.compile(r"[^，。；]{1,14}[：:]")
_PAST = re.compile(
    r"既往|平素|(?<!追问)(?<!家族)(?:病|疾|外伤|手术|过敏|输血|吸烟|饮酒|糖尿病|高血压|冠心病|结核|肝炎)史|史[0-9一二三四五六七八九十数多]|(?:高血压|糖尿病|冠心病|脑梗死|慢性[^，。；]{2,8}病)病?[0-9一二三四五六七八九十数]+余?年"
)
_DENIES = re.compile(r"^(?:患者|病人)?(?:否认[^。；]*史|无[^，。；]*(?<!家族)史)")
_NOW = re.compile(
    r"(?:分钟|小时|[天日周月年])前|近[日期来几一两]|今[日晨年]|入院|就诊|来院|本次|此次|发病|出现|发生|诱因|“|因[^，]{0,24}$|[男女]|\d岁"
)
_TRACE = re.compile(r"既往|平素|体健|(?<!现病)(?<!追问病)(?<!家族)史(?!摘要|及)|否认")
_SUBHEADING = re.compile(
    r"[（(]\s*\d{1,2}\s*[)）]\s*(?P<name>[^：:，。；]{2,16}?)\s*[：:]?|(?P<plain>[^：:，。；\s]{2,8}(?:检查|显像))[：:]?"
)
_BASIS = re.compile(rf"(?:^|(?<=[\n。；;]))\s*{_NUMBER}(?:诊断|辨证)依据\s*[：:]?\s*")
_DIFFERENTIAL = re.compile(rf"(?:^|(?<=[\n。；;]))\s*{_NUMBER}鉴别诊断(?:要点)?\s*[：:]\s*")
_DIAGNOSIS = re.compile(rf"{_NUMBER}诊断\s*(?:[：:]\s*|\n)")
_TEST_NAME = re.compile(
    r"(?:[（(]\s*\d{1,2}\s*[)）]\s*)?[^，。；：:示见提]{0,12}(?:检查|扫描|平扫|造影|显像|影像|重建|CT|MRI|位片|[动静]脉期|实质期|门脉期|(?:矢状|冠状|轴)位[^，。；：:]{0,10})"
)
_UNNAMED = re.compile(r"[，、](?:考虑|可能|提示|诊断为?)(?=[。；\n]|$)")
_NAMELESS = re.compile(
    r"(?:(?<=[，。；\n])|^)发现[0-9一二三四五六七八九十数半两]+(?:年|个?月|天|周)余?[，、]"
)
_NO_BASIS = re.compile(
    r"(?:(?:根据|结合|病人|患者|的)*(?:病史|体格检查|辅助检查|临床表现|症状|体征|查体|检查结果|检查)[，、和及]?)+(?:均|都)?(?:可以?|能)?(?:明确|支持|作出)?诊断[。]?"
)
"""That history, signs and tests support the diagnosis: true of every one."""
_CHOICES = re.compile(r"(?:^|\s)[A-E]\s*[.．、:：]")


class Sections(Record, frozen=True, kw_only=True):
    """A description taken apart; "" for what it does not have. `text` is the whole, without captions."""

    text: str
    chief: str = ""
    history: str = ""
    past: str = ""
    exam: str = ""
    tests: str = ""


def sections(description: str) -> Sections:
    """Take a description (tidied) apart by its headings."""
    found: dict[str, list[str]] = {}
    current = "other"
    text = without_holes(unwrapped(without_captions(description)))
    for line in text.split("\n"):
        if _SAYS_DIAGNOSIS.fullmatch(line):
            continue  # what the case is asked for, wherever it stands; it is no part of a section
        m = _HEADING.fullmatch(line)
        if m is not None:
            current = next(k for k in _HEADINGS if m[k])
        if m is None or m["rest"]:
            found.setdefault(current, []).append(line if m is None else m["rest"])
    parts = {k: _flat(v) for k, v in found.items() if k != "other"}
    parts["history"], parts["past"] = with_past(parts.get("history", ""), parts.get("past", ""))
    return Sections(text=typeset(text), **parts)


def unwrapped(description: str) -> str:
    """The description where a long line that stops within a sentence is joined to the next: a page's line ended
    there. A heading, a label with its colon and a numbered line begin anew."""
    lines: list[str] = []
    for line in description.split("\n"):
        if lines and _runs_on(lines[-1], line):
            lines[-1] += line
        else:
            lines.append(line)
    return "\n".join(lines)


def _runs_on(above: str, line: str) -> bool:
    return (
        len(above) >= _WRAPS_AT
        and re.search(rf"[{HAN}]$", above) is not None
        and re.match(rf"[{HAN}]", line) is not None
        and re.search(r"[。；]$", line) is not None
        and not _HEADING.fullmatch(line)
        and not _LABELLED.match(line)
        and not _SUBHEADING.fullmatch(line)
    )


def with_past(history: str, past: str) -> tuple[str, str]:
    """A present and a past history, where clauses of the first that tell of the second (既往体健, 否认手术史, 高血压病史20年)
    are moved there if the record has no past history of its own. What cannot be told apart stays."""
    if past or not history:
        return history, past
    left: list[str] = []
    moved: list[str] = []
    for m in re.finditer(r"([^。；\n]+)([。；\n]*)", history):
        now, then = _of_sentence(m[1])
        left += [now + m[2]] if now else []
        moved += [f"{then}。"] if then else []
    if not left or not moved:
        return history, past
    return sentence("".join(left)), "".join(moved)


def _of_sentence(told: str) -> tuple[str, str]:
    """A sentence's clauses on now and on then. A clause that goes on from a past one is past, unless it tells of now."""
    now: list[str] = []
    then: list[str] = []
    clauses = told.split("，")
    for i, clause in enumerate(clauses):
        of_past = _PAST.search(clause) or _DENIES.match("，".join(clauses[i:]))
        # 因“…”就诊, 近期无外伤史: said of this illness, though with the same words
        going_on = bool(then) and then[-1] == clauses[i - 1]
        part = then if not _NOW.search(clause) and (of_past or going_on) else now
        part.append(clause)
    return "，".join(now), "，".join(then)


def no_past(text: str, past: str) -> str:
    """The line that says that no past history is recorded; "" when there is one, or the text may tell of one."""
    return "" if past or _TRACE.search(text) else "既往史：资料未单独记载。"


def says_diagnosis(text: str) -> bool:
    """Whether a description (tidied) has a line that states the diagnosis."""
    return any(_SAYS_DIAGNOSIS.fullmatch(line) for line in text.split("\n"))


def without_holes(text: str) -> str:
    """The text without what a masked disease's name left behind: a verb without its object (占位，考虑。) and a
    finding without a name (发现3年，)."""
    return _NAMELESS.sub("", _UNNAMED.sub("", text))


def without_captions(description: str) -> str:
    """The description without repeated 辅助检查 sections that only name pictures which are not there, or say
    again what stands above; without a caption that ends the examination; and without a last heading that nothing
    follows."""
    lines = _without_pictures(description).split("\n")
    while len(lines) > 1 and _names_test(lines[-1]) and _SUBHEADING.fullmatch(lines[-1]):
        lines.pop()
    heading = _HEADING.fullmatch(lines[-1])
    if len(lines) > 1 and heading is not None and not heading["rest"]:
        lines.pop()
    kept = [
        line
        for i, line in enumerate(lines)
        if not (0 < i < len(lines) - 1 and _captions_signs(lines[:i], line, lines[i + 1]))
    ]
    return "\n".join(kept)


def _without_pictures(description: str) -> str:
    head, heading, tail = description.rpartition("\n辅助检查\n")
    if not heading:
        return description
    said, again = normalise(head), "辅助检查" in head
    if all(
        _names_test(t) or (again and (_is_caption(t) or normalise(t) in said))
        for t in tail.split("\n")
    ):
        return _without_pictures(head)
    return description


def _names_test(line: str) -> bool:
    """Whether a line names an examination and tells nothing of it."""
    return _TEST_NAME.fullmatch(line) is not None


def _captions_signs(above: list[str], line: str, below: str) -> bool:
    """Whether a line is a picture's caption: short, without a full stop between a sentence and the heading of the tests, and
    most of it said above."""
    if (
        not (below == "辅助检查" and above[-1].endswith("。") and _is_caption(line))
        or len(line) > 20
    ):
        return False
    text, said = normalise(line), normalise("".join(above))
    pairs = [text[i : i + 2] for i in range(len(text) - 1)]
    return sum(p in said for p in pairs) * 2 > len(pairs)


def _is_caption(line: str) -> bool:
    return len(line) <= 30 and not re.search(r"[。；：:]", line)


def _flat(lines: list[str]) -> str:
    """A section on one line; its numbered sub-headings become "name：…"."""
    out = ""
    for line in lines:
        m = _SUBHEADING.fullmatch(line)
        if m is not None:
            out = (sentence(out) if out else "") + (m["name"] or m["plain"]) + "："
        else:
            line = re.sub(r"^[（(]\s*\d{1,2}\s*[)）]\s*(?=[^：:，。；]{2,16}[：:])", "", line)
            out = (out if not out or out.endswith("：") else sentence(out)) + line
    return typeset(out).rstrip("：")


def is_choice(question: str) -> bool:
    """Whether a question lists lettered options."""
    return len(_CHOICES.findall(question)) >= 3


class Finding(Record, frozen=True, kw_only=True):
    """An answer's diagnosis and its basis; `line` keeps the answer's own label (诊断：…, 中医诊断：…)."""

    line: str
    basis: str
    diagnosis: str = ""


def finding(answer: str) -> Finding | None:
    """Diagnosis and basis of an answer that names both; None when it does not."""
    text = before_differential(answer)
    m = _BASIS.search(text)
    if m is None or not text[: m.start()].strip():
        return None
    head, basis = text[: m.start()].strip(), text[m.end() :].strip()
    if "诊断" not in head or not basis or _NO_BASIS.fullmatch(basis):
        return None
    label = _DIAGNOSIS.match(head)
    diagnosis = head[label.end() :].strip() if label else ""
    line = f"诊断：{diagnosis}" if diagnosis else head
    return Finding(line=sentence(line), basis=sentence(renumbered(basis)), diagnosis=diagnosis)


def before_differential(answer: str) -> str:
    """The answer up to its 鉴别诊断 part."""
    m = _DIFFERENTIAL.search(answer)
    return answer[: m.start()].strip() if m else answer


def differential(answer: str) -> str | None:
    """The 鉴别诊断 part of an answer; None when it has no such heading."""
    m = _DIFFERENTIAL.search(answer)
    return answer[m.end() :].strip() if m else None


def without_echo(answer: str, question: str) -> str:
    """The answer without a first line that only repeats (part of) its question."""
    first, _, rest = answer.partition("\n")
    echoed = normalise(first)
    return rest if rest and len(echoed) >= 6 and echoed in normalise(question) else answer
