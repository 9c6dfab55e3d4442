"""What recipes may ask of a document: named values, worked out when first asked for.

A document has values of its own, and those of kinds case and consultation one set more for each question with its
answer. Most rules fail on the question's words alone, so what costs time (cleaning a reply, finding complaints)
waits until a rule gets that far.

    encyclopedia  its fields (lists by `corpus.entries`), name, definition (desc, when it says what the disease is), defining
                  (the same, when it begins with the name), illness (name, unless it is a complaint), telling (symptoms that
                  few diseases share), signs (symptoms that no laboratory had to find)
    case          text, chief, history, past, no_past (a line that says so, when the text tells of none), exam, tests,
                  disease, department · pair: question, answer, learnt (what the question itself tells as found since)
    choice        stem (the case before the question), asks (the question, opened), answer_text, others (the
                  other options), explanation (without option letters), is_case
    consultation  title, told (what the patient tells first, without questions), teller, complaints (not denied),
                  illness (told of, of the department), grounds (both), department, sure_department (what is told
                  belongs to the label, and nothing speaks against it), inquiries (what the doctor asks back) · pair:
                  question, situation (what was told first, and this question), general (title or question, when it asks
                  in general and names its subject), answer (cleaned, for a doctor),
                  examinations (named in the answer), symptoms (likewise)
    passage       name (what it is about), operation (the name, when it is one), section (of it), text, defines (the text begins by defining it)
    fhir          description, conditions, main (the first), medications, observations, unsaid (observations that the
                  description does not hold), disease, department; chief, history, past,
                  tests and others by the headings of its notes
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from wardround.corpus import chat, entries, narrative, template
from wardround.corpus import rules as r
from wardround.corpus.asked import asked, explained
from wardround.corpus.cases import no_past, sections, with_past
from wardround.corpus.cues import cues
from wardround.corpus.specialty import by_department, by_words, names_illness
from wardround.corpus.template import Value
from wardround.corpus.text import typeset
from wardround.metrics.overlap import normalise
from wardround.records import Document
from wardround.taxonomy import UNMAPPED

Maker = Callable[["Values"], Value]

GENERAL_LENGTH = 4, 40
_PERSONAL = re.compile(
    r"我|俺|他|她|您|你|咱|宝宝|孩子|小孩|儿子|女儿|父亲|母亲|爸|妈|爷爷|奶奶|老公|老婆|女友|男友|岁|昨|今天|最近|前天|天前|月前|年前|医生|大夫|谢谢|哪家|哪里|哪个医院|多少钱|费用|医院|牌子"
)
_ELLIPTIC = re.compile(
    r"^(?:那|这|它|除了|如果|若|听|明白|了解|好的|还有|具体|另外|此外|对于)|[，,]?(?:这种|这个|该|此|上述)(?:种|项)?"
)
_THIS_ONE = re.compile(r"病人|患者|患儿|本例|该例|此例|本病例|下一步|此时")
_LEARNT = re.compile(
    r"([^，。？]{2,40}(?:确定|证实|确诊|明确|提示)(?:为|是|有|病人|患者|本例)[^，。？]{2,30})，"
)
_CHATTY = re.compile(r"[？?]|据说|听说|真的吗|这个?时候")
_GOES_ON = re.compile(r"(?:那么?)?(?:还有|除了|除此|其他|另外)")
_GREETING = re.compile(
    r"^(?:(?:医生|大夫)?[，,]?(?:您|你)好(?:啊)?[，,]?(?:医生|大夫)?[，,！!。～~ ]*|(?:医生|大夫)[，,！!：:])+"
)
_THANKS = re.compile(
    r"^(?:(?:好的?|嗯|哦|谢谢|多谢|感谢|非常感谢|明白了?|了解了?|我?知道了|我明白了|我了解了)[^。！!]{0,24}[。！!]+|(?:好的|明白了|了解了|谢谢)[，,])+"
)
_OPERATED = re.compile(r"术|骨折|断裂|脱位|脱出|损伤|扭伤|切|肿瘤|癌|结石|疝|瘤")
_SECTION = re.compile(
    r"定义|概念|概述|简介|病因|发病机[制理]|流行病学|传播|临床(?:表现|特[点征]|应用)|症状|体征|表现$|检查|检验|影像|诊断|鉴别|分[级期度型类]|严重程度|治疗|处理|急救|抢救|药物|用药|用法|剂量|不良反应|副作用|"
    r"禁忌|注意|适应[证症]|指征|手术(?:步骤|方法|方式|要点|方案)|术[前后]|护理|康复|并发症|预后|预防|随访|复查|出院|问诊|病理"
)
_OPERATION = re.compile(
    r"(?<![艺技战学])术(?:式|（[^）]*）)?$|(?:切除|移植|置换|成形|吻合|修补|固定|引流|搭桥|造口|造瘘|结扎|植入|重建|剥除)$"
)
_FRAME = re.compile(
    r"^第?[0-9一二三四五六七八九十百]+\s*[章节篇部.、．)）]?\s*|^[（(][0-9一二三四五六七八九十]+[)）]\s*"
)
_NOTE = re.compile(
    r"(主诉|现病史|既往史|体格检查|查体|辅助检查|诊断|检查计划|治疗计划|诊疗计划|诊疗建议|出院医嘱|出院指导|术后处理|术后护理|康复计划|随访计划|手术记录|手术方案|术前准备)\s*[：:]"
)
_NOTE_NAMES = {
    "主诉": "chief", "现病史": "history", "既往史": "past", "体格检查": "exam", "查体": "exam", "辅助检查": "tests",
    "诊断": "line", "检查计划": "examination_plan", "治疗计划": "treatment", "诊疗计划": "treatment", "诊疗建议": "treatment",
    "出院医嘱": "discharge", "出院指导": "discharge", "术后处理": "postoperative", "术后护理": "postoperative",
    "康复计划": "rehabilitation", "随访计划": "follow_up", "手术记录": "surgical_plan", "手术方案": "surgical_plan",
    "术前准备": "preoperative",
}  # fmt: skip


class Values:
    """Named values of a document; those in `makers` are made when first asked for. Empty is missing."""

    __slots__ = ("_makers", "_ready", "_under")

    def __init__(
        self,
        ready: dict[str, Value],
        makers: Mapping[str, Maker] | None = None,
        under: Values | None = None,
    ) -> None:
        self._ready = ready
        self._makers = makers or {}
        self._under = under

    def get(self, name: str, default: Value = "") -> Value:
        """The value, or `default` when there is none."""
        if name in self._ready:
            return self._ready[name] or default
        maker = self._makers.get(name)
        if maker is not None:
            value = self._ready[name] = maker(self)
            return value or default
        return self._under.get(name, default) if self._under is not None else default

    def text(self, name: str) -> str:
        """The value as text, a list joined."""
        value = self.get(name)
        return value if isinstance(value, str) else "、".join(value)

    def over(self, **more: Value) -> Values:
        """The same with some values set."""
        return Values(more, under=self)


Pairs = list[tuple[int, Values]]


def values_of(document: Document) -> tuple[Values, Pairs]:
    """The values of a document and of each of its questions, numbered from 1."""
    return _OF[document.kind](document)


def _entry(document: Document) -> tuple[Values, Pairs]:
    lists = {k: entries.kept(k, v, document.title) for k, v in document.fields.items()}
    crowd = "、".join(template.items_of(document.fields.get("easy_get", "")))
    symptoms = entries.reported(lists.get("symptom", ()), document.title, crowd)
    lists["symptom"] = symptoms
    lists["check"] = entries.feasible(lists.get("check", ()), document.title, crowd)
    for name in ("desc", "cause", "prevent"):
        lists[name] = entries.told(lists.get(name, ""))
    desc = str(lists["desc"])
    # What an entry on 苯中毒 says first of benzene is no reason for a diagnosis.
    named = r.core_name(document.title) in desc[: len(document.title) + 8]
    defining = desc if named and entries.defines(desc) else ""
    # A complaint (咯血) is no diagnosis to be found from the complaints that are left without it.
    illness = "" if document.title in cues().complaints.distinct(document.title) else document.title
    own: dict[str, Value] = {
        "name": document.title, "defining": defining, "illness": illness,
        "telling": entries.telling(symptoms, document.title, crowd), "signs": entries.signs(symptoms),
        "definition": desc if entries.defines(desc) else "",
    }  # fmt: skip
    return Values({**lists, **own}), []


def _case(document: Document) -> tuple[Values, Pairs]:
    parts = sections(str(document.fields["description"]))
    whole = Values({
        "text": parts.text, "chief": parts.chief, "history": parts.history, "past": parts.past,
        "no_past": no_past(parts.text, parts.past), "exam": parts.exam, "tests": parts.tests, "disease": document.title,
        "department": document.departments,
    })  # fmt: skip
    core = r.core_name(document.title)
    pairs = []
    for number, (question, answer) in enumerate(question_pairs(document), start=1):
        named = len(core) > 2 and core in question and not _THIS_ONE.search(question)
        about = "disease" if named else "patient"
        learnt = _LEARNT.match(question)
        ready: dict[str, Value] = {
            "question": question, "answer": answer, "about": about, "learnt": learnt[1] if learnt else "",
        }  # fmt: skip
        pairs.append((number, Values(ready, under=whole)))
    return whole, pairs


def question_pairs(document: Document) -> list[tuple[str, str]]:
    """Questions with their answers, in order."""
    questions, answers = document.fields.get("questions", ()), document.fields.get("answers", ())
    return list(zip(questions, answers, strict=True))


def _choice(document: Document) -> tuple[Values, Pairs]:
    fields = document.fields
    found = asked(str(fields.get("question", "")))
    right = set(str(fields.get("answer", "")))
    options = fields.get("options", ())
    others = tuple(o.partition("．")[2] or o for o in options if o[:1] not in right)
    makers: dict[str, Maker] = {"explanation": lambda v: explained(v.text("given_explanation"))}
    return Values({
        "stem": found.stem, "asks": found.asks, "others": others, "is_case": "yes" if len(found.stem) >= 15 else "",
        "answer_text": fields.get("answer_text", ""), "given_explanation": fields.get("explanation", ""),
        "subject": fields.get("subject", ""),
    }, makers), []  # fmt: skip


def _consultation(document: Document) -> tuple[Values, Pairs]:
    turns = question_pairs(document)
    title = str(document.fields.get("title", ""))
    first = _GREETING.sub("", turns[0][0]) if turns else ""
    label = by_department(document.departments)
    makers: dict[str, Maker] = {
        "told": lambda _: _told(title, first),
        "teller": lambda _: narrative.teller(f"{title}\n{first}"),
        "complaints": lambda v: narrative.complaints(v.text("told")),
        "illness": lambda v: narrative.illnesses(v.text("told"), label)[:2],
        "grounds": lambda v: (*v.get("illness", ()), *v.get("complaints", ())),
        "inquiries": lambda _: chat.questions_in(turns[0][1]) if turns else (),
        "sure_department": lambda v: _sure(label, title, first, v.text("told")),
    }
    whole = Values({
        "title": title, "asked_first": first, "department": document.departments,
        "raw_answer": turns[0][1] if turns else "",
    }, makers)  # fmt: skip
    pairs = []
    for number, (question, answer) in enumerate(turns, start=1):
        ready: dict[str, Value] = {
            "question": question, "raw_answer": answer, "headline": title if number == 1 else "",
            "later": "" if number == 1 else "yes",
        }  # fmt: skip
        pairs.append((number, Values(ready, _PAIR, under=whole)))
    return whole, pairs


def _told(title: str, first: str) -> str:
    """What the patient tells; the title too where the text alone tells of fewer than two complaints."""
    told = narrative.narrative(first)
    if len(narrative.complaints(told)) > 1 or not title or title in first:
        return told
    head = "" if "是" in title else narrative.narrative(f"{title}。", 4)
    return head + told if normalise(head) not in normalise(told) else told


def _situation(v: Values) -> Value:
    """The patient's story with this question. A first question may stand alone; a later one needs the story, and one
    about an operation a story that has to do with one, for else nothing says whom it is about."""
    told, later = v.text("told"), v.get("later")
    question = _THANKS.sub("", _GREETING.sub("", v.text("question")))
    asks = narrative.question(question) or typeset(question)
    if not told or not v.get("teller"):
        return "" if later else f"问题：{asks}"
    if later and (_GOES_ON.match(asks) or ("术" in question and not _OPERATED.search(told))):
        return ""
    return f"{v.text('teller')}：{told}\n问题：{asks}"


def _sure(label: str, title: str, first: str, told: str) -> Value:
    """ "yes" when the label names a specialty, what is told belongs to it, and the words speak for no other."""
    if label == UNMAPPED or not narrative.belongs(told, label):
        return ""
    return "yes" if by_words(title, first).id in (label, UNMAPPED) else ""


def _general(v: Values) -> Value:
    least, most = GENERAL_LENGTH
    for text in (v.text("headline"), v.text("question")):
        plain = re.sub(r"(?:请问|想问一?下|想了解一?下?|你好|您好)[，,！!：:]?", "", text.strip())
        chatty = _CHATTY.search(plain.rstrip("？?"))
        if least <= len(plain) <= most and not _PERSONAL.search(plain) and not chatty:
            # A later question must say what it is about: nothing before it stands in the sample.
            if v.get("later") and (_ELLIPTIC.search(plain) or not names_illness(plain)):
                continue
            return re.sub(r"[？?。！!\s]*$", "", typeset(plain)) + "？"
    return ""


_PAIR: dict[str, Maker] = {
    "general": _general,
    "situation": _situation,
    "reply": lambda v: chat.said(v.text("raw_answer")),
    "answer": lambda v: chat.for_doctor(v.text("reply")),
    "examinations": lambda v: cues().examinations.distinct(v.text("reply")),
    "symptoms": lambda v: cues().complaints.distinct(v.text("reply")),
}


def _passage(document: Document) -> tuple[Values, Pairs]:
    headings = [_FRAME.sub("", h).strip() for h in document.fields.get("headings", ())]
    headings = [h for h in headings if h]
    section = headings[-1] if headings and _SECTION.search(headings[-1]) else ""
    above = headings[:-1] if section else headings
    named = [h for h in above if not _SECTION.search(h)]
    name = named[-1] if named and (len(headings) > 1 or not section) else ""
    text = str(document.fields.get("text", ""))
    defines = (
        "yes"
        if name
        and re.match(re.escape(name) + r"(?:（[^）]*）)?(?:是指?|系指?|为|指的是|，?即)", text)
        else ""
    )
    operation = name if _OPERATION.search(name) else ""
    return Values({
        "name": name, "operation": operation, "section": section, "text": text, "defines": defines
    }), []  # fmt: skip


def _fhir(document: Document) -> tuple[Values, Pairs]:
    fields = document.fields
    ready: dict[str, Value] = {**fields, "disease": document.title}
    ready["department"] = tuple(_departments(document))
    for note in fields.get("notes", ()):
        for name, text in _noted(note).items():
            ready.setdefault(name, text)
    history, past = str(ready.get("history", "")), str(ready.get("past", ""))
    told = str(fields.get("description", ""))
    ready["history"], ready["past"] = with_past(history, past)
    ready["no_past"] = no_past(f"{told}\n{history}", str(ready["past"]))
    ready["unsaid"] = tuple(o for o in fields.get("observations", ()) if o not in told)
    ready["main"] = next(iter(template.items_of(fields.get("conditions", ()))), "")
    return Values(ready), []


def _departments(document: Document) -> list[str]:
    said = str(document.fields.get("encounter", ""))
    found = re.findall(r"[一-龥]{1,8}科", said)
    return [*document.departments, *found]


def _noted(note: str) -> dict[str, Value]:
    """The parts of a clinical note by their headings."""
    marks = list(_NOTE.finditer(note))
    ends = [*(m.start() for m in marks[1:]), len(note)][: len(marks)]
    return {
        _NOTE_NAMES[m[1]]: text
        for m, end in zip(marks, ends, strict=True)
        if (text := note[m.end() : end].strip())
    }


_OF: dict[str, Callable[[Document], tuple[Values, Pairs]]] = {
    "encyclopedia": _entry,
    "case": _case,
    "choice": _choice,
    "consultation": _consultation,
    "passage": _passage,
    "fhir": _fhir,
}

_FROM: dict[str, dict[str, str]] = {
    "case": {"disease": "title", "department": "department"}
    | dict.fromkeys(("text", "chief", "history", "past", "no_past", "exam", "tests"), "description"),
    "encyclopedia": {"defining": "desc", "definition": "desc", "illness": "name", "telling": "symptom", "signs": "symptom"},
    "choice": dict.fromkeys(("stem", "asks", "is_case"), "question")
    | {"others": "options", "answer_text": "answer_text", "explanation": "explanation"},
    "consultation": dict.fromkeys(("told", "situation", "teller", "complaints", "illness", "grounds", "question", "general", "asked_first"), "questions")
    | dict.fromkeys(("answer", "inquiries"), "answers") | {"department": "department", "title": "title"},
    "passage": {"name": "headings", "operation": "headings", "section": "headings", "text": "text"},
    "fhir": {"no_past": "description", "main": "conditions", "disease": "conditions", "unsaid": "observations", "department": "encounter"}
    | dict.fromkeys(sorted(set(_NOTE_NAMES.values())), "notes"),
}  # fmt: skip


def source_field(kind: str, value: str) -> str:
    """The document's field a value comes from."""
    table = _FROM.get(kind, {})
    return table.get(value, "questions and answers" if kind == "case" else value)
