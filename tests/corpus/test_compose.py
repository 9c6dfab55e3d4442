from pathlib import Path
from typing import Any

import pytest

from tests.corpus.made import ANSWERS, DESCRIPTION, QUESTIONS, case, entry, read, write
from wardround import taxonomy
from wardround.corpus.compose import Composition, Limits, compose
from wardround.corpus.recipes import load
from wardround.errors import InputError, UsageError
from wardround.records import Document, Sample

ALL = tuple(taxonomy.tasks())
KG_TASKS = {
    "triage", "initial_diagnosis", "next_examinations", "treatment_plan", "disease_inquiry", "symptom_inquiry",
    "examination_inquiry",
}  # fmt: skip
OURS = {
    "inquiry": "inquiry_prompts", "grading": "disease_grading", "differential": "differential_diagnosis",
    "surgery": "surgery_necessity", "preoperative": "preoperative_education", "surgical_plan": "surgical_plan",
    "postoperative": "postoperative_care", "complication": "complication_management", "discharge": "discharge_instructions",
    "follow_up": "follow_up_plan", "rehabilitation": "rehabilitation_guidance", "drug_note": "medication_advice",
}  # fmt: skip


def made(
    tmp_path: Path, *rows: dict, tasks: tuple[str, ...] = ALL, limits: Limits | None = None
) -> Composition:
    documents: list[Document] = []
    for kind in ("description", "name"):
        mine = [r for r in rows if kind in r]
        if mine:
            path = write(tmp_path / f"{kind}.json", mine)
            documents += [d for d in read(path) if isinstance(d, Document)]
    return compose(documents, load(), tasks=tasks, limits=limits or Limits())


def by_recipe(found: Composition) -> dict[str, Sample]:
    return {s.recipe: s for s in found.samples}


def reasons(found: Composition) -> list[tuple[str, str]]:
    return sorted((e.reason, e.what.partition(":")[2]) for e in found.exclusions)


def test_the_encyclopedia_schema_alone_covers_what_it_carries(tmp_path: Path) -> None:
    found = made(tmp_path, entry())
    assert {s.task for s in found.samples} == KG_TASKS
    assert set(found.uncovered) == set(ALL) - KG_TASKS
    assert "drug_note" in found.uncovered["medication_advice"]
    assert "case" in found.uncovered["case_summary"]


def test_each_further_field_opens_its_task(tmp_path: Path) -> None:
    texts = {f: f"{t}的要点一、要点二和要点三，应按病情逐项落实并记录。" for f, t in OURS.items()}
    found = made(tmp_path, entry(**texts))
    assert {s.task for s in found.samples} == KG_TASKS | set(OURS.values()) | {"medication_inquiry"}
    assert by_recipe(found)["treatment-plan-outline"].task == "treatment_plan"
    with_plan = made(
        tmp_path, entry(treatment="先明确病因，再给予药物治疗，必要时手术，并定期复查。")
    )
    assert "treatment-plan-outline" not in by_recipe(with_plan)
    assert "treatment-plan" in by_recipe(with_plan)


def test_samples_of_an_entry_read_as_they_should(tmp_path: Path) -> None:
    found = by_recipe(made(tmp_path, entry()))
    triage = found["triage"]
    assert triage.input == (
        "请根据以下病例描述，先给出患者应就诊的一个科室，再简要说明分诊理由。\n"
        "‹病例描述>：患者主要表现为甲处疼痛、低热、乏力、夜间盗汗。\n好发人群：中年人。"
    )
    assert triage.output == (
        "呼吸内科\n分诊理由：患者以甲处疼痛、低热、乏力等为主要表现，应考虑的疾病包括甲病，尚需与其他疾病鉴别，"
        "属呼吸内科诊治范围。"
    )
    assert (triage.category, triage.phase, triage.specialty) == (
        "Triage",
        "pre_diagnosis",
        "respiratory",
    )
    assert set(triage.source_fields) == {"symptom", "easy_get", "cure_department", "name"}
    outline = found["treatment-plan-outline"].output
    assert outline == ("甲病的治疗包括：\n1. 甲素静脉滴注；\n2. 对症治疗。\n疗程一般为2～3周。")
    assert found["disease-definition"].input == "请回答以下疾病知识问题。\n什么是甲病？"
    assert found["examination-inquiry"].output.endswith("1. 甲超声；\n2. 血常规；\n3. 胸片。")


