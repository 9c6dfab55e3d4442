"""Templates are compiled once for each language; nobody should notice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wardround.web import pages, words

NAMES = sorted(str(p.relative_to(pages.TEMPLATES)) for p in pages.TEMPLATES.rglob("*.html"))


@pytest.fixture(params=words.LANGS)
def lang(request: pytest.FixtureRequest) -> Iterator[words.Lang]:
    before = words.LANG.set(request.param)
    yield request.param
    words.LANG.reset(before)


def test_the_other_language_s_words_are_not_in_a_template(lang: words.Lang) -> None:
    env = pages.environment()
    assert env.loader
    source = env.loader.get_source(env, "review/_desk.html")[0]
    code = env.compile(source, "review/_desk.html", None, True)
    mine, other = ("提交并看下一条", "Hand in, next item")[:: 1 if lang == "zh" else -1]
    assert mine in source
    assert other in source
    assert mine in code
    assert other not in code


@pytest.mark.parametrize(
    ("template", "zh", "en"),
    [
        ("{{ t('是', 'yes') }}", "是", "yes"),
        ("{{ t('甲 < 乙', 'a & b') }}", "甲 &lt; 乙", "a &amp; b"),
        ("{{ 'x' if no else t('是', 'yes') }}", "是", "yes"),
        ("{{ t(one, other) }}", "一", "one"),
        ("{{ t('第 ' ~ n ~ ' 步', 'step ' ~ n) }}", "第 3 步", "step 3"),
        ("{{ t('是', other) }}", "是", "one"),
        ("{% set t2 = t('是', 'yes') %}{{ t2 ~ t(t('一', 'one'), 'two') }}", "是一", "yestwo"),
        ("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(t('是', 'yes')) }}", "是", "yes"),
    ],
)
def test_a_text_is_that_of_the_language(lang: words.Lang, template: str, zh: str, en: str) -> None:
    made = pages.environment().from_string(template)
    assert made.render(one="一", other="one", no=False, n=3) == (zh if lang == "zh" else en)


@pytest.mark.parametrize("name", NAMES)
def test_every_template_compiles(lang: words.Lang, name: str) -> None:
    assert pages.environment().get_template(name).name == name
