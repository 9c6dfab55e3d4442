"""What a patient tells, without what a patient asks: the case in a consultation.

Patients write to a doctor: greetings, thanks, "what should I do?". A doctor who is set a task wants the complaint, so
clauses that only ask or are polite go; what is told stays word for word. Complaints that are denied ("不恶心") do not
count, and an illness counts only where it is told of, not asked about.
"""

from __future__ import annotations

import re

from wardround.corpus.cues import cues
from wardround.corpus.specialty import named
from wardround.corpus.text import sentence, typeset

LEAST = 5
_SENTENCE = re.compile(r"[^。！？!?\n；;]*[。！？!?\n；;]+|[^。！？!?\n；;]+$")
_CLAUSE = re.compile(r"[^，,]+[，,]?")
_ASKS = re.compile(
    r"怎么|如何|怎样|为什么|为何|什么(?:病|样的?|茶|表现|原因|情况|药|问题|办法|方法|症状|引起|导致|意思|办|科)|是什么|"
    r"咋|吗(?!啡|丁啉)|呢$|吃(?:点|些)?什么|哪(?:个|些|种|里|家|一|方面)|多少钱|多久|几天|多少|能不能|可不可以|是不是|重不重|严不严重|注意(?:什么|哪些|点)|会不会|要不要|有没有(?:什么|好的|办法)|用不用|需不需要|有没有必要|该不该|好不好(?:治|啊)|严重不|"
    r"有什么(?:好|办法|方法|药)|想(?:要)?(?:进行)?(?:咨询|请教|问|了解|知道|请)|请问|您好|你好|求(?:救|助|医|解)|请(?:您|你|专家|医生|大夫|教|指|帮|给)|谢谢|感谢|麻烦|"
    r"(?:您|你)能|能(?:治|根治|自愈|吃|给|具体|帮)|可以(?:吃|治|用|通过)|需要(?:做|吃|注意|手术|治疗|怎么)|应该(?:吃|做|怎|注意|挂)|该(?:吃|怎|用|挂|看|去|做)|吃哪|好(?:的)?(?:方法|办法)|好治|挂哪|挂什么|"
    r"有那些|那些(?:治疗|方法|药|症状)|要(?:吃|用|治)?几(?:年|个月|天)|么$|^(?:彻底|完全)?(?:治愈|根治)$|"
    r"是(?:胃病|胃癌|癌|糖尿病|高血压|肝炎)(?:$|[？?。])|几率|^如果可以|^除了[^，]*$|帮帮|指导|可有|是否(?:是|为)?[^，]*可能|看不懂|不懂"
)
_GREETING = re.compile(
    r"^(?:(?:医生|大夫|专家)?[，,]?(?:您|你)好(?:啊)?[，,]?(?:医生|大夫)?[，,！!。～~ ]*|(?:医生|大夫|专家)[，,！!：:])+"
)
_WISH = re.compile(
    r"^(?:我?有个问题|谢谢|多谢|打扰|急|在线等|我(?:很|非常|真的)?(?:担心|害怕|着急|想问))"
)
_POLITE = re.compile(
    r"(?:请问|你好|您好|谢谢|感谢|我?还?想(?:要)?(?:咨询|请教|问|了解|知道)(?:一下|下)?)[，,。！!]*|(?:除了|还有)[^，,]{0,16}[，,]"
)
_NOT = re.compile(
    r"(?:没有|没(?![力劲])|无(?![力尿汗神脉])|未|否认|不(?![舒好断停适了住止能想知到消上下时会得开清定规光仅但少]))"
    r"(?:什么|任何|明显|太|再|出现|感觉|觉得|有|是)?[^，。；！？,;]{0,3}$"
)
_PART = re.compile(r"性|酸(?![痛胀疼软])|(?<=发烧)心|(?<=重影)响")
_ORGAN = re.compile(r"(?:幽门|[粘黏]膜|胃窦|胃体|肺|脑)$")
_FEARED = re.compile(
    r"(?:怀疑|质疑|疑似|疑为|担心|害怕|怕|可能|好像|以为|像是?|预防|多半|大概是|估计|应该是|或许|也许|难道|会不会|是不是|是否|"
    r"比如说?|例如|引起|导致|引发|能否治疗|(?:如何|怎[样么])治疗)[^，。；]{0,8}$"
)
_OTHERS = re.compile(
    r"(?:的)?(?:病人|患者(?![，,男女])|家族史)|[妈母爸父]|"
    # part of a drug's or a vaccine's name, or of what the text says of the illness in general
    r"(?:宁|灵|康(?!复)|净|片|胶囊|颗粒|冲剂|口服液|[丸散膏汤]|疫苗|的?药)|"
    r"(?:病|症|性)?(?:的?(?:症状|表现)?(?:蛮|很|挺|有点|有些|非常)?(?:相)?(?:像|类似|相似)|还是(?![没不老会反疼痛有])|会(?!诊)|(?:所)?(?:引起|导致|引发|造成)|"
    r"应[当该]|可以|能[否不]|怎[么样]|如何|最好|秘方|偏方|有(?:什么|哪)|的?(?:医院|治疗方法|最佳)|[^。；]{0,12}病因)"
)
"""What behind an illness's name says that it isn't told of as the patient's own."""
_FAMILY = re.compile(
    r"(?:我|俺|咱)?(?:的|家)?(?:爸|妈|父亲|母亲|老公|丈夫|妻子|老婆|爷爷|奶奶|外公|外婆|姥姥|姥爷|公公|婆婆|岳父|岳母|叔叔|舅舅|姑姑|阿姨|[大二三小]?[伯姨舅婶嫂叔]|亲戚|邻居|哥哥|姐姐|弟弟|妹妹|[大二三四小][姐妹哥弟]|领班|同乡|儿子|女儿|孩子|小孩|宝宝|同桌|同事|同学|朋友|男友|女友|男朋友|女朋友|孙子|孙女)"
    r"(?!给|买|说我|让我|带我|劝我|叫我|都|们)"
)
_MYSELF = re.compile(
    r"我(?:最近|现在|也|今年|感觉|觉|自己|有时|经常|总|老是|从|的(?!爸|妈|父|母|老|孩|宝|朋|同))"
)
_SOMEONE = re.compile(
    r"^(?!.*(?:我|本人|俺)).*(?:(?<!其)[他她](?:常|总|老|经|最近|现在|一直|说|的))", re.S
)
_ILLNESS = re.compile(
    r"(?:病|炎|癌|瘤|症|溃疡|结石|结核|硬化|高血压|高血脂|癫痫|哮喘|贫血|三阳|乙肝|丙肝|甲亢|甲减|痛风|心衰|房颤|梗死|梗塞|中风|息肉|卒中|缺损|骨折)$"
)


