"""The one form that texts are compared in."""

from hypothesis import given
from hypothesis import strategies as st

from wardround.corpus.folded import fold, fold_codes, plain, simplified, simplified_letters


def test_format_is_folded_away() -> None:
    wide = "患者，服用「阿莫西林」０．５ｇ，每日３～４次。"
    traditional = "患者服用阿莫西林0.5g 每日3-4次"
    assert fold(wide) == fold(traditional)
    assert fold("發熱、頭暈") == fold("发热头晕")
    assert plain("體溫38℃") == "体温38°c"


def test_what_bears_meaning_stays() -> None:
    for a, b in (
        ("0.5g", "05g"), ("3-5天", "35天"), ("120/80", "12080"), (".5g", "5g"), (">5", "<5"),
        ("5%", "5"), ("1:2", "12"),
    ):  # fmt: skip
        assert fold(a) != fold(b)
    assert fold("休息。2天") == fold("休息. 2天")


def test_traditional_script_becomes_simplified_and_no_other_text_changes() -> None:
    assert simplified("隨後發現皮膚乾燥，乾隆年間。") == "随后发现皮肤干燥，乾隆年间。"
    assert simplified_letters("隨後於門診發現") == "随后于门诊发现"
    for same in ("显著改善，乾隆年间，於潜白术", "0.5g tid", ""):
        assert simplified(same) == simplified_letters(same) == same


@given(st.text(alphabet="患者於發熱後裡臺灣0a，。①㎎\U00020000", max_size=40))
def test_places_in_simplified_letters_are_places_in_the_text(text: str) -> None:
    assert len(simplified_letters(text)) == len(text)


def test_texts_without_letters_fold_to_nothing() -> None:
    assert fold("") == fold("。！  \n") == ""


@given(st.lists(st.text(max_size=40), max_size=8))
def test_many_at_once_are_as_one_by_one(texts: list[str]) -> None:
    codes, starts = fold_codes(texts)
    assert len(starts) == len(texts) + 1
    for i, text in enumerate(texts):
        alone, _ = fold_codes([text])
        assert codes[starts[i] : starts[i + 1]].tolist() == alone.tolist()


@given(st.text(alphabet="患者发热咳嗽０123。，,%㎎℃Ⅳ對發", max_size=40))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
