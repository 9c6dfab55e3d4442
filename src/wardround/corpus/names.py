"""All names of the disease a document is about, so that one disease under two names stays on one side of the split.

A name counts when the document itself gives it (a field of other names, a bracket behind its title, 又称 or a bracket
behind the name in its first sentences) or when the project's word lists know the two as one (慢阻肺, 慢性阻塞性肺疾病). To
join too many documents costs a few test items, to join too few tests on what was trained on; so whatever is called
another name is taken for one. What an entry only mentions (a complication, a form of the disease) is no name of it.

Names are compared in a form in which spellings are one (`lexicon/variants.txt`). An abbreviation of two or three letters
stands for many things, so it joins only documents whose names share three characters as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from wardround.corpus import lexicon as lists
from wardround.corpus.folded import plain
from wardround.corpus.lexicon import Lexicon, lexicon
from wardround.corpus.rules import core_name
from wardround.corpus.template import Value
from wardround.records import Document

FIELDS = (
    "alias", "aliases", "alias_name", "other_name", "other_names", "synonym", "synonyms", "english_name",
    "别名", "又名", "又称", "别称", "俗称", "简称", "英文名", "同义词",
)  # fmt: skip
"""Fields of an entry that hold other names of what it is about."""
_OPENING = 240
_SENTENCES = 3
_LEAST = 2
_SHORT = 3
"""Letters of an abbreviation that says little by itself."""
_LONG_LATIN = 8
"""Letters of a name in another language."""
_TAIL_LEAVES = 3
_VARIANTS = Path(lists.__file__).with_name("variants.txt")
_PARTED = re.compile(r"[、，,;；/|\n]|(?<=[\u3400-\u9fff])或(?=[\u3400-\u9fff])")
_BRACKETS = re.compile(r"[（(]([^（()）]{2,20})[)）]")
_BEHIND = re.compile(r"\s*[（(]([^（()）]{2,120})[)）]")
_CALLED = re.compile(
    r"(?:又|亦|也|或|俗|旧|曾|简|别|通|现|全|原)称(?:之?为|作)?|(?:又|别)名(?:为|叫)?|(?:又|也)叫做?|缩写为?|简写为?"
)
_A_NAME = re.compile(
    r"[：:“\"‘\s]*([A-Za-z0-9\u3400-\u9fff\-－—·]{2,20}?)(?=[，。；、,;：:（()）”\"’\s]|等|[是由系指为即或和与]|$)"
)
_SUBJECT = re.compile(
    rf"([A-Za-z0-9\u3400-\u9fff\-－—·]{{2,16}}?)(?:\s*[（(][^（()）]*[）)])?[，,]?\s*(?:{_CALLED.pattern})"
)
_CALLED_ITSELF = re.compile(
    rf"(?:^\s*|(?:^|[，,；;])\s*(?:(?:因此|因而|所以|故)(?:本病|该病|此病)?|本病|该病|此病)(?:在?临床上)?)(?:{_CALLED.pattern})"
)
"""In a later sentence another thing may be called something, so only what has no other subject counts."""
_NO_NAME = re.compile(
    r"^(?:本病|该病|此病|病毒|综合征|疾病)$|病毒$|病菌$|^(?:一种|一组|常见)|^(?:[又亦也俗旧简别通]称|缩写)"
)
_LATIN = re.compile(r"[A-Za-z][A-Za-z0-9\-\s]+")
_HAN = re.compile(r"[\u3400-\u9fff]+")
_FILLING = re.compile(r"(?<=.)[性质的]|[\s\-－—–·]")
_TAIL = re.compile(r"(?:疾病|[症病])$")


def other_names(document: Document) -> tuple[str, ...]:
    """Names of the document's disease beside its title, as the document or the word lists have them; each once."""
    words = lexicon()
    given = [*_of_title(document.title, words), *_of_fields(document.fields)]
    desc = document.fields.get("desc")
    if isinstance(desc, str):
        given += _of_definition(document.title, desc[:_OPENING])
    names = [n for n in given if len(n) >= _LEAST and not _NO_NAME.search(n)]
    listed = [c for n in (document.title, *names) if (c := words.disease(plain(n)))]
    return tuple(n for n in dict.fromkeys((*names, *listed)) if n != document.title)


