"""A part of an item on a page: escaped, named, to be marked where it stands letter for letter."""

from __future__ import annotations

import re

import pytest

from wardround.review.study import Part
from wardround.web import words
from wardround.web.part_words import piece

NASTY = "<script>alert(1)</script> & \"'\n下一行"


def test_text_is_escaped_everywhere() -> None:
    made = str(piece(Part(id='"x', role='"y', text=NASTY, zh="<i>", en="<i>"), True))
    assert "<script" not in made and "<i>" not in made and "&lt;script&gt;" in made
    assert 'data-part="&#34;x"' in made and "\n下一行" in made
    picture = str(piece(Part(id="p", role="picture", text=NASTY, picture='/a"onerror="x')))
    assert picture.count('"') % 2 == 0 and "onerror=&#34;" not in picture.replace(
        "&#34;onerror=&#34;", ""
    )
    assert "<script" not in picture and "data-picture" in picture


def test_what_can_be_marked_stands_letter_for_letter() -> None:
    text = "【question】\n第 3 行 row 3"
    marked = str(piece(Part(id="s1", role="step", text=text), True))
    assert text in marked and 'data-part="s1"' in marked
    shown = str(piece(Part(id="s1", role="step", text=text)))
    assert "data-part" not in shown and "row 3" not in shown
    both = Part(id="s1", role="step", text=text, text_en="in English")
    assert "data-part" not in str(piece(both, True))


@pytest.mark.parametrize(("lang", "name"), [("zh", "题目"), ("en", "Question")])
def test_its_name_is_in_the_page_s_language(lang: words.Lang, name: str) -> None:
    before = words.LANG.set(lang)
    try:
        made = str(piece(Part(id="q", role="question", text="x", zh="题目", en="Question")))
    finally:
        words.LANG.reset(before)
    assert re.findall(r'<p class="label">(.*?)</p>', made) == [name]
    assert "label" not in str(piece(Part(id="q", role="question", text="x")))
