"""A template in one language says what it said when it asked for each text."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment, TemplateNotFound, TemplateSyntaxError

from wardround.web import pages, words
from wardround.web.templates_in import Templates
from wardround.web.words import LANGS, Lang, t

TEXT = """<p title="{{ t('甲 & "乙"', 'A & "B"') }}">{{ t("<b>", "<i>") }}</p>
{% for n in names %}{{ t("第 " ~ loop.index ~ " 步", "Step " ~ loop.index) }} {{ n or t("无", "none") }};{% endfor %}
{% macro m(x) %}{{ t("好", "good") if x else t("坏", "bad") }}{% endmacro %}{{ m(true) }}{{ m(false) }}
{% set t2 = t("设", "set") %}{{ t2 ~ t("一", "one") }}|{{ t("长", "long")|length }}|{{ t(*both) }}|{{ t("一", en="one") }}
"""


def told(env: Environment, name: str) -> str:
    return env.get_template(name).render(names=["x", ""], both=("双", "pair"))


@pytest.mark.parametrize("lang", LANGS)
def test_words_are_put_in_as_they_were_asked_for(tmp_path: Path, lang: Lang) -> None:
    (tmp_path / "a.html").write_text(TEXT, encoding="utf-8")
    asked = Environment(loader=DictLoader({"a.html": TEXT}), autoescape=True)
    put = Environment(loader=Templates(tmp_path, lang), autoescape=True)
    for env in (asked, put):
        env.globals["t"] = t
    before = words.LANG.set(lang)
    try:
        assert told(put, "a.html") == told(asked, "a.html")
    finally:
        words.LANG.reset(before)
    assert ("&lt;b&gt;" if lang == "zh" else "&lt;i&gt;") in told(put, "a.html")


def test_what_is_wrong_with_a_template_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('{{ t("一", "one") }}\n\n{% if %}', encoding="utf-8")
    env = Environment(loader=Templates(tmp_path, "zh"))
    with pytest.raises(TemplateSyntaxError) as told:
        env.get_template("a.html")
    assert told.value.lineno == 3 and told.value.name == "a.html"
    with pytest.raises(TemplateNotFound):
        env.get_template("b.html")


@pytest.mark.parametrize("lang", LANGS)
def test_every_page_can_be_made_in_either_language(lang: Lang) -> None:
    before = words.LANG.set(lang)
    try:
        env = pages.environment()
        names = env.list_templates(extensions=["html"])
        assert len(names) > 20
        for name in names:
            env.get_template(name)
    finally:
        words.LANG.reset(before)