def joining(document: Document) -> tuple[str, ...]:
    """What makes the document one with others that have it too: its names, and their forms without spelling."""
    others = other_names(document)
    names = [n for n in others if not _abbreviates(n)]
    own = [n for n in (document.title, *names) if not _LATIN.fullmatch(n)]
    short = [n for n in others if _abbreviates(n)]
    given = set(_of_fields(document.fields)) | set(_of_title(document.title, lexicon()))
    keys = [*names, *(n for n in short if n in given), *map(_one_form, own)]
    keys += [f"{a} {part}" for a in short for n in own for part in _parts(_one_form(n))]
    return tuple(dict.fromkeys(keys))


def _abbreviates(name: str) -> bool:
    return _LATIN.fullmatch(name) is not None and len(name) <= _SHORT


def _one_form(name: str) -> str:
    """A name with one spelling for all: 肺泡蛋白质沉着症 and 肺泡蛋白沉积症 are one."""
    form = plain(name)
    for other, first in _variants():
        form = form.replace(other, first)
    form = _FILLING.sub("", form)
    bare = _TAIL.sub("", form)
    return bare if len(bare) >= _TAIL_LEAVES else form


@cache
def _variants() -> tuple[tuple[str, str], ...]:
    """(spelling, the one it is read as), longest first."""
    lines = _VARIANTS.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line.strip()]
    return tuple(sorted(((o, r[0]) for r in rows for o in r[1:]), key=lambda p: (-len(p[0]), p)))


def _parts(name: str) -> list[str]:
    """Every three characters in a row of a name, what only says that it is a syndrome left out."""
    told = name.replace("综合征", " ")
    return [w[i : i + 3] for w in told.split() for i in range(max(1, len(w) - 2))]


def _of_title(title: str, words: Lexicon) -> Iterator[str]:
    """What stands in a title's brackets when it is a name (COPD, a listed disease), and the name without it."""
    inside = [m.strip() for m in _BRACKETS.findall(title)]
    names = [n for n in inside if _LATIN.fullmatch(n) or words.disease(plain(n))]
    if names:
        yield core_name(title)
        yield from names


def _of_fields(fields: dict[str, str | tuple[str, ...]]) -> Iterator[str]:
    for field in FIELDS:
        value: Value = fields.get(field, ())
        for item in (value,) if isinstance(value, str) else value:
            yield from (n for part in _PARTED.split(item) if (n := part.strip(" 。.“”\"'")))


def _of_definition(title: str, opening: str) -> Iterator[str]:
    """甲病（英文名，缩写X），又称乙病或丙病，是……。因此又称为丁病（英文名）: the names in the first sentences of a text that
    begins with the title."""
    core = core_name(title)
    first, *later = opening.split("。")[:_SENTENCES]
    if not first.startswith(core):
        # 减压病's entry begins 减压症（…），俗称…, and 哮喘's 支气管哮喘（…），简称哮喘.
        subject = _SUBJECT.match(first)
        if subject is None or not (subject[1][:2] == core[:2] or core in first):
            return
        core = subject[1]
        yield core
    yield from _behind(first, len(core))
    for called in _CALLED.finditer(first, len(core)):
        yield from _listed(first, called.end())
    for sentence in later:
        for called in _CALLED_ITSELF.finditer(sentence):
            yield from _listed(sentence, called.end())


def _listed(sentence: str, at: int) -> Iterator[str]:
    """The names from `at` on (乙病、丙病或丁病), each with what stands in a bracket behind it."""
    while (name := _A_NAME.match(sentence, at)) is not None:
        yield name[1]
        at = name.end()
        yield from _behind(sentence, at)
        if (bracket := _BEHIND.match(sentence, at)) is not None:
            at = bracket.end()
        if sentence[at : at + 1] not in ("、", "或", "和"):
            break
        at += 1


def _behind(sentence: str, at: int) -> Iterator[str]:
    """Names in a bracket right behind one: in another language, abbreviated, or another of its own."""
    bracket = _BEHIND.match(sentence, at)
    for part in _PARTED.split(bracket[1]) if bracket else ():
        name = _CALLED.sub("", part).strip(' ：:“”"')
        if _LATIN.fullmatch(name):
            letters = re.sub(r"[^A-Za-z0-9]", "", name)
            if len(letters) >= _LONG_LATIN or name == letters == name.upper():
                yield letters.lower() if len(letters) >= _LONG_LATIN else letters
        elif _HAN.fullmatch(name) and len(name) > _LEAST:
            yield name
