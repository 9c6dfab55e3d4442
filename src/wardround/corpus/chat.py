"""A doctor's reply to a patient → a passage for a doctor, or the reason why it can't be one.

Greetings, wishes and requests for a good rating go; "you" becomes the patient. What is medicine stays word for
word. A reply that advertises, that a machine reworded (引来 for 引起), or that holds little besides "see a doctor"
is no reference, however it is dressed.
"""

from __future__ import annotations

import re

from wardround.corpus.cues import cues
from wardround.corpus.text import typeset

MOST_ASKED = 10
_SENTENCE = re.compile(r"[^。！？!?\n～~]*[。！？!?\n～~]+|[^。！？!?\n～~]+$")
_YOU = (
    (re.compile(r"(?:我(?:们)?)?(?:强烈)?(?:建议|推荐|提醒)(?:您|你)们?"), "建议"),
    (re.compile(r"我(?:们)?(?:还是)?(?:强烈)?(?=建议|推荐)"), ""),
    (re.compile(r"请(?:您|你)(?=[^问])"), ""),
    (re.compile(r"(?:您|你)们?(?=(?:可以|可|应该|应|需要|需|最好|要|必须|不要|不能)(?!求))"), ""),
    (re.compile(r"(?:您|你)们?的?(?:孩子|宝宝|小孩|儿子|女儿)"), "患儿"),
    (re.compile(r"(?:您|你)们?的?(?:父亲|母亲|爸爸|妈妈|老公|丈夫|妻子|老婆|爷爷|奶奶|家人|朋友|姐姐|弟弟|妹妹|哥哥)"), "患者"),
    (re.compile(r"(?:您|你)们?自己"), "患者本人"),
    (re.compile(r"(?:您|你)们?"), "患者"),
    (re.compile(r"患者的?患者"), "患者"),
)  # fmt: skip
_PLEASE = re.compile(
    r"(?:(?<=[，。；：])|^)(?P<when>[^，。；：]{0,24}?)请(?=注意|避免|及时|积极|尽快|尽早|立即|务必|不要|勿|咨询|继续|按|遵|定期|保持|坚持|严格)"
)
_ASKED = re.compile(r"[？?]")
_NO_QUESTION = re.compile(
    r"还有(?:其他|什么|别的)?[^？]{0,10}(?:问题|信息|补充|疑问|帮助)|可以(?:告诉|描述|提供|详细|说)|方便(?:告诉|说|提供)|需要.{0,6}帮助|"
    r"(?:什么|哪些|怎么)[^？]{0,6}帮(?:您|你|到)|了解(?:了)?吗|明白吗|好吗[？?]|对吗[？?]|是吗[？?]|行吗[？?]|知道吗"
)
_LEADING = re.compile(
    r"^(?:[^？]*[：:]|[^？]*[；;]|[^？]*\d[)）])?(?:首先|其次|最后|比如|例如|如|我们?(?:需要|想)(?:先)?了解[^，：]{0,8}|[，,]|得?结合[^，]{0,12})*[，,]?(?:比如|例如)?\s*"
)
_ASKS = re.compile(
    r"吗|有没有|有无|是否|多少|多久|多长|多大|多高|什么|哪|几|怎么样|如何|何时|呢|怎样|做过|吃过|用过|没有"
)
_ASKING = re.compile(
    r"^(?:.*?[，,：:。]\s*)?(?:那么?|请问一?下?|想问一?下?|问一下|先了解一?下?(?:情况)?[：:]?|另外|此外|还有)[，,]?\s*"
)
_THIN = re.compile(
    r"(?:及时|尽快|尽早|建议|最好|必须|应|需要?|要)?(?:到|去|前往|找|咨询|选择)?(?:当地|附近|专业|正规|大|三甲|公立|的)*(?:医院|医生|就医|就诊|医疗机构|门诊)"
    r"|注意(?:休息|饮食|保暖|卫生|生活)|清淡饮食|饮食清淡|多(?:吃|喝)(?:水|蔬菜|水果|新鲜)[^，。]*|(?:忌|不要|避免|少)吃?辛辣[^，。]*|心情愉快|良好的?心态|加强锻炼"
)


