"""Named rules on one passage of text or one sample. Each says what is wrong; none repairs anything.

The names are reasons in excluded.jsonl and in coverage.json. The noise they look for is known from
published data of this kind: references that cite a text the reader does not have, apologies for a missing
case, several departments in a triage answer, stems cut in mid-sentence.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache, lru_cache

from wardround import taxonomy
from wardround.corpus import numerals
from wardround.corpus.cues import cues
from wardround.corpus.folded import narrow
from wardround.corpus.text import CIRCLED, cut_short
from wardround.metrics.overlap import normalise

RULES: dict[str, str] = {
    "input_too_short": "题干过短",
    "output_too_short": "答案过短",
    "output_too_long": "答案过长",
    "truncated": "文字没有写完，在句中断开",
    "cites_absent_text": "引用了题目中没有的书本知识、资料或图表",
    "talks_about_answering": "在讲如何作答，而不是作答",
    "nothing_beyond_input": "除重复题目外没有新的内容",
    "answer_leaked": "题目中已写出答案",
    "several_departments": "分诊答案给出了不止一个科室",
    "choice_question": "是选择题，不是开放问题",
    "advertises": "在为医院或产品做宣传",
    "reworded_by_machine": "词语被机器替换过，语义不可靠",
    "thin_answer": "除就医、休息等套话外内容太少",
    "off_topic": "没有回答所问的内容",
    "starts_midway": "分条序号不从第一条开始，前文缺失",
    "list_restarts": "分条序号中途又从一开始，小标题缺失",
    "basis_not_told": "诊断依据中有病例没有的症状",
    "contradicts_case": "所述年龄或家族史与病例不符",
    "unsure_diagnosis": "确诊的答案仍是疑诊",
    "no_distinction": "鉴别诊断没有鉴别要点",
    "unpunctuated": "长句没有标点，不可读",
    "speaks_to_patient": "仍是对患者说话或寒暄",
    "emergency_missed": "有急诊指征，却分诊到普通门诊科室",
    "wrong_age_department": "患儿被分到成人内科，或成人被分到儿科",
    "wrong_department": "科室与患者所述症状不符",
    "garbled": "文字有乱码或识别错误",
    "side_conflict": "左右侧与题目不一致",
    "empty": "没有内容",
    "apology_or_refusal": "道歉或拒绝回答",
    "mentions_passage": "提到了参考资料或原文本身",
    "too_short": "比参考答案短得多，丢失了内容",
    "too_long": "比参考答案长得多",
    "repeats_itself": "同样的话说了不止一遍",
    "number_not_in_source": "出现了原文没有的数字",
    "unfinished": "没有写完",
    "wrong_language": "没有用中文作答",
    "invented_case": "编造了题目和资料中没有的患者",
    "department_changed": "科室与参考答案不一致",
    "drug_not_in_source": "出现了资料中没有的药名",
    "dose_changed": "剂量、单位或用法与资料不一致",
    "required_part_missing": "缺少该任务必须回答的部分",
}
"""Rule → what it means, in Chinese: shown in reports, and told to a model that is asked to try again."""

_SAYS = "抱歉|对不起|很遗憾|作为|无法|不能|没有|sorry|as an ai|cannot|can't"
"""One of these is in every apology."""
_OWN = (
    "参考|资料|原文|原答案|材料|文本|段落|文中|书本知识|中提到|中指出|中所述|教科书|教材|课本|书|文献|文章|前文|上文|本文|该文|百科|词条|段话|段文字|"
    "according to the|based on the|<"
)
"""Likewise of what speaks of its own source."""
_TELLING = re.compile(f"{_SAYS}|{_OWN}")
"""Small letters: what a pattern finds counts where this finds something."""
_THING = "(?:资料|材料|文本|段落)"
_TELLS = (
    "(?:[中里上内]|资料)*(?:对此|也|都|均|曾|已|还|明确|有所|所|有|是这[样么])*"
    "(?:提到|提及|谈到|讲到|写到|写道|写着|写明|指出|所?述|记载|记述|载明|描述|介绍|强调|说明|说到|所说|的(?:说法|描述|记载|内容))"
)
_LIKELY = re.compile(
    "抱歉|对不起|很遗憾|作为(?:一个|一名)?(?:[aA]|人工智能|语言模型|大模型)|没有(?:提供|看到|给出)|"
    "无法(?:提供|回答|给出|完成)|不能(?:提供|回答|给出|完成)|"
    "s(?i:orry)|S(?i:orry)|ſ(?i:orry)|a(?i:s an a)|A(?i:s an a)|c(?i:an(?:not|'t))|C(?i:an(?:not|'t))|"
    f"参考(?:资料|文本|答案|内容|材料)|原(?:文|答案|始资料)|上述{_THING}|所给{_THING}|给定{_THING}|提供的{_THING}|以上{_THING}|"
    "资料(?:提到|指出|显示|所述)|材料(?:提到|指出|显示|所述)|教材|教科书|课本|书本|百科|词条|"
    f"专著{_TELLS}|文章{_TELLS}|论文{_TELLS}|文献{_TELLS}|书(?<!说明书)(?<!医嘱书)(?<!同意书)(?<!证明书)(?<!通知书){_TELLS}|"
    "文中|上文|前文|本文|该文|此文|段(?:话|文字|文章|内容|资料|材料)|篇(?:话|文字|文章|内容|资料|材料)|"
    "a(?i:ccording to the)|A(?i:ccording to the)|b(?i:ased on the)|B(?i:ased on the)|</?(?i:reference|passage|question)>"
)
"""In all that `_APOLOGY` and `_PASSAGE` find, and seldom in another text. Every alternative begins with a letter of its own,
so that the search skips all else: a hundredth of the time of those."""

_CITES = re.compile(
    r"书本知识|‹[^›]{1,12}›|(?:如|见|参见)(?:上|下)?[图表](?:\s*\d|所示)|上文(?:提到|所述)的?图"
)
_META = re.compile(r"分条陈述|思考方向|分别作答|作答即可|答题(?:要点|思路)|此处应了解|几点来思考")
_APOLOGY = re.compile(
    r"抱歉|对不起|很遗憾|作为(?:一个|一名)?(?:AI|人工智能|语言模型|大模型)|"
    r"(?:^|我|[。！？\n]|[，,](?=.{0,8}(?:请求|问题)))\s*(?:暂时?)?(?:无法|不能)(?:提供|回答|给出|完成)(?:该|这|此|具体|医疗|诊断|任何)?(?:问题|回答|建议|诊断|信息|请求)|"
    r"\bI(?:'m| am) sorry|\bas an AI|\bI (?:cannot|can't) (?:provide|answer|assist)|"
    r"没有(?:提供|看到|给出)(?:具体)?(?:的)?(?:病例|资料|信息)",
    re.I,
)
_PASSAGE = re.compile(
    r"书本知识|参考(?:资料|文本|答案|内容|材料)|原(?:文|答案|始资料)|(?:上述|所给|给定|提供的|以上)"
    rf"{_THING}|"
    r"(?<![像学床历验查史室访理])(?:资料|材料|文中)(?:提到|指出|显示|所述)|(?:教材|教科书|课本|书本|专著|百科全?书?|词条|(?<!说明)(?<!医嘱)(?<!同意)(?<!证明)(?<!通知)书|文章|论文|文献)"
    rf"{_TELLS}|"
    r"(?:据|根据|按照?|参照|参考|依照|见于?)(?:上述|这本?|该|此)?(?:教科书|教材|课本|书本|百科|词条)|(?:教科书|教材|课本|书本)(?:中|里|上)|"
    r"(?<![英中外作天人语古水论])文中|(?:上|前|本|该|此)文(?=[所已中里提述指说写])|(?:这|该|此|上述|以上)(?:段|篇)(?:话|文字|文章|内容|资料|材料)|"
    r"(?:according to|based on) the (?:given |provided )?(?:text|passage|reference|material|article)|"
    r"</?(?:reference|passage|question)>",
    re.I,
)
_ENUMERATOR = re.compile(
    rf"[（(\d{CIRCLED}](?:(?<=[{CIRCLED}])|(?<![^\n。；：，、\s].)"
    r"(?:(?<=[（(])\s*\d{1,2}\s*[)）]|(?<=\d)\d?\s*(?:[)）、．]|\.(?!\d))))",
    re.S,
)
"""What it begins with stands first, and what must stand before that behind it: so the search skips all else quickly."""
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_WRITTEN = re.compile(f"[{numerals.CN}]+(?:点[零〇一二两三四五六七八九]+)?")
_SHOWN_TO_BE_NEW = 0.15


def cites_absent_text(output: str, given: str) -> bool:
    """Whether it cites a text, figure or table that `given` (the input) does not hold."""
    return any(m[0] not in given for m in _CITES.finditer(output))


def talks_about_answering(output: str) -> bool:
    """Whether it tells a student how to answer instead of answering."""
    return bool(_META.search(output))


def apology_or_refusal(output: str) -> bool:
    """Whether it apologises or declines."""
    return _telling(output) and _APOLOGY.search(output) is not None


@lru_cache(maxsize=64)
def _telling(text: str) -> bool:
    return _LIKELY.search(text) is not None and _TELLING.search(text.casefold()) is not None


def mentions_passage(output: str, given: str = "") -> bool:
    """Whether it speaks of its own source; wording that `given` already has is no sign of that."""
    return _telling(output) and any(m[0] not in given for m in _PASSAGE.finditer(output))


def new_share(output: str, given: str) -> float:
    """Share of the output's character bigrams that the input does not have; 0.0 for an empty output."""
    mine, theirs = normalise(output), normalise(given)
    known = {theirs[i : i + 2] for i in range(len(theirs) - 1)}
    pairs = [mine[i : i + 2] for i in range(len(mine) - 1)]
    return (len(pairs) - sum(map(known.__contains__, pairs))) / len(pairs) if pairs else 0.0


