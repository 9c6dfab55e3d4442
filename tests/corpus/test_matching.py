"""Rules over several fields, for every kind of document."""

import pickle

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround import taxonomy
from wardround.corpus.compose import Limits, Made, of_document
from wardround.corpus.explain import as_data, as_text, explain
from wardround.corpus.recipes import Clause, Recipe, files, load, rule_of
from wardround.errors import UsageError
from wardround.records import Document, Provenance, Sample

ALL = tuple(taxonomy.tasks())
AT = Provenance(file="made.jsonl", sha256="0" * 64, row=3)


def document(
    kind: str,
    name: str = "甲",
    departments: tuple[str, ...] = (),
    /,
    **fields: str | tuple[str, ...],
) -> Document:
    return Document(
        id=f"{kind}-1", kind=kind, title=name, fields=fields, departments=departments,
        specialty="unmapped", provenance=AT,
    )  # fmt: skip


def made(found: Document, **more: object) -> Made:
    return of_document(found, load(), ALL, Limits(), **more)  # type: ignore[arg-type]


def tasks(found: Document) -> dict[str, Sample]:
    return {s.task: s for s in made(found).samples}


def choice(question: str, answer: str, *others: str, explanation: str = "") -> Document:
    options = tuple(f"{k}．{o}" for k, o in zip("ABCDE", (answer, *others), strict=False))
    fields: dict[str, str | tuple[str, ...]] = {
        "question": question, "options": options, "answer": "A", "answer_text": answer,
    }  # fmt: skip
    return document("choice", **fields, **({"explanation": explanation} if explanation else {}))


STEM = "患者，男，52岁。反复上腹痛2年，餐后加重，近日呕咖啡样物。"
WHY = "上腹痛与进食有关，呕咖啡样物提示上消化道出血，应在病情稳定后尽早明确出血部位。"


def test_a_choice_question_with_an_explanation_serves_its_task() -> None:
    found = tasks(
        choice(
            f"{STEM}最可能的诊断是（　）",
            "胃溃疡并出血",
            "胃癌",
            "肝硬化",
            "胆囊炎",
            explanation=WHY,
        )
    )
    assert set(found) == {"initial_diagnosis"}
    assert found["initial_diagnosis"].input.endswith(f"：{STEM}")
    assert found["initial_diagnosis"].output == f"初步诊断：胃溃疡并出血。\n理由：{WHY}"


def test_without_an_explanation_only_what_the_key_says_is_told() -> None:
    found = tasks(choice(f"{STEM}最可能的诊断是", "胃溃疡并出血", "胃癌", "肝硬化", "胆囊炎"))
    assert found["initial_diagnosis"].output == (
        "初步诊断：胃溃疡并出血。\n理由：就现有资料看，胃溃疡并出血较胃癌、肝硬化、胆囊炎更为符合。"
    )
    assert tasks(choice(f"{STEM}首要的治疗措施是", "内镜止血", "手术", "观察", "禁食")) == {}


@pytest.mark.parametrize(
    "question",
    [
        "关于胃溃疡，下列说法错误的是",
        "不属于胃溃疡并发症的是",
        "接上题，该患者首选检查是",
        "如图所示，诊断为",
        f"{STEM}以下哪项不恰当",
    ],
)
def test_a_question_about_its_options_is_not_asked_openly(question: str) -> None:
    assert tasks(choice(question, "甲", "乙", "丙", "丁", explanation=WHY)) == {}


def test_an_explanation_that_needs_the_letters_gives_none() -> None:
    found = choice(
        f"{STEM}首选的检查是", "胃镜", "CT", "钡餐", "超声", explanation=f"{WHY}故本题选A。"
    )
    assert "A" not in tasks(found)["next_examinations"].output


def consultation(
    question: str, answer: str, title: str = "", department: str = "消化科"
) -> Document:
    return document(
        "consultation", title or question[:10], (department,), title=title, questions=(question,), answers=(answer,),
        department=department,
    )  # fmt: skip


COMPLAINT = "我三天前开始肚子疼、拉肚子，一天七八次，还有点恶心发烧，该怎么办？"


def test_a_complaint_with_its_department_is_triage_and_its_reply_no_treatment() -> None:
    found = tasks(
        consultation(COMPLAINT, "您好，考虑急性胃肠炎，口服补液，服用蒙脱石散，祝您健康！望采纳。")
    )
    assert set(found) == {"triage"}
    assert found["triage"].output.startswith("消化科\n分诊理由：患者主诉肚子疼、拉肚子、恶心")


@pytest.mark.parametrize(
    ("question", "department"),
    [
        (COMPLAINT, "普通内科"),
        ("怎么办？", "消化科"),
        ("我右眼红了，怕光流泪，眼屎多，视力下降两天了", "消化科"),
    ],
)
def test_no_triage_without_a_sure_department_or_complaint(question: str, department: str) -> None:
    assert "triage" not in tasks(consultation(question, "请到医院检查。", department=department))