def said(answer: str) -> str:
    """The reply without greetings, wishes and the like, typeset; the doctor still speaks to the patient."""
    found = cues()
    kept = []
    for sentence in _SENTENCE.findall(answer):
        text = (
            found.opening.sub("", sentence.strip(), count=1)
            if _opens(sentence)
            else sentence.strip()
        )
        if text.strip("。！!～~，, ") and not found.chat.search(text):
            kept.append(text.rstrip("～~"))
    return typeset("".join(kept))


def _opens(sentence: str) -> bool:
    return cues().opening.match(sentence.strip()) is not None


def for_doctor(reply: str) -> str:
    """A cleaned reply with the patient spoken of, not to."""
    for pattern, instead in _YOU:
        reply = pattern.sub(instead, reply)
    return typeset(_PLEASE.sub(lambda m: f"{m['when']}应", reply))


def questions_in(answer: str) -> tuple[str, ...]:
    """What the doctor asks back of the patient's illness, each once, as for a doctor's list."""
    if not _ASKED.search(answer):
        return ()
    asked: dict[str, None] = {}
    for sentence in _SENTENCE.findall(answer):
        text = sentence.strip()
        if not _ASKED.search(text) or _NO_QUESTION.search(text):
            continue
        text = cues().opening.sub("", text, count=1) if _opens(text) else text
        text = _ASKING.sub("", text, count=1)
        text = _LEADING.sub("", re.sub(r"(?:您|你)们?(?:的|目前|现在|最近|平时)?", "", text)).strip(
            "，, "
        )
        if 4 <= len(text) <= 60 and _ASKS.search(text) and "。" not in text:
            asked[typeset(re.sub(r"[。！]?[？?]+$", "？", text))] = None
    return tuple(asked) if len(asked) <= MOST_ASKED else ()


def advertises(answer: str) -> bool:
    """Whether a reply offers a hospital's or a seller's services."""
    return cues().adverts.search(answer) is not None


def reworded(answer: str) -> bool:
    """Whether a machine put near-synonyms in the place of the usual words (one sure sign, or two
    weaker ones), or masked some with asterisks."""
    found = cues()
    if found.swapped_surely.search(answer):
        return True
    return len({m[0] for m in found.swapped_maybe.finditer(answer)}) > 1


def thin(reply: str, least: int = 60) -> bool:
    """Whether fewer than `least` characters are left of it without advice that fits any illness."""
    return len(_THIN.sub("", reply)) < least


_TO_PATIENT = re.compile(
    r"(?:您|你)|[祝谢]患者|请患者放心|不客气|望采纳|亲[，爱]|哦[。！]|呢[。！？]|哈[。！]|^我|[，。；]我(?!国|们体内)"
)


def to_patient(text: str) -> bool:
    """Whether a text still speaks to the patient or in the doctor's own person."""
    return _TO_PATIENT.search(text) is not None


_ABOUT_ONE = re.compile(
    r"患者的?(?:病情|情况|症状|描述|问题|说法|担心)|患者(?:所?说|提到|描述|这种)|根据(?:描述|叙述)"
)


def misses(text: str, asked: str) -> bool:
    """Whether a general question is answered with one patient's case, or with something else than what it asks after
    (an answer to "is it hereditary" that has no word of heredity)."""
    return _ABOUT_ONE.search(text[:60]) is not None or unanswered(text, asked)


def unanswered(text: str, asked: str) -> bool:
    """Whether a text has no word of what is asked after."""
    wanted = [answer for question, answer in cues().answers if question.search(asked)]
    return bool(wanted) and not any(answer.search(text) for answer in wanted)
