import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics import CHRF

from wardround.metrics.overlap import ngram_f1, ngram_recall, normalise

texts = st.text(alphabet="肺炎高热咳嗽痰血压糖尿病ABCab12，。、 ", max_size=30)


@given(a=texts, b=texts)
def test_laws(a: str, b: str) -> None:
    assert ngram_f1(a, b) == ngram_f1(b, a)
    assert 0.0 <= ngram_f1(a, b) <= 1.0
    assert ngram_f1(a, a) == 1.0


@given(a=texts, b=texts)
def test_agrees_with_sacrebleu_chrf_on_one_order(a: str, b: str) -> None:
    """chrF with only character bigrams and β = 1 is the same F1."""
    x, y = normalise(a), normalise(b)
    if min(len(x), len(y)) < 2:
        return
    chrf = CHRF(char_order=6, word_order=0, beta=1, whitespace=True)
    statistics = chrf._extract_corpus_statistics([x], [[y]])[0]
    hypothesis_, reference, match = statistics[3:6]
    assert ngram_f1(a, b) == pytest.approx(2 * match / (hypothesis_ + reference))


def test_punctuation_and_width_do_not_count() -> None:
    assert ngram_f1("体温３９℃，咳嗽。", "体温39°C 咳嗽") > 0.85
    assert ngram_f1("ＡＢＣ", "abc") == 1.0


def test_empty() -> None:
    assert ngram_f1("", "") == 1.0
    assert ngram_f1("肺炎", "") == 0.0
    assert ngram_f1("炎", "肺炎") == pytest.approx(2 / 3)


def test_recall_is_the_share_of_the_reference_found() -> None:
    assert ngram_recall("先补液，再补钾，然后观察", "补液补钾") == pytest.approx(2 / 3)
    assert ngram_recall("", "补液") == 0.0
    assert ngram_recall("补", "补") == 1.0
    assert ngram_recall("", "！") == 1.0
    assert ngram_recall("补液补液", "补液") == 1.0


@given(st.text(alphabet="，：；？！（）。、a1é\u0301\u3099①℃Ａ１ｱﾞ가ㅎß_İ\u0307 ", max_size=12))
def test_normalised_as_its_definition_says(text: str) -> None:
    plain = unicodedata.normalize("NFKC", text).lower()
    assert normalise(text) == "".join(c for c in plain if c.isalnum())
