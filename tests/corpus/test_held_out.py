"""Held-out items found in training text, in every form a test set comes in; clean text left alone."""

import json
import pickle
from pathlib import Path

import pytest

from wardround.corpus.held_items import Item, read_items
from wardround.corpus.held_out import RULES, HeldOut, contamination, load, of_items
from wardround.errors import InputError, UsageError

STEM = "62岁男性，突发胸骨后压榨样疼痛两小时，伴大汗淋漓，既往有高血压病史十年，心电图示下壁导联ST段抬高，首先应采取的措施是"
OPTIONS = (
    "立即行急诊冠状动脉介入治疗",
    "口服抗生素并观察三天",
    "安排下周门诊运动平板试验",
    "给予质子泵抑制剂诊断性治疗",
    "仅嘱患者卧床休息",
)
CHOICE = Item(id="c1", file="choice.jsonl", row=1, question=STEM, options=OPTIONS)
CASE = "患儿女，3岁，发热伴犬吠样咳嗽两天，夜间加重，哭闹时可闻及吸气性喉鸣，口唇无发绀，咽部充血，双肺可闻及喉传导音。请给出诊断与处理。"
SINGLE = Item(
    id="s1", file="single.jsonl", row=1, question=CASE,
    reference="诊断为急性感染性喉炎，可予雾化吸入布地奈德，必要时口服地塞米松，密切观察呼吸困难程度，若出现三凹征、烦躁或血氧饱和度下降，应立即准备气管插管或气管切开。",
)  # fmt: skip
CLEAN = [
    "下周要出差，请问高血压患者坐飞机要注意什么，平时吃的降压药需要带多少天的量，飞行途中头晕怎么办，谢谢医生。",
    "慢性胃炎病人饮食上宜少量多餐，避免辛辣刺激食物，戒烟限酒，规律作息，必要时复查胃镜并根除幽门螺杆菌。",
    "口服抗生素要遵医嘱，不要自行停用。",
]


@pytest.fixture(scope="module")
def held() -> HeldOut:
    made: HeldOut = pickle.loads(pickle.dumps(of_items([CHOICE, SINGLE])))
    return made


def test_choice_questions_in_any_order_of_options(held: HeldOut) -> None:
    texts = [
        STEM + "\n" + "\n".join(OPTIONS),
        CLEAN[0] + " ".join(OPTIONS[::-1]),
        STEM[:40] + "；".join(OPTIONS[1:]),
    ]
    for hit in held.check(texts):
        assert hit is not None and (hit.item, hit.action) == ("c1", "drop")
        assert hit.rule in ("options", "coverage")


def test_single_turns_edited_and_references(held: HeldOut) -> None:
    edited = CASE.replace("夜间", "晚上").replace("哭闹", "哭泣")
    question, reference = held.check([CLEAN[1] + edited, CLEAN[0] + SINGLE.reference])
    assert question is not None and (question.rule, question.action) == ("near_duplicate", "drop")
    assert reference is not None and (reference.rule, reference.action) == ("reference", "drop")


def test_a_smaller_part_is_for_review(held: HeldOut) -> None:
    (hit,) = held.check([CLEAN[1] + CASE[:26]])
    assert hit is not None and (hit.rule, hit.action) == ("rare_ngrams", "review")


def test_clean_text_is_left_alone(held: HeldOut) -> None:
    assert held.check(CLEAN) == [None, None, None]
    assert held.check([]) == []
    assert of_items([]).check(CLEAN) == [None, None, None]


def test_what_many_items_share_is_no_evidence() -> None:
    prefix = "请根据以下病例描述，给出患者应就诊的科室，并简要说明分诊理由，只给出一个科室。病例描述如下："
    items = [
        Item(id=f"t{i}", file="t", row=i, question=prefix + CASE[i : i + 30]) for i in range(20)
    ]
    assert of_items(items).check([prefix + CLEAN[0]]) == [None]


def test_a_short_question_is_dropped_alone_and_reviewed_within() -> None:
    held = of_items([Item(id="q", file="f", row=1, question="肺结核会传染吗？")])
    alone, within = held.check(["肺结核会传染吗", "肺结核会传染吗？" + CLEAN[1]])
    assert alone is not None and alone.action == "drop"
    assert within is not None and within.action == "review"


def asking(*questions: str) -> HeldOut:
    return of_items(
        Item(id=f"q{i}", file="f", row=i, question=q) for i, q in enumerate(questions, start=1)
    )