def test_the_answer_stands_in_no_diagnostic_question(tmp_path: Path) -> None:
    found = made(
        tmp_path, entry("咯血", symptom=["咯血", "大咯血", "杵状指", "胸闷", "乏力", "低热"])
    )
    assert not {"triage", "initial-diagnosis"} & set(by_recipe(found))
    found = made(
        tmp_path, entry("咯血症", symptom=["咯血", "大咯血症", "杵状指", "胸闷", "乏力", "低热"])
    )
    for recipe in ("triage", "initial-diagnosis"):
        assert "咯血症" not in by_recipe(found)[recipe].input
    of_family = by_recipe(made(tmp_path, entry(easy_get="有甲病家族史者")))
    assert "好发人群" not in of_family["triage"].input
    told = DESCRIPTION.replace("咳嗽、发热。", "咳嗽、发热，外院诊断第1号肺炎。")
    assert ("answer_leaked", "case-triage") in reasons(made(tmp_path, case(description=told)))


def test_an_initial_diagnosis_is_made_up_only_when_none_was_asked_for(tmp_path: Path) -> None:
    pairs = case()["QA_pairs"]
    pairs[0]["question"] = "请给出初步诊断及诊断依据。"
    found = made(tmp_path, case(QA_pairs=pairs))
    assert "case-initial-diagnosis" not in by_recipe(found)
    assert by_recipe(found)["case-asked-initial-diagnosis"].output == ANSWERS[0]
    assert found.exclusions == ()


def test_samples_of_a_case(tmp_path: Path) -> None:
    found = made(tmp_path, case())
    samples = by_recipe(found)
    assert set(samples) == {
        "case-triage", "case-summary", "case-initial-diagnosis", "case-definitive-diagnosis",
        "case-differential-diagnosis", "case-treatment-plan",
    }  # fmt: skip
    assert found.exclusions == ()
    assert samples["case-definitive-diagnosis"].output == ANSWERS[0]
    assert samples["case-initial-diagnosis"].output == (
        "初步诊断：右下肺炎。\n理由：\n1. 受凉后咳嗽、发热2天；\n2. 右下肺湿啰音，白细胞升高；\n3. 胸片见右下肺片状影。"
    )
    assert samples["case-treatment-plan"].input.endswith("\n诊断：右下肺炎。")
    summary = samples["case-summary"].output.split("\n")
    heads = ["主诉：", "现病史：", "辅助检查：", "既往史：", "诊断：", "诊疗建议："]
    assert [line[: len(h)] for line, h in zip(summary, heads, strict=False)] == heads
    assert "既往史：体健。" in summary


def test_one_question_may_serve_several_tasks_part_by_part(tmp_path: Path) -> None:
    answer = f"（1）诊断：右下肺炎\n（2）诊断依据：①发热；②湿啰音。\n（3）鉴别诊断：{ANSWERS[1]}"
    pairs = [{"question": "简述诊断及诊断依据，鉴别诊断要点。", "answer": answer}]
    samples = by_recipe(made(tmp_path, case(QA_pairs=pairs)))
    assert (
        samples["case-definitive-diagnosis"].output
        == "诊断：右下肺炎。\n诊断依据：\n①发热；②湿啰音。"
    )
    assert samples["case-differential-diagnosis"].output == ANSWERS[1]
    pairs = [
        {"question": pairs[0]["question"], "answer": "诊断：肺炎。诊断依据：发热、湿啰音和胸片。"}
    ]
    found = made(tmp_path, case(QA_pairs=pairs))
    assert ("answer_part_missing", "q1.case-differential-diagnosis") in reasons(found)