def test_what_the_doctor_asks_back_is_an_inquiry() -> None:
    answer = "您好！请问疼痛是持续的还是阵发的呢？有没有发热、呕吐？最近吃过不洁的食物吗？还有其他问题吗？"
    found = tasks(consultation("肚子疼一天，怎么回事？", answer))
    assert found["inquiry_prompts"].output == (
        "还应向患者询问：\n1. 疼痛是持续的还是阵发的呢？\n2. 有没有发热、呕吐？\n3. 最近吃过不洁的食物吗？"
    )


FULL = (
    "奥美拉唑一般每次20毫克，每日一到两次，早餐前整粒吞服，疗程四到八周。常见不良反应有头痛、腹泻、恶心，"
    "长期服用可能影响钙、镁和维生素B12的吸收。与氯吡格雷合用会降低其作用。"
)


def test_a_general_question_with_a_full_answer_is_knowledge_without_chat() -> None:
    found = tasks(consultation("奥美拉唑的用法和副作用是什么？", f"您好，{FULL}祝您早日康复！"))
    assert found["medication_inquiry"].input.endswith("奥美拉唑的用法和副作用是什么？")
    assert found["medication_inquiry"].output == FULL.replace("您", "患者")


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (f"{FULL}我院专家会诊，点击预约。", "advertises"),
        (f"{FULL}患者直面胃病干扰，不要避忌就诊。", "reworded_by_machine"),
        (
            "每日一次，注意休息，清淡饮食，多喝水，加强锻炼，忌辛辣，药要按时服用，不舒服时到正规医院就诊。",
            "thin_answer",
        ),
        (FULL.replace("奥美拉唑", "该药") + "长期服用者应当定期检查", "off_topic"),
        (f"2.{FULL}", "starts_midway"),
    ],
)
def test_a_bad_reply_is_no_reference(answer: str, rule: str) -> None:
    found = made(consultation("奥美拉唑的用法和副作用是什么？", answer))
    assert found.samples == []
    assert rule in {e.reason for e in found.aside}
    assert found.lacking.broken == {"medication_inquiry": {rule: 1}}


@pytest.mark.parametrize(
    ("heading", "task"),
    [
        ("临床表现", "symptom_inquiry"), ("病因和发病机制", "disease_inquiry"), ("辅助检查", "examination_inquiry"),
        ("药物治疗", "medication_inquiry"), ("鉴别诊断", "differential_diagnosis"), ("治疗", "treatment_plan"),
        ("术前准备", "preoperative_education"), ("手术步骤", "surgical_plan"), ("术后护理", "postoperative_care"),
        ("康复治疗", "rehabilitation_guidance"), ("随访", "follow_up_plan"), ("出院指导", "discharge_instructions"),
        ("问诊要点", "inquiry_prompts"), ("病情分级", "disease_grading"), ("手术适应证", "surgery_necessity"),
        ("并发症", "complication_management"), ("第三节 预后", "disease_inquiry"),
    ],
)  # fmt: skip
def test_a_passage_serves_the_task_of_its_heading(heading: str, task: str) -> None:
    text = "应当逐项落实：其一观察病情变化，其二给予相应处理而不延误，其三定期复查并作记录，与其他情况鉴别。"
    found = tasks(document("passage", headings=("呼吸系统疾病", "甲状腺炎", heading), text=text))
    assert set(found) == {task}
    assert "甲状腺炎" in found[task].input


@pytest.mark.parametrize("heading", ["术前准备", "手术步骤", "术后护理"])
def test_a_disease_is_no_operation(heading: str) -> None:
    text = "应当逐项落实：其一观察病情变化，其二给予相应处理而不延误，其三定期复查并作记录，与其他情况鉴别。"
    for name, told in (
        ("阑尾炎", "诊断：阑尾炎，"), ("阑尾切除术", "手术：阑尾切除术。"), ("肾移植", "手术：肾移植。"), ("战术性气胸", "诊断：战术性气胸，"),
    ):  # fmt: skip
        (sample,) = tasks(
            document("passage", headings=("外科学", name, heading), text=text)
        ).values()
        assert told in sample.input


def test_a_heading_that_says_nothing_gives_nothing() -> None:
    text = "本书由多所院校的教师共同编写，供五年制临床医学专业的学生使用。"
    assert tasks(document("passage", headings=("绪论", "编写说明"), text=text)) == {}