@pytest.mark.parametrize(
    "text",
    [
        "什么是痛风？\n痛风是嘌呤代谢紊乱所致的疾病。",
        "什麼是痛風\n痛风是嘌呤代谢紊乱所致的疾病。",
        "问题：什么是痛风？\n是一种关节病。",
        "患者接着说：什么是痛风？\n请给出答复要点。\n是一种关节病。",
        "什么是痛风",
    ],
)
def test_the_same_question_is_found_however_short(text: str) -> None:
    (hit,) = asking("什么是痛风？").check([text])
    assert hit is not None and (hit.rule, hit.action) == ("near_duplicate", "drop")


@pytest.mark.parametrize(
    "text",
    [
        "什么是痛风石？\n痛风石是尿酸盐结晶。",
        "什么是痛风的诱因？\n饮酒和海鲜。",
        "儿童会得痛风吗？\n会。家长常问什么是痛风，这里先说定义。",
        "体检发现尿酸高。\n问题：什么是痛风？\n是一种关节病。",
    ],
)
def test_another_question_with_the_same_words_is_not(text: str) -> None:
    assert asking("什么是痛风？").check([text]) == [None]


def test_a_longer_name_asks_another_question() -> None:
    held = asking("胃炎有哪些常见的症状和体征？")
    other, own = held.check(
        [
            "慢性胃炎有哪些常见的症状和体征？\n上腹痛。",
            "请问胃炎有哪些常见的症状和体征？" + CLEAN[0],
        ]
    )
    assert other is None
    assert own is not None and own.action == "review"


def test_questions_of_one_pattern_are_told_by_their_whole() -> None:
    names = [f"{c}状体增生症" for c in "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉"]
    asks = "是否有传染性？哪些人群容易患病，平时应当注意什么？"
    held = asking(*(f"{n}{asks}" for n in names))
    same, other = held.check([f"{names[3]}{asks}\n无传染性。", f"亥状体增生症{asks}\n无传染性。"])
    assert same is not None and (same.item, same.action) == ("q4", "drop")
    assert other is None


def test_the_questions_of_a_held_out_case(tmp_path: Path) -> None:
    answer = (
        "应先补足血容量，再查明出血部位，必要时在抗休克的同时急诊手术止血，术后密切观察引流液。"
    )
    path = tmp_path / "clin.json"
    row = {
        "id": "1", "title": "案例分析-脾破裂", "description": CASE,
        "QA_pairs": [
            {"question": "脾破裂怎样分级？", "answer": "分四级。"},
            {"question": "该病人如何治疗？", "answer": answer},
            {"question": "如何处理？", "answer": "手术。"},
        ],
    }  # fmt: skip
    path.write_text(json.dumps([row], ensure_ascii=False), encoding="utf-8")
    held = load([path])
    by_itself, with_answer, behind_a_case = held.check(
        [
            "脾破裂怎样分级？\n另一种说法。",
            f"该病人如何治疗？\n{answer}",
            f"男，20岁，车祸伤。\n\n该病人如何治疗？\n{answer}",
        ]
    )
    assert by_itself is not None and with_answer is not None and behind_a_case is not None
    # Asked of another case, the same words are another question.
    asked_of_others = ["该病人如何治疗？\n抗感染，退热，补液。", "男，8岁。\n如何处理？\n手术。"]
    assert held.check(asked_of_others) == [None, None]


def test_the_pairs_of_other_dialogues(tmp_path: Path) -> None:
    path = tmp_path / "chat.jsonl"
    reply = "先做血常规和胸部影像学检查，体温超过三十八度五可以服用退热药，两天不退要复诊。"
    turns = ["孩子咳嗽三天了。", "你好", "那要做什么？", reply]
    roles = ("user", "assistant", "user", "assistant")
    messages = [{"role": r, "content": c} for r, c in zip(roles, turns, strict=True)]
    path.write_text(json.dumps({"messages": messages}, ensure_ascii=False), encoding="utf-8")
    same, other = load([path]).check([f"那要做什么？\n{reply}", "那要做什么？\n多喝水。"])
    assert same is not None and other is None


def test_a_choice_question_asked_without_its_options(tmp_path: Path) -> None:
    path = tmp_path / "choice.jsonl"
    rows = [
        {"question": "痛风最常见的原因是（　）", "options": {"A": "嘌呤代谢", "B": "外伤", "C": "感染"}},
        {"question": "下列说法错误的是", "options": {"A": "甲", "B": "乙", "C": "丙"}},
    ]  # fmt: skip
    path.write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8")
    found = load([path]).check(["痛风最常见的原因是什么？\n嘌呤代谢紊乱。", "下列说法错误的是\n略"])
    assert found[0] is not None and found[1] is None