def narrative(text: str, least: int = LEAST) -> str:
    """What is told, typeset; "" when less than `least` characters are."""
    kept: list[str] = []
    for part in _SENTENCE.findall(_GREETING.sub("", text.strip())):
        mark = part.rstrip()[-1:]
        clauses = [c for c in _CLAUSE.findall(part.strip("。！？!?\n；; ")) if not _asks(c)]
        told = "".join(clauses).strip("，, ")
        if told:
            kept.append(told + ("；" if mark in "；;" and mark else "。"))
    found = typeset("".join(kept))
    return sentence(found.rstrip("；")) if len(found) >= least else ""


def question(text: str) -> str:
    """What is asked: the sentences that a narrative leaves out, without courtesies; "" when nothing is."""
    kept: list[str] = []
    for part in _SENTENCE.findall(text):
        clauses = [c for c in _CLAUSE.findall(part.strip()) if _asks(c) or kept]
        asked = _POLITE.sub("", "".join(clauses)).strip("，, ")
        if asked and asked.strip("。！？?!"):
            kept.append(re.sub(r"[。！!？?]*$", "？", asked))
    return typeset("".join(kept))


def _asks(clause: str) -> bool:
    bare = clause.strip("，,。 ")
    return not bare or _ASKS.search(bare) is not None or _WISH.match(bare) is not None


def teller(text: str) -> str:
    """Who tells it: 患者自述, or 家属代述 when it is told of somebody else; "" when it is told of both, or of a nameless
    third person, for then nobody can say who is ill."""
    other = _FAMILY.search(text[:80])
    if other is None:
        return "" if _SOMEONE.search(text) else "患者自述"
    return "" if _MYSELF.search(text, other.end()) else "家属代述"


def complaints(text: str) -> tuple[str, ...]:
    """The complaints named and not denied, each once."""
    return _standing(text, cues().complaints.distinct(text))


def illnesses(text: str, specialty: str) -> tuple[str, ...]:
    """The illnesses of a specialty that the text tells of as the patient's own: not denied, not feared, nobody else's."""
    words = tuple(w for w in named(text, specialty) if _ILLNESS.search(w))
    return tuple(w for w in _standing(text, words) if _owned(text, w))


def belongs(text: str, specialty: str) -> bool:
    """Whether a text names, undenied, something that a specialty is known by or often sees."""
    often = cues().belongs.get(specialty)
    words = (*named(text, specialty), *(often.distinct(text) if often else ()))
    return bool(_standing(text, words))


def _standing(text: str, words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(w for w in words if not _denied(text, w)))


def _owned(text: str, word: str) -> bool:
    """Whether a mention of an illness is neither a fear nor somebody else's."""
    at = text.find(word)
    while at >= 0:
        end = at + len(word)
        if not _FEARED.search(text, max(0, at - 12), at) and not _OTHERS.match(text, end):
            return True
        at = text.find(word, at + 1)
    return False


def _denied(text: str, word: str) -> bool:
    """Whether every mention of a word is denied, or is none (血尿 in 血尿酸, a swollen pylorus)."""
    at = text.find(word)
    while at >= 0:
        here = _PART.match(text, at + len(word)) or _ORGAN.search(text, max(0, at - 2), at)
        if not here and not _NOT.search(text, max(0, at - 8), at):
            return False
        at = text.find(word, at + 1)
    return True
