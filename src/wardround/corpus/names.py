"""All names of the disease a document is about, so that one disease under two names stays on one side of the split.

A name counts when the document itself gives it (a field of other names, a bracket behind its title, 又称 in its first
sentence) or when the project's word lists know the two as one (慢阻肺, 慢性阻塞性肺疾病). To join too many documents costs a
few test items, to join too few tests on what was trained on; so whatever is called another name is taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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
_OPENING = 160
_LEAST = 2
_PARTED = re.compile(r"[、，,;；/|\n]|(?<=[\u3400-\u9fff])或(?=[\u3400-\u9fff])")
_BRACKETS = re.compile(r"[（(]([^（()）]{2,20})[)）]")
_CALLED = re.compile(
    r"(?:又|亦|也|或|俗|旧|曾|简|别|通)称(?:之?为|作)?|(?:又|别)名(?:为|叫)?|(?:又|也)叫做?|缩写为?|简写为?"
)
_A_NAME = re.compile(
    r"[：:“\"‘\s]*([A-Za-z0-9\u3400-\u9fff\-－—·]{2,16}?)(?=[，。；、,;：:（()）”\"’\s]|[是由系指为即或和与]|$)"
)
_SUBJECT = re.compile(
    rf"([A-Za-z0-9\u3400-\u9fff\-－—·]{{2,16}}?)(?:[（(][^（()）]*[)）])?[，,]?\s*(?:{_CALLED.pattern})"
)
_NO_NAME = re.compile(r"^(?:本病|该病|此病|病毒|综合征|疾病)$|病毒$|病菌$|^(?:一种|一组|常见)")
_LATIN = re.compile(r"[A-Za-z][A-Za-z0-9\- ]+")


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
    """甲病（英文名，缩写X），又称乙病或丙病，是……: the names in a first sentence that begins with the title."""
    core = core_name(title)
    sentence = opening.split("。")[0]
    if not sentence.startswith(core):
        # 减压病's entry begins 减压症（…），俗称…, and 哮喘's 支气管哮喘（…），简称哮喘.
        subject = _SUBJECT.match(sentence)
        if subject is None or not (subject[1][:2] == core[:2] or core in sentence):
            return
        core = subject[1]
        yield core
    for called in _CALLED.finditer(sentence, len(core)):
        at = called.end()
        while (name := _A_NAME.match(sentence, at)) is not None:
            yield name[1]
            at = name.end()
            if sentence[at : at + 1] not in ("、", "或", "和"):
                break
            at += 1