def nothing_beyond_input(output: str, given: str) -> bool:
    """Whether less than 15 % of the output's bigrams are new."""
    return new_share(output, given) < _SHOWN_TO_BE_NEW


_EMPTY_WORDS = re.compile(
    r"请问|什么是|是什么|什么|哪些|怎么样?|如何|怎样|为什么|会不会|有没有|是否|症状|表现|原因|病因|治疗|方法|注意事项?|检查|预防|引起|常见|患者|问题|"
    r"拟作鉴别|应该|应当|可以|需要|主要|副作用|不良反应|服用|护理|区别|区分|鉴别|手术|术后|术前|[的是有吗呢啊会能和与及在了做要后前]"
)


def off_topic(output: str, asked: str) -> bool:
    """Whether an answer names nothing of what was asked: no two characters in a row of the question's own words.
    A question of common words alone is never off topic."""
    words = [normalise(w) for w in _EMPTY_WORDS.sub(" ", asked).split()]
    pairs = {w[i : i + 2] for w in words for i in range(len(w) - 1)}
    text = normalise(output)
    if not pairs or any(p in text for p in pairs):
        return False
    # A short form (甲减) is answered by the long one (甲状腺功能减退).
    return not any(set(w) <= set(text) for w in words if 2 <= len(w) <= 3)


