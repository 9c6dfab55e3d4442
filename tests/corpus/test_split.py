"""The laws of the split, on many made-up datasets."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.corpus.made import document
from wardround.corpus import split as splitting
from wardround.corpus.keys import dialogue_key, document_key, sample_key
from wardround.corpus.names import other_names
from wardround.corpus.split import IS_DIALOGUE, SHARE, Split, groups_of
from wardround.records import Dialogue, Document, Sample, Turn

TASKS = ("triage", "treatment_plan", "disease_inquiry")


def sample(of: Document, task: str, n: int, output: str = "") -> Sample:
    return Sample(
        category=task, input=f"{of.id} {task} {n}", output=output or f"{of.id} 的答案 {task} {n}",
        id=f"{of.id}:{task}{n}", task=task, phase="", specialty=of.specialty, document=of.id,
        recipe=task, source_fields=(),
    )  # fmt: skip


def dialogue(of: Document, turns: int) -> Dialogue:
    turn = Turn(question="问", reference="答")
    return Dialogue(
        id=of.id, document=of.id, specialty=of.specialty, title=of.title, context="", turns=(turn,) * turns
    )  # fmt: skip


@st.composite
def datasets(draw: st.DrawFn) -> tuple[list[Document], list[Sample], list[Dialogue]]:
    documents, samples, dialogues = [], [], []
    for i in range(draw(st.integers(0, 25))):
        title = draw(st.sampled_from(["", "", "共同的病", "另一种病（急性）"]))
        of = document(
            i, title, specialty=draw(st.sampled_from(["cardiology", "urology", "unmapped"]))
        )
        documents.append(of)
        for task in TASKS:
            samples += [sample(of, task, n) for n in range(draw(st.integers(0, 3)))]
        turns = draw(st.sampled_from([0, 0, 2, 3, 4]))
        if turns:
            dialogues.append(dialogue(of, turns))
    return documents, samples, dialogues


def split(
    documents: Sequence[Document],
    samples: Sequence[Sample],
    dialogues: Sequence[Dialogue],
    **options: Any,
) -> Split:
    return splitting.split(
        [document_key(d) for d in documents],
        [sample_key(s) for s in samples],
        [dialogue_key(d) for d in dialogues],
        **options,
    )


def done(
    data: tuple[list[Document], list[Sample], list[Dialogue]], quota: int, talks: int, seed: int
) -> Split:
    return split(*data, test_per_task=quota, test_dialogues=talks, seed=seed)


@given(data=datasets(), quota=st.integers(0, 6), talks=st.integers(0, 4), seed=st.integers(0, 9))
@settings(max_examples=150, deadline=None)
def test_laws(
    data: tuple[list[Document], list[Sample], list[Dialogue]], quota: int, talks: int, seed: int
) -> None:
    documents, samples, dialogues = data
    found = done(data, quota, talks, seed)
    train = {s.document for s in found.train} | {d.document for d in found.train_dialogues}
    test = {s.document for s in found.test} | {d.document for d in found.test_dialogues}
    assert not train & found.held_out
    assert test <= found.held_out
    titles = {d.id: d.title for d in documents}
    assert not {titles[i] for i in train} & {titles[i] for i in found.held_out}
    assert len(found.held_out) <= SHARE * len(documents)
    assert all(n <= quota for n in Counter(s.task for s in found.test).values())
    assert len(found.test_dialogues) <= talks
    # Nor is more than its share of any one task out of training's reach, and never its only sample.
    there = Counter(s.task for s in samples)
    out = Counter(s.task for s in samples if s.document in found.held_out)
    assert all(out[t] <= max(int(SHARE * n), int(n > 1)) for t, n in there.items())
    assert all(d.turns == 3 for d in found.test_dialogues)
    # Nothing vanishes: every sample and dialogue is on one side or set aside, once.
    places = Counter(s.id for s in (*found.train, *found.test))
    places.update(f"d {d.id}" for d in (*found.train_dialogues, *found.test_dialogues))
    names = {s.id for s in samples}
    places.update(
        f"d {e.what.removesuffix(IS_DIALOGUE)}" if e.what.endswith(IS_DIALOGUE) else e.what
        for e in found.exclusions
    )
    assert places == Counter([*names, *(f"d {d.id}" for d in dialogues)])


@given(data=datasets(), seed=st.integers(0, 9), shuffled=st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_rows_does_not_matter(
    data: tuple[list[Document], list[Sample], list[Dialogue]], seed: int, shuffled: object
) -> None:
    documents, samples, dialogues = data
    one = done(data, 3, 2, seed)
    other = (documents[::-1], samples[::-1], dialogues[::-1])
    shuffled.shuffle(other[0])  # type: ignore[attr-defined]
    assert done(other, 3, 2, seed) == one


def test_quotas_are_reached_when_there_is_enough() -> None:
    documents = [document(i) for i in range(40)]
    samples = [sample(d, t, 0) for d in documents for t in TASKS]
    samples += [sample(d, "rare", 0) for d in documents[:10]]
    found = split(documents, samples, [], test_per_task=5, test_dialogues=0, seed=1)
    per_task = Counter(s.task for s in found.test)
    assert {t: per_task[t] for t in TASKS} == dict.fromkeys(TASKS, 5)
    # Of ten rare ones no more than their share goes, so training keeps the rest.
    assert per_task["rare"] == 4
    other = split(documents, samples, [], test_per_task=5, test_dialogues=0, seed=2)
    assert other.held_out != found.held_out


def test_each_stratum_gives_about_its_share() -> None:
    documents = [
        document(i, specialty=("cardiology", "urology", "neurology")[i % 3]) for i in range(30)
    ]
    found = split(
        documents, [sample(d, "triage", 0) for d in documents], [],
        test_per_task=12, test_dialogues=0, seed=3,
    )  # fmt: skip
    by_specialty = Counter(s.specialty for s in found.test)
    assert set(by_specialty.values()) <= {3, 4, 5}
    assert sum(by_specialty.values()) == 12


def test_one_of_each_document_before_a_second() -> None:
    documents = [document(i) for i in range(10)]
    samples = [sample(d, "disease_inquiry", n) for d in documents for n in range(5)]
    found = split(documents, samples, [], test_per_task=4, test_dialogues=0, seed=0)
    assert len(found.test) == 4
    assert len({s.document for s in found.test}) == len(found.held_out)


def test_groups_by_title_and_by_text() -> None:
    same_text = msgspec.structs.replace(document(3, "丁病"), fields={"desc": "第2号 描述"})
    documents = [
        document(0, "甲病"),
        document(1, "甲 病"),
        document(2, "丙病"),
        same_text,
        document(4),
    ]
    assert groups_of([document_key(d) for d in documents]) == [(0, 1), (2, 3), (4,)]


def test_a_disease_under_other_names_is_one_group() -> None:
    copd = document(0, "慢性阻塞性肺疾病")
    by_list = document(1, "慢阻肺")
    field = msgspec.structs.replace(
        document(2, "矽肺"), fields={"desc": "粉尘病", "alias": "硅肺；硅沉着病"}
    )
    other = document(3, "硅沉着病")
    told = msgspec.structs.replace(
        document(4, "减压病"), fields={"desc": "减压病（DCS），又称潜水夫病或沉箱病，是一种职业病。又称不同。"}
    )  # fmt: skip
    last = document(5, "沉箱病")
    bracket = document(6, "急性呼吸窘迫综合征（ARDS）")
    short = document(7, "ARDS")
    apart = document(8, "肺癌（小细胞型）"), document(9, "肺癌（鳞状型）")
    documents = [copd, by_list, field, other, told, last, bracket, short, *apart]
    groups = groups_of([document_key(d) for d in documents])
    assert groups == [(0, 1), (2, 3), (4, 5), (6, 7), (8,), (9,)]


def told(number: int, title: str, text: str) -> Document:
    return msgspec.structs.replace(document(number, title), fields={"desc": text})


def test_names_that_two_entries_state_themselves_join_them() -> None:
    pairs = [
        # another language, of the name and of its alias
        told(0, "甲状旁腺骨病", "甲状旁腺骨病是骨的病。因此又称为纤维囊性骨炎 (osteitis fibrosa cystica)。"),
        told(1, "囊性纤维骨炎", "囊性纤维骨炎(osteitisfibrosacystica)多见于中年。"),
        # a long abbreviation; a short one with a name alike
        told(2, "成人多囊肾", "成人多囊肾简称ADPKD，可遗传。"),
        told(3, "常染色体显性肾囊肿", "常染色体显性肾囊肿（autosomal dominant，ADPKD）见于成人。"),
        told(4, "肝豆状核变性", "肝豆状核变性（WD）可遗传。"),
        told(5, "进行性肝豆状变性", "进行性肝豆状变性(hepatolenticular disease，WD)少见。"),
        # spelling
        told(6, "皮肤大疱", "皮肤大疱见于烧伤。"),
        told(7, "皮肤大泡", "皮肤大泡多见。"),
        told(8, "变应性结膜炎", "变应性结膜炎常见。"),
        told(9, "过敏性结膜炎", "过敏性结膜炎常见。"),
        # a name of its own in a later sentence
        told(10, "股外侧皮神经炎", "股外侧皮神经炎表现为大腿麻木。本病又称感觉异常性股痛，多见于男性。"),
        told(11, "感觉异常性股痛", "感觉异常性股痛见于肥胖者。"),
    ]  # fmt: skip
    groups = groups_of([document_key(d) for d in pairs])
    assert groups == [(n, n + 1) for n in range(0, 12, 2)]


def test_what_is_only_mentioned_joins_nothing() -> None:
    apart = [
        told(
            0, "慢性支气管病", "慢性支气管病可发展为肺气肿。晚期出现ARDS。常见病原又称肺炎双球菌。"
        ),
        told(1, "吸入性伤", "吸入性伤可致急性肺损伤（ARDS）。烟雾中有毒物，又称毒烟。"),
        told(2, "毒烟", "毒烟是烟。"),
        # One abbreviation of two very different things.
        told(3, "二尖瓣狭窄", "二尖瓣狭窄（MS）是瓣膜病。"),
        told(4, "多发性硬化", "多发性硬化（multiple sclerosis，MS）是神经系统病。"),
        told(5, "干燥综合征", "干燥综合征（SS）累及腺体。"),
        told(6, "血清素综合征", "血清素综合征（SS）由药物引起。"),
        told(7, "肺炎", "肺炎是肺的炎症。"),
        told(8, "吸入性肺炎", "吸入性肺炎是肺炎的一种。"),
    ]
    groups = groups_of([document_key(d) for d in apart])
    assert groups == [(n,) for n in range(9)]


def test_the_only_sample_of_a_task_stays_in_training() -> None:
    documents = [document(i) for i in range(10)]
    samples = [sample(d, "triage", 0) for d in documents]
    for only in documents:
        rare = sample(only, "rare", 0)
        found = split(documents, [*samples, rare], [], test_per_task=4, test_dialogues=0, seed=1)
        assert rare.id in {s.id for s in found.train}
        assert len(found.test) == 4


def test_only_what_a_document_calls_itself_is_its_name() -> None:
    elsewhere = msgspec.structs.replace(
        document(0, "肺炎"), fields={"desc": "本病多见于儿童。休克肺又称成人呼吸窘迫综合征。"}
    )
    virus = msgspec.structs.replace(
        document(1, "禽流感"), fields={"desc": "禽流感，病原又称禽流感病毒。", "alias": "本病"}
    )
    assert other_names(elsewhere) == ()
    assert other_names(virus) == ()


@given(seed=st.integers(0, 30), chained=st.lists(st.integers(0, 11), min_size=12, max_size=12))
@settings(max_examples=60, deadline=None)
def test_no_synonym_straddles(seed: int, chained: list[int]) -> None:
    documents = [
        msgspec.structs.replace(
            document(i, f"第{i}病"), fields={"desc": f"{i}", "alias": (f"第{k}病", f"旧名{k}症")}
        )
        for i, k in enumerate(chained)
    ]
    documents += [document(20 + i, f"旧名{i}症") for i in range(12)]
    samples = [sample(d, t, 0) for d in documents for t in TASKS]
    found = split(documents, samples, [], test_per_task=6, test_dialogues=0, seed=seed)
    sides: dict[str, set[bool]] = {}
    for d in documents:
        for name in (d.title, *other_names(d)):
            sides.setdefault(name, set()).add(d.id in found.held_out)
    assert all(len(side) == 1 for side in sides.values())


def test_a_training_sample_that_equals_a_test_item_is_set_aside() -> None:
    documents = [document(i) for i in range(10)]
    text = (
        "这是一个足够长的参考答案，两份文档里一字不差，因此不能一份训练、一份测试，否则等于泄题。"
    )
    samples = [sample(d, "triage", 0, text) for d in documents]
    found = split(documents, samples, [], test_per_task=2, test_dialogues=0, seed=0)
    assert len(found.test) == 2
    assert found.train == ()
    assert Counter(e.reason for e in found.exclusions) == {"matches_test": 8}