@pytest.mark.parametrize(
    ("question", "tasks"),
    [
        ("该患者最可能的诊断是什么？", {"initial_diagnosis"}),
        ("为明确诊断还需完善哪些检查？", {"next_examinations"}),
        ("请说明病情分级及理由。", {"disease_grading"}),
        ("该病人是否需要手术？", {"surgery_necessity"}),
        ("术前准备有哪些？", {"preoperative_education"}),
        ("请选择手术方式并说明要点。", {"surgical_plan"}),
        ("如何用药？", {"medication_advice"}),
        ("可能有哪些并发症，如何处理？", {"complication_management"}),
        ("术后注意事项有哪些？", {"postoperative_care"}),
        ("请制定康复计划。", {"rehabilitation_guidance"}),
        ("出院时应嘱咐什么？", {"discharge_instructions"}),
        ("如何安排随访？", {"follow_up_plan"}),
        ("还应询问患者哪些内容？", {"inquiry_prompts"}),
        ("第1号肺炎如何预防？", {"disease_inquiry"}),
        ("制定康复计划前还需完善哪些检查？", {"next_examinations"}),
        ("分析本例病人的病史、体格检查和辅助检查。", set()),
    ],
)
def test_questions_find_their_task(tmp_path: Path, question: str, tasks: set[str]) -> None:
    answer = "应当逐条说明，要点有甲、乙、丙三项，并结合本例的具体情况处理，首先考虑感染，其次评估全身情况。"
    found = made(tmp_path, case(QA_pairs=[{"question": question, "answer": answer}]))
    assert {s.task for s in found.samples} - {"triage"} == tasks
    assert (("question_unmatched", "q1") in reasons(found)) is (not tasks)


def test_rules_set_bad_samples_aside(tmp_path: Path) -> None:
    def aside(answer: str, question: str = QUESTIONS[2], **limits: int) -> set[str]:
        pairs = [{"question": question, "answer": answer}]
        rows = [case(QA_pairs=pairs, department=None)]
        found = made(tmp_path, *rows, limits=Limits(**limits))
        return {e.reason for e in found.exclusions}

    assert aside("手术。") == {"output_too_short", "no_sample_kept"}
    assert aside(ANSWERS[2], max_output=30) == {"output_too_long", "no_sample_kept"}
    assert "cites_absent_text" in aside("根据‹书本知识›所述，应当给予抗感染治疗并复查胸片。")
    assert "truncated" in aside("应当给予抗感染治疗，并在四十八小时后评价疗效，")
    assert "talks_about_answering" in aside(
        "此处应了解该病的分型，根据不同类型分别作答即可，不必面面俱到。"
    )
    assert "nothing_beyond_input" in aside("患者，男，50岁，2天前受凉后咳嗽、发热。咳嗽、发热2天。")
    assert "choice_question" in aside(
        "答案是B，应当先行超声检查与穿刺。", "首选检查是\nA. CT\nB. 超声\nC. MRI"
    )
    row = entry(cure_department=["呼吸内科或心内科"])
    assert "triage" not in by_recipe(made(tmp_path, row))


def test_a_document_without_a_sample_says_what_it_lacks(tmp_path: Path) -> None:
    row = {"name": "乙病", "symptom": ["痛"]}
    (aside,) = made(tmp_path, row).exclusions
    assert (aside.reason, aside.row) == ("no_recipe_matched", 1)
    assert "symptom" in aside.detail
    assert "desc" in aside.detail


def test_one_question_has_one_reference(tmp_path: Path) -> None:
    same = {"symptom": ["咳嗽", "发热", "胸痛", "桶状胸"]}
    found = made(tmp_path, entry("甲病", **same), entry("乙病", **same))
    assert [r for r, _ in reasons(found)] == ["duplicate_input"] * 2
    assert len({s.input for s in found.samples}) == len(found.samples)


def test_only_the_tasks_asked_for(tmp_path: Path) -> None:
    found = made(tmp_path, entry(), case(), tasks=("case_summary", "triage"))
    assert {s.task for s in found.samples} == {"case_summary", "triage"}
    assert "诊疗建议" in by_recipe(found)["case-summary"].output


def test_a_mistaken_recipe_is_named_when_loaded(tmp_path: Path) -> None:
    path = tmp_path / "recipes.yaml"
    good = "{id: a, task: triage, kind: case, needs: [text], input: '{text}', output: x}"

    def loading(old: str, new: str) -> None:
        path.write_text(f"recipes: [{good.replace(old, new)}]", encoding="utf-8")
        load(path)

    loading("", "")
    for old, new, message in [
        ("task: triage", "task: nothing", "no task named nothing"),
        ("needs: [text]", "needs: [chief]", "uses text but does not need"),
        ("output: x", "output: x, when: [{field: text, matches: '('}]", "bad pattern"),
    ]:
        with pytest.raises(UsageError, match=f"recipe a.*{message}"):
            loading(old, new)
    with pytest.raises(InputError, match="nonsense"):
        loading("output: x", "output: x, nonsense: 1")


