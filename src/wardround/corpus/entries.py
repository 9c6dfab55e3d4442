"""An encyclopedia entry's lists, kept to what they are lists of.

Lists gathered from web pages hold what does not belong there: names of people among the symptoms, the names of
processes and of other diseases, one finding said twice (啰音, 湿啰音), laboratory substances among the examinations, pack
sizes among the drugs, what an infant feels among an infant's symptoms. A sample tells a doctor "the patient presents with …", so only what can be found in
a patient stays. The marks are data (cues.yaml, `lists`). An item is only ever left out, or joined again with the
one it was cut from (对症 | 支持性治疗), never changed; the document keeps the whole list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from wardround.corpus.cues import Mark, cues
from wardround.corpus.rules import answer_leaked
from wardround.corpus.template import Value, items_of
from wardround.corpus.text import bare

_GLUED = re.compile(
    r"(?<=（)[A-Za-z][A-Za-z]{17,}(?:[ -][A-Za-z]+)*[，,]?\s*|(?<=\()[A-Za-z][A-Za-z]{17,}(?:[ -][A-Za-z]+)*[，,]?\s*"
)
_EMPTY = re.compile(r"（\s*）|\(\s*\)")
_HEADING = re.compile(
    r"[^，。；：:\n]{0,16}?(?:日常预防|预防|病因|发病原因|病因(?:与|和|及)发病机[制理])\s*[：:]?\n"
)
_NEXT_HEADING = re.compile(
    r"(?:^|\n)[^，。；\n]{0,16}(?:健康教育|发病机[制理]|专业指导|护理)\s*[：:]?(?:\n|$)"
)
_NO_DEFINITION = re.compile(
    r"[^，。]{0,24}(?:常见于|多见于|好发于|常缺乏|有多种表现|占[^，。]{0,24}[%％]|是[^，。]{0,8}常见(?:的)?(?:病|疾病|多发病)(?=[，。]))"
)
ENOUGH = 3
"""Items that a case must have; a list is not made shorter than that for the sake of style."""


_INFANT = re.compile(r"新生儿|早产儿|婴")
_OLDER = re.compile(r"学龄|儿童|小儿|年长|少年|青|中年|成[人年]|老|孕|产妇|妇女|岁")


def kept(name: str, value: Value, title: str = "") -> Value:
    """A field's items without those that are not what the field is named for; other fields as they are. Of symptoms
    and complications those go too that the disease's name, the `title`, ends with: 呼吸衰竭 is no symptom of 急性呼吸衰竭,
    肺脓肿 no complication of 急性肺脓肿."""
    if name == "cure_way" and value:
        return joined(items_of(value))
    mark = cues().lists.get(name)
    if mark is None or not value:
        return value
    whole = title if name in ("symptom", "acompany") else ""
    return _whole(
        [i for i in items_of(value) if _is(bare(i), mark) and not whole.endswith(bare(i))]
    )


def told(value: Value) -> Value:
    """A text of the entry without what a web page lost or left: a foreign name whose words run into each other
    (radiationpneumonitis), and a heading that only repeats what is asked."""
    if not isinstance(value, str):
        return value
    text = _EMPTY.sub("", _GLUED.sub("", value))
    heading = _HEADING.match(text)
    if heading is None or _NEXT_HEADING.search(text, heading.end()):
        return text
    return text[heading.end() :]


def defines(desc: str) -> bool:
    """Whether a description begins by saying what the disease is, not how common it is or whom it befalls."""
    return _NO_DEFINITION.match(desc) is None


def signs(symptoms: Value) -> tuple[str, ...]:
    """The symptoms and signs without what only a laboratory finds."""
    return tuple(i for i in items_of(symptoms) if not cues().laboratory.search(i))


def joined(items: Iterable[str]) -> tuple[str, ...]:
    """Ways of treatment, where what stood before 支持性治疗 in one phrase is joined to it again."""
    found: list[str] = []
    for item in (i.lstrip("，、；。,;. ") for i in items):
        above = re.split(r"[，、]", found[-1])[-1] if found else ""
        if above in cues().stubs and item.startswith("支持"):
            found[-1] += cues().stubs[above] + item
        else:
            found.append(item)
    return tuple(found)


def reported(value: Value, title: str, crowd: str) -> Value:
    """Symptoms without those that a patient would have to put into words, where only infants fall ill."""
    if not value or not _infants(title, crowd):
        return value
    return tuple(i for i in items_of(value) if not cues().unreported.search(i))


def feasible(value: Value, title: str, crowd: str) -> Value:
    """Examinations without those that need a patient who follows instructions, where only infants fall ill."""
    if not value or not _infants(title, crowd):
        return value
    return tuple(i for i in items_of(value) if not cues().instructed.search(i))


def _infants(title: str, crowd: str) -> bool:
    young = _INFANT.search(crowd or title) is not None and not _OLDER.search(crowd)
    return "新生儿" in title or young


def telling(symptoms: Value, title: str, crowd: str = "") -> Value:
    """The symptoms that say more than that somebody is ill; () when a disease can't be looked for from what is listed:
    one such symptom needs three others, two need one. What gives the disease's name away counts for nothing,
    and no poisoning is found without a word of who is exposed."""
    if "中毒" in title and (not crowd or answer_leaked(crowd, title)):
        return ()
    shown = [i for i in items_of(symptoms) if not answer_leaked(i, title)]
    found = tuple(i for i in shown if not cues().unspecific.fullmatch(bare(i)))
    return found if len(found) + len(shown) > ENOUGH + 1 else ()


def _is(item: str, mark: Mark) -> bool:
    if mark.avoids is not None and mark.avoids.search(item):
        return False
    return mark.holds is None or mark.holds.search(item) is not None


def _whole(items: list[str]) -> tuple[str, ...]:
    """The items without those said again as a part of another, in their order, if enough are left."""
    distinct = tuple(dict.fromkeys(items))
    left = tuple(i for i in distinct if not any(i != other and i in other for other in distinct))
    one = _said_once(left)
    return next((found for found in (one, left) if len(found) >= ENOUGH), distinct)


def _said_once(items: tuple[str, ...]) -> tuple[str, ...]:
    """The items without those that say again, of the same or another part, what one before says with another word
    (发绀, 面色青紫)."""
    found: list[str] = []
    seen: set[int] = set()
    for item in items:
        group = next((n for n, same in enumerate(cues().same) if same.search(item)), None)
        if group is None or group not in seen:
            found.append(item)
        if group is not None:
            seen.add(group)
    return tuple(found)