def test_rows_that_cannot_be_read_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = tmp_path / "half.jsonl"
    lines.write_text(
        '{"question": "什么是痛风？"}\nnot json\n{"inp": "什么是哮喘？"}\n7\n', encoding="utf-8"
    )
    table = tmp_path / "half.csv"
    table.write_text("question,answer\n什么是胃炎？,A\n,B\n", encoding="utf-8")
    nested = tmp_path / "half.json"
    nested.write_text('{"知识": [{"problem": "什么是贫血？"}, "x"]}', encoding="utf-8")
    held = load([lines, table, nested])
    assert len(held.items) == 3
    assert [(u.file, u.row) for u in held.unread] == [
        ("half.jsonl", 2), ("half.jsonl", 3), ("half.jsonl", 4), ("half.csv", 2), ("half.json", 2),
    ]  # fmt: skip
    assert "no question; the fields are inp" in held.unread[1].reason
    report = contamination(held, [])
    assert [u["row"] for u in report["unread"]] == [2, 3, 4, 2, 2]
    said = capsys.readouterr().err
    assert "5 rows could not be read" in said and "half.csv, row 2: no question" in said


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("own.jsonl", json.dumps({"id": "1", "question": STEM, "options": dict(zip("ABCDE", OPTIONS, strict=True)), "answer": "A"})),
        ("cmb.json", json.dumps([{"question": STEM, "option": dict(zip("ABCDE", OPTIONS, strict=True)), "answer": "A", "exam_type": "x"}])),
        ("ethic.csv", "\ufeffuuid,task_type,question,options,answer\n1,x," + STEM + ',"' + str([f"{a}.{o}" for a, o in zip("ABCDE", OPTIONS, strict=True)]) + '",A\n'),
        ("cmexam.csv", "Question,Options,Answer\n" + STEM + ',"' + "\n".join(f"{a} {o}" for a, o in zip("ABCDE", OPTIONS, strict=True)) + '",A\n'),
        ("medbench.jsonl", json.dumps({"question": STEM + "\n" + "\n".join(f"({a}) {o}" for a, o in zip("ABCDE", OPTIONS, strict=True)), "answer": "<A>", "other": {"id": 1, "source": "x"}})),
        ("medqa.jsonl", json.dumps({"question": STEM, "options": [{"key": a, "value": o} for a, o in zip("ABCDE", OPTIONS, strict=True)], "answer_idx": "A"})),
    ],
)  # fmt: skip
def test_choice_files(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    (item,) = read_items(path)
    assert item.options == OPTIONS and item.question.startswith(STEM)
    (hit,) = load([path]).check([" ".join(OPTIONS[::-1]) + STEM])
    assert hit is not None and (hit.file, hit.action) == (name, "drop")


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("a.jsonl", {"category": "x", "input": CASE, "output": SINGLE.reference, "id": "1"}),
        ("b.jsonl", {"id": "1", "turn_1_question": CASE, "turn_2_question": "为什么？", "reference": "略"}),
        ("c.json", [{"id": 1, "description": CASE, "QA_pairs": [{"question": "诊断？", "answer": "略"}]}]),
        ("d.json", {"知识": [{"problem": CASE, "sanswer": "略", "groupCode": 3, "round": 1}]}),
        ("e.jsonl", {"messages": [{"role": "user", "content": CASE}], "rubric": []}),
        ("f.json", [{"instruction": "那怎么办？", "output": "略", "history": [[CASE, "略"]]}]),
    ],
)  # fmt: skip
def test_other_files(tmp_path: Path, name: str, row: object) -> None:
    path = tmp_path / name
    path.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
    (hit,) = load([path]).check(["请看：" + CASE.replace("，", ",")])
    assert hit is not None and (hit.rule, hit.action) == ("near_duplicate", "drop")


def test_files_that_hold_nothing_to_look_for(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"name": "a"}\n', encoding="utf-8")
    with pytest.raises(InputError, match="no row has a question; the fields are name"):
        load([path])
    with pytest.raises(UsageError, match="no such file"):
        load([tmp_path / "none.jsonl"])
    with pytest.raises(UsageError, match=r"doctorflan_test\.jsonl"):
        load([tmp_path])


def test_the_report_counts_by_set_and_rule(held: HeldOut) -> None:
    hits = [h for h in held.check([STEM + "\n".join(OPTIONS), CASE, CLEAN[0]]) if h]
    report = contamination(held, hits, own_test=4)
    assert report["sets"] == [
        {"file": "choice.jsonl", "items": 1, "dropped": 1, "review": 0},
        {"file": "single.jsonl", "items": 1, "dropped": 1, "review": 0},
    ]
    assert list(report["rules"]) == list(RULES) and sum(report["rules"].values()) == 2
    assert report["own_test"] == 4 and report["unread"] == []