def test_a_record_gives_what_stands_in_it() -> None:
    found = tasks(document(
        "fhir", "肺炎", ("呼吸内科",), description="患者，男，63岁，咳嗽、发热2天。", conditions=("肺炎", "哮喘"),
        medications=("左氧氟沙星 0.5 g 每日1次",), observations=("白细胞 15.2",),
        notes=("主诉：咳嗽2天。现病史：2天前受凉后咳嗽、发热，伴右胸痛。随访计划：1个月后门诊复查胸片与血常规，戒烟，避免受凉。",),
    ))  # fmt: skip
    assert set(found) == {"triage", "case_summary", "medication_advice", "follow_up_plan"}
    assert found["follow_up_plan"].output == "1个月后门诊复查胸片与血常规，戒烟，避免受凉。"
    assert "\n既往史：资料未单独记载。\n" in found["case_summary"].output
    within = document(
        "fhir", "肺炎", description="患者，男，63岁，咳嗽2天。", conditions=("肺炎",),
        notes=("主诉：咳嗽2天。现病史：2天前受凉后咳嗽，既往体健。",),
    )  # fmt: skip
    summary = tasks(within)["case_summary"].output
    assert "现病史：2天前受凉后咳嗽。\n" in summary and "\n既往史：既往体健。\n" in summary
    bare_note = document(
        "fhir", "肺炎", description="患者，男，63岁，住院。", notes=("出院小结，好转。",)
    )
    assert tasks(bare_note) == {}
    english = document(
        "fhir",
        "Asthma",
        description="Male, 63, wheezing.",
        conditions=("Asthma",),
        medications=("x 1 mg",),
    )
    assert tasks(english) == {}


def test_what_a_document_gives_can_be_sent_between_processes() -> None:
    found = consultation(COMPLAINT, "请问发热多少度？吐过几次？吃过什么？")
    once, again = made(found), made(found)
    assert once == again
    assert pickle.loads(pickle.dumps(once)) == once
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(once), type=Made) == once
    assert len(pickle.loads(pickle.dumps(load()))) == len(load())


def test_wordings_are_chosen_by_the_sample_and_off_unless_asked() -> None:
    fixed = made(consultation(COMPLAINT, "好的。")).samples[0]
    other = made(consultation(COMPLAINT, "好的。"), wordings=True).samples[0]
    task = taxonomy.tasks()["triage"]
    assert fixed.input.startswith(task.instruction)
    assert other.input.split("\n")[0] in (task.instruction, *task.wordings)
    assert {taxonomy.instruction(task, str(k)) for k in range(50)} == {
        task.instruction,
        *task.wordings,
    }
    assert all(t.wordings for t in taxonomy.tasks().values())


def test_explaining_tells_each_rule_and_why() -> None:
    found = explain(consultation(COMPLAINT, "望采纳。"), load(), ALL, Limits())
    assert [t.rule for t in found.made] == ["consultation-triage"]
    told = {t.rule: (t.outcome, t.why) for t in found.traces}
    assert told["consultation-inquiry"] == ("missing", "inquiries")
    assert told["consultation-surgery"][0] == "not_matched"
    assert told["consultation-surgery"][1].startswith("question does not match")
    assert len(told) == sum(r.recipe.kind == "consultation" for r in load())
    text = as_text(found)
    assert "made.jsonl, row 3" in text and "分诊理由" in text and "消化内科" in text
    assert msgspec.json.decode(msgspec.json.encode(as_data(found)))["kind"] == "consultation"


def test_explaining_a_case_names_the_broken_rule_and_the_question_nobody_asks() -> None:
    case = document(
        "case", "肺炎", description="主诉：咳嗽2天。\n现病史：2天前受凉后咳嗽。",
        questions=("如何治疗？", "分析本例的护理记录。"), answers=("抗感染。", "略。"),
    )  # fmt: skip
    found = explain(case, load(), ALL, Limits())
    broken = [t for t in found.traces if t.outcome == "broken"]
    assert [(t.rule, t.question) for t in broken] == [("case-treatment-plan", 1)]
    assert broken[0].why.startswith("output_too_short")
    assert found.unmatched == ("q2: 分析本例的护理记录。",)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_gives_whole_samples_or_a_reason(question: str, answer: str) -> None:
    found = made(consultation(question or "问", answer or "答"))
    assert found.samples or found.aside
    assert all(s.output.strip() and s.input.strip() for s in found.samples)


def test_several_fields_must_match_at_once() -> None:
    recipe = Recipe(
        id="x", task="triage", kind="choice", needs=("stem",), input="{stem}", output="甲科\n理由：{stem}这是内容",
        when=(Clause(field="asks", matches="诊断"), Clause(field="stem", matches="腹痛", avoids="儿童")),
    )  # fmt: skip
    rule = rule_of(recipe)
    both = choice(f"{STEM}诊断是", "甲", "乙", "丙", "丁")
    one = choice(f"{STEM}治疗是", "甲", "乙", "丙", "丁")
    assert explain(both, (rule,), ALL, Limits()).traces[0].outcome in ("made", "broken")
    assert explain(one, (rule,), ALL, Limits()).traces[0].outcome == "not_matched"
    with pytest.raises(UsageError, match="needs `matches` or `not`"):
        rule_of(msgspec.structs.replace(recipe, when=(Clause(field="asks"),)))


def test_every_kind_has_a_file_and_every_rule_a_task() -> None:
    kinds = {r.recipe.kind for r in load()}
    assert kinds == {"encyclopedia", "case", "choice", "consultation", "passage", "fhir"}
    assert len(files()) == 5
    assert {r.recipe.task for r in load()} == set(ALL)