def test_a_bare_list_of_drugs_or_of_kinds_of_treatment_is_no_answer(tmp_path: Path) -> None:
    plain = entry(cure_way=["药物治疗", "手术治疗", "支持性治疗"])
    assert not {"treatment_plan", "medication_inquiry"} & {
        s.task for s in made(tmp_path, plain).samples
    }


def test_a_case_shows_what_can_be_found_in_a_patient(tmp_path: Path) -> None:
    symptoms = ["湿啰音", "啰音", "驻站员", "乙细胞损伤脱落", "乙型肺炎", "低热", "乏力"]
    checks = ["血常规", "触觉", "胸部平片", "体位引流"]
    found = by_recipe(made(tmp_path, entry(symptom=symptoms, check=checks)))
    assert "主要表现为湿啰音、低热、乏力，" in found["next-examinations"].input
    assert found["next-examinations"].output.endswith("1. 血常规；\n2. 胸部平片。")


def test_a_reason_does_not_begin_with_something_else(tmp_path: Path) -> None:
    other = entry(
        "甲中毒", desc="甲是一种银灰色的金属，工业上用途很广，熔点高，质地较硬，常温下很稳定。"
    )
    output = by_recipe(made(tmp_path, other))["initial-diagnosis"].output
    assert "可见于甲中毒。\n确诊" in output
    told = by_recipe(made(tmp_path, entry()))["initial-diagnosis"].output
    assert "可见于甲病。甲病是一种" in told
    assert told.startswith("初步诊断：考虑甲病可能，尚需与表现相似的疾病鉴别。\n")


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"symptom": ["昏迷", "高热", "气促", "桶状胸"]}, "emergency_missed"),
        (
            {
                "cure_department": ["心血管内科"],
                "symptom": ["咽痛", "鼻塞", "流鼻涕", "扁桃体充血"],
            },
            "wrong_department",
        ),
        ({"easy_get": "多见于2岁以内小婴儿"}, "wrong_age_department"),
        ({"cure_department": ["儿科"], "easy_get": "高龄老人"}, "wrong_age_department"),
    ],
)
def test_triage_that_no_doctor_would_sign(
    tmp_path: Path, fields: dict[str, Any], rule: str
) -> None:
    assert (rule, "triage") in reasons(made(tmp_path, entry(**fields)))


def test_sides_and_signs_are_checked(tmp_path: Path) -> None:
    told = DESCRIPTION.replace("右下肺片状影", "右侧肾上腺见结节")
    pairs = case()["QA_pairs"]
    pairs[2]["answer"] = "①切除左侧肾上腺结节，术前控制血压。\n②术后监测血钾与血压，补充激素。"
    found = made(tmp_path, case(description=told, QA_pairs=pairs))
    assert ("side_conflict", "q3.case-treatment-plan") in reasons(found)
    odd = entry(desc="甲病是一种肺部疾病，听诊可闻及湿Up音，多见于中年人，起病较急，病程一到两周。")
    assert ("garbled", "disease-definition") in reasons(made(tmp_path, odd))


def test_one_disease_is_no_differential(tmp_path: Path) -> None:
    pairs = case()["QA_pairs"]
    pairs[1]["answer"] = "①肺结核：起病缓慢，低热盗汗，痰抗酸染色阳性，抗结核治疗有效。"
    found = by_recipe(made(tmp_path, case(QA_pairs=pairs)))
    assert "case-differential-diagnosis" not in found


def test_a_disease_is_no_symptom_of_itself(tmp_path: Path) -> None:
    symptoms = ["呼吸衰竭", "呼吸困难", "紫绀", "心率增快", "无名指指甲凹陷"]
    samples = by_recipe(made(tmp_path, entry("急性呼吸衰竭", symptom=symptoms)))
    assert "呼吸困难、紫绀、心率增快" in samples["symptom-inquiry"].output
    assert not {"有呼吸衰竭", "、呼吸衰竭", "指甲"} & {
        w for s in samples.values() for w in ("有呼吸衰竭", "、呼吸衰竭", "指甲") if w in s.output
    }