_FIRST_NUMBER = re.compile(
    r"(?:^|(?<=[\n。；：，]))\s*[（(]?(\d{1,2})\s*(?:[)）、．]|\.(?!\d))|([" + CIRCLED + "])"
)


def starts_midway(output: str) -> bool:
    """Whether its numbered points begin with another number than one: what stood before is gone."""
    m = _FIRST_NUMBER.search(output)
    return m is not None and (m[1] or str(CIRCLED.index(m[2]) + 1)) not in ("1", "01")


_LINE_NUMBER = re.compile(r"[ ]*([（(]?)(\d{1,2})([)）、．.])(?!\d)")


def list_restarts(output: str) -> bool:
    """Whether the next line behind a numbered one begins again with one in the same style: what the second list is of
    stood between them and is gone. So is what a paragraph that begins with 它们 speaks of."""
    if _SUBJECT_LOST.search(output):
        return True
    above = ("", 0)
    for line in output.split("\n"):
        m = _LINE_NUMBER.match(line)
        style, number = (f"{m[1]}{m[3]}", int(m[2])) if m else ("", 0)
        if number == 1 and above[1] > 1 and style == above[0]:
            return True
        above = style, number
    return False


_SUBJECT_LOST = re.compile(r"(?:^|\n)它们?(?=[都是在也的会可能])")
_TO_READER = re.compile(r"[你您]|宝宝|家长们|朋友们|老板|我们应该|告诉大夫")


def speaks_to_reader(output: str) -> bool:
    """Whether an entry speaks to lay readers (你, 宝宝): it was written for parents or workers, not for a doctor."""
    return _TO_READER.search(output) is not None


_DIAGNOSES = re.compile(
    r"诊断(?!的?(?:要点|方法|标准))|考虑|符合|可能|怀疑|提示|[病炎癌瘤症伤裂疝](?!人|儿|史|例|程|情)"
)