def test_a_definition_says_what_it_is(tmp_path: Path) -> None:
    told = "甲病占成人同类疾病的80%，近年来预后显著改善，但病死率居高不下，目前出现了一些新的特点。"
    assert "disease-definition" not in by_recipe(made(tmp_path, entry(desc=told)))
    told = "甲病（jia disease）是由甲菌引起的感染，占成人同类疾病的80%，近年来预后显著改善。"
    assert "disease-definition" in by_recipe(made(tmp_path, entry(desc=told)))


def test_an_item_that_is_a_list_is_set_off(tmp_path: Path) -> None:
    checks = ["血常规", "耳、鼻、咽拭子细菌培养", "间接喉镜检查"]
    samples = by_recipe(made(tmp_path, entry(check=checks)))
    assert "血常规，耳、鼻、咽拭子细菌培养，间接喉镜检查" in samples["initial-diagnosis"].output


def test_two_signs_that_few_diseases_share_are_enough(tmp_path: Path) -> None:
    found = by_recipe(made(tmp_path, entry(symptom=["低热", "桶状胸", "杵状指"])))
    assert {"triage", "initial-diagnosis"} <= set(found)


@pytest.mark.parametrize(
    "symptoms",
    [["低热", "胸痛", "杵状指"], ["夜间盗汗", "乏力", "低热", "咳嗽伴哮鸣音", "肺部啰音"]],
)
def test_no_disease_is_found_from_what_hundreds_share(tmp_path: Path, symptoms: list[str]) -> None:
    found = by_recipe(made(tmp_path, entry(symptom=symptoms)))
    assert not {"triage", "initial-diagnosis"} & set(found)
    assert "next-examinations" in found


def test_an_infant_reports_no_chest_pain(tmp_path: Path) -> None:
    symptoms = ["气促", "胸痛", "吃奶减少", "心悸", "口吐泡沫"]
    for name, crowd in (("新生儿甲病", None), ("甲病", "婴幼儿"), ("小儿甲病", "婴幼儿")):
        found = by_recipe(made(tmp_path, entry(name, symptom=symptoms, easy_get=crowd)))
        assert "气促、吃奶减少、口吐泡沫" in found["next-examinations"].input
    older = by_recipe(made(tmp_path, entry(symptom=symptoms, easy_get="婴幼儿及老年人")))
    assert "胸痛" in older["next-examinations"].input


def test_a_phrase_that_the_source_cut_is_whole_again(tmp_path: Path) -> None:
    ways = ["甲素静脉滴注", "对症", "支持性治疗", "补液，营养", "支持治疗"]
    outline = by_recipe(made(tmp_path, entry(cure_way=ways)))["treatment-plan-outline"].output
    assert "2. 对症、支持性治疗；\n3. 补液，营养支持治疗。" in outline


def summary_of(tmp_path: Path, description: str) -> str:
    return by_recipe(made(tmp_path, case(description=description)))["case-summary"].output


def test_a_past_history_within_the_present_one_is_found(tmp_path: Path) -> None:
    told = DESCRIPTION.replace("（3）既往史\n    体健。\n", "")
    within = told.replace("咳嗽、发热。", "咳嗽、发热，既往体健。否认手术史，近期无外伤史。")
    output = summary_of(tmp_path, within)
    assert "现病史：患者，男，50岁，2天前受凉后咳嗽、发热。近期无外伤史。\n" in output
    assert "\n既往史：既往体健。否认手术史。\n" in output
    assert "\n既往史：资料未单独记载。\n" in summary_of(tmp_path, told)
    # told of, but not to be told apart: then nothing is said of it
    unclear = told.replace("咳嗽、发热。", "咳嗽、发热，因有高血压史近日停药就诊。")
    assert "既往史" not in summary_of(tmp_path, unclear)


def test_a_disease_is_no_complication_of_itself(tmp_path: Path) -> None:
    named = ["肺脓肿", "脓胸", "支气管扩张", "败血症"]
    symptoms = ["咳脓痰", "咯血", "寒战", "高热", "杵状指"]
    samples = by_recipe(
        made(tmp_path, entry("急性肺脓肿", symptom=symptoms, acompany=named))
    ).values()
    told = [s.output for s in samples if "败血症" in s.output]
    assert told
    assert not any("、肺脓肿" in o or "并发肺脓肿" in o for o in told)