def diagnoses(answer: str) -> bool:
    """Whether an answer to a question for the diagnosis gives one, in whatever words."""
    return _DIAGNOSES.search(answer) is not None


_DISTINGUISHES = re.compile(
    r"鉴别|排除|区别|不同|除外|而|可见|检查|阳性|阴性|病史|影像|造影|CT|MRI|超声|X线|镜|病理|活检|指检|体征|发热|[疼痛]|肿[痛胀块]|症状|表现|起病|好发|多发生|一般|早期|较"
)


def distinguishes(differential: str) -> bool:
    """Whether a differential diagnosis says by what the diseases are told apart, and isn't a classification alone."""
    return _DISTINGUISHES.search(differential) is not None


_AGE = re.compile(r"(?<![0-9])([0-9]{1,3})\s*周?岁")
_OF_AGE = (
    (re.compile(r"老年(?:男|女|病人|患者)"), 55, 200),
    (re.compile(r"中年(?:男|女|病人|患者)"), 35, 65),
    (re.compile(r"(?<!中)青年(?:男|女|病人|患者)"), 14, 45),
)
_FAMILY_ILL = re.compile(r"家族史阳性|有[^，。；]{0,8}家族史")
_FAMILY_WELL = re.compile(r"(?:否认|无)[^，。；]{0,6}家族|家族史[：:]?(?:否认|无|阴性)")


def contradicts_case(output: str, given: str) -> bool:
    """Whether an answer tells another age or family history of the patient than the case."""
    age = _AGE.search(given)
    if age and any(p.search(output) and not low <= int(age[1]) < high for p, low, high in _OF_AGE):
        return True
    return _FAMILY_ILL.search(output) is not None and _FAMILY_WELL.search(given) is not None


def basis_not_told(basis: str, told: str) -> bool:
    """Whether the basis of a diagnosis names two complaints that the case doesn't tell of: of each, a character stands
    nowhere in the case. One may be another word for what is told (消瘦, 体重下降)."""
    known = set(told)
    return sum(not set(word) <= known for word in cues().complaints.distinct(basis)) > 1


_RUN_ON = re.compile(r"[\u3400-\u9fff]{45}")


def unpunctuated(output: str) -> bool:
    """Whether 45 Chinese characters follow each other without any mark."""
    return _RUN_ON.search(output) is not None


def core_name(disease: str) -> str:
    """A disease's name without what stands in brackets."""
    return re.sub(r"[（(][^）)]*[）)]", "", disease).strip() or disease


def answer_leaked(given: str, disease: str) -> bool:
    """Whether the input names the disease that the output must find."""
    text = normalise(given)
    return any(n and n in text for n in (normalise(disease), normalise(core_name(disease))))


@cache
def _department_names() -> list[tuple[str, str]]:
    names = [(a, s.id) for s in taxonomy.specialties().values() for a in (s.zh, *s.aliases)]
    return sorted(names, key=lambda pair: (-len(pair[0]), pair[0]))


@lru_cache(maxsize=1 << 10)
def departments_in(line: str) -> tuple[str, ...]:
    """Department names in a line, longest first, none inside another; by specialty they belong to."""
    found = []
    for name, specialty in _department_names():
        if name in line:
            found.append(specialty)
            line = line.replace(name, "　")
    return tuple(found)


def first_department(text: str) -> str:
    """The specialty of the department that a text's first line names first; "" for none."""
    return _first_in(text.strip().split("\n")[0])


@lru_cache(maxsize=1 << 10)
def _first_in(line: str) -> str:
    at = {(line.find(name), -len(name)): s for name, s in _department_names() if name in line}
    return at[min(at)] if at else ""


def several_departments(output: str) -> bool:
    """Whether a triage answer's first line names departments of more than one specialty."""
    first = output.strip().split("\n")[0]
    return len(set(departments_in(re.split(r"[。（(]", first)[0]))) > 1


_SIDED = re.compile(r"([左右])侧?(?!侧)([\u3400-\u9fff]{2})")


def side_conflict(output: str, given: str) -> bool:
    """Whether it speaks of one side's organ where the input has that organ on the other side alone."""
    told = {(m[1], m[2]) for m in _SIDED.finditer(given)}
    organs = {organ for _, organ in told}
    return any(
        m[2] in organs and (m[1], m[2]) not in told and f"双侧{m[2]}" not in given
        for m in _SIDED.finditer(output)
    )


def sides_differ(case: str) -> bool:
    """Whether a record contradicts itself: the tests find on one side alone what the patient's story has on the other."""
    story, heading, tests = case.partition("\n辅助检查\n")
    if not heading or "双侧" in case:
        return False
    before, behind = ({(m[2], m[1]) for m in _SIDED.finditer(t)} for t in (story, tests))
    return any(
        (organ, other) in behind and (organ, side) not in behind and (organ, other) not in before
        for organ, side in before
        for other in "左右"
        if other != side
    )


_GARBLED = re.compile(
    r"[\ufffd\ue000-\uf8ff□]|[\u3400-\u9fff]Up[\u3400-\u9fff]|&#?[a-z0-9]{2,6};|\?{3,}|锟斤拷|[\u3400-\u9fff][⒑-⒛][\u3400-\u9fff]|(?:吸|侵|摄|渗)人(?![体类工员群口造与民次])|化台物"
)


def garbled(text: str) -> bool:
    """Whether it holds characters that no writer put there."""
    return _GARBLED.search(text) is not None


_POWER = re.compile(r"(?<=10)\s*[\^*]?\s*(?=[⁰¹²³⁴-⁹])|(?<=[×xX*]10)(?=\d{1,2}\s*/)")
_HOLDS_POWER = re.compile(r"10(?:\s*[\^*]?\s*[⁰¹²³⁴-⁹]|\d{1,2}\s*/)")
_NAMED_DIGIT = re.compile(
    r"(?:[SP][apv]?O|P?[aA]?CO|FiO|NO)2|FEV1|HbA1c|维生素\s*[A-Z]\d{1,2}", re.I
)
_LETTERED = re.compile("o2|O2|v1|V1|a1c|a1C|A1c|A1C|维生素")
"""One of these is in each of them."""
_ANY_DIGIT = re.compile(
    r"[\d²³¹¼-¾⁰⁴-⁹₀-₉⅐-⅟↉①-⒛⓪㉑-㉟㊱-㊿㋀-㋋㍘-㍰㍸㍹㎟-㎦㎨㎯㏠-㏾\U0001f100-\U0001f10a]"
)
"""What is a digit, or becomes one by NFKC."""


def numbers(text: str) -> set[str]:
    """Numbers in a text, full-width ones too, and those written out in Chinese that measure something (`numerals.measured`).
    Those of list items, and digits that are part of a name (SpO₂, 维生素B12), don't count; of 10⁹ both do, however it
    is written."""
    return _in_digits(text) | numerals.measured(text)


def numbers_beyond(found: set[str], text: str) -> set[str]:
    """Those of `found` that are not among the `numbers` of a text."""
    left = found and found - _in_digits(text)
    return left and left - numerals.measured(text)


def _in_digits(text: str) -> set[str]:
    if not _ANY_DIGIT.search(text):
        return set()
    bare = _ENUMERATOR.sub(" ", text)
    plain = narrow(_POWER.sub(" ", bare) if _HOLDS_POWER.search(bare) else bare)
    if _LETTERED.search(plain):
        plain = _NAMED_DIGIT.sub(" ", plain)
    return {_shortest(m) for m in _NUMBER.findall(plain)}


@lru_cache(maxsize=1 << 12)
def _shortest(number: str) -> str:
    return format(Decimal(number).normalize(), "f")


_HALVES = re.compile(
    r"(?<![\d.])(?:6\s*个?月|30\s*分钟?|1[45]\s*[天日]|2\s*个?(?:周|星期))|六个月|三十分钟|十[四五][天日]|两(?:个星期|周|星期)"
)
"""A half in the next greater unit: 6个月 is 半年."""


def written_out(text: str) -> set[str]:
    """All numbers written in Chinese characters (二十四, 三百零五, 两, 一点五), whatever they stand for, as digits; and 0.5 for what
    may be told as half a year, month or hour. This is what a source may be read to say; `numbers` is what a text does say."""
    found = {v for word in _WRITTEN.findall(text) for v in numerals.values(word)}
    if _HALVES.search(text):
        found.add("0.5")
    return found


def unfinished(output: str) -> bool:
    """Whether the text does not end like a finished one."""
    text = output.rstrip()
    return cut_short(text) or not text.endswith(
        ("。", "！", "？", "”", "）", "；", ".", "!", "?", ")")
    )
