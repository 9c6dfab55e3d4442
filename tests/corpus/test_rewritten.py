"""The checks on a rewrite: what breaks each rule, and what only looks as if it did."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardround import taxonomy
from wardround.corpus import evidence
from wardround.corpus.rewritten import broken_rule, required
from wardround.corpus.rules import RULES
from wardround.records import Answer, Sample

CASE = "【病例描述】：患者，男，50岁，2天前受凉后咳嗽、发热。"
DRUG = "口服阿莫西林0.5g，每日3次，疗程7天。"
TRIAGE = "呼吸内科。患者咳嗽、发热，以呼吸道症状为主。"
PIECES = [
    "口服阿莫西林0.5g，", "静脉滴注头孢曲松2g，", "每日3次。", "每日三次，", "疗程7天；", "1. 多饮水。\n", "2、", "复查胸片。",
    "甲硝唑0.4g tid，", "500mg\n", "半年后", "维生素B12，", "（3）", "吸入布地奈德，", "6×10⁹/L，", "１０片；",
]  # fmt: skip
PLAN = "抗感染治疗10～14天，同时补液，半年后复查胸片。"


def broken(
    task: str,
    reference: str,
    text: str,
    source: str = "",
    *,
    finish: str = "stop",
    case: str = CASE,
) -> str:
    sample = Sample(
        category="c", input=f"请回答。\n{case}", output=reference, id="d:r", task=task, phase="",
        specialty="unmapped", document="d", recipe="r", source_fields=(),
    )  # fmt: skip
    answer = Answer(status="ok", text=text, finish_reason=finish)
    found = broken_rule(answer, sample, source)
    assert found is None or found.why
    return found.rule if found else ""


@pytest.mark.parametrize(
    ("rule", "task", "reference", "text"),
    [
        ("empty", "treatment_plan", PLAN, "  \n"),
        ("apology_or_refusal", "treatment_plan", PLAN, "很抱歉，我无法给出治疗建议。"),
        ("apology_or_refusal", "treatment_plan", PLAN, "作为人工智能，建议抗感染治疗10～14天。"),
        ("apology_or_refusal", "treatment_plan", PLAN, "无法提供该建议。"),
        ("mentions_passage", "treatment_plan", PLAN, "根据参考资料，应抗感染治疗10～14天并补液。"),
        ("mentions_passage", "treatment_plan", PLAN, "‹书本知识›指出，应抗感染治疗10～14天。书本知识如此。"),
        ("mentions_passage", "treatment_plan", PLAN, "文中提到，应抗感染治疗10～14天并补液。"),
        ("mentions_passage", "treatment_plan", PLAN, "According to the text，应抗感染治疗10～14天并补液。"),
        ("mentions_passage", "treatment_plan", PLAN, "应抗感染治疗10～14天并补液，课本里对此也有描述。"),
        ("mentions_passage", "treatment_plan", PLAN, "文献中提到，应抗感染治疗10～14天并补液。"),
        ("repeats_itself", "treatment_plan", PLAN, f"{PLAN}\n{PLAN}\n{PLAN}\n{PLAN}"),
        ("repeats_itself", "treatment_plan", PLAN, "1. 应抗感染治疗10～14天，同时补液。\n2. 半年后复查胸片。\n3. 应抗感染治疗10～14天，同时补液。"),
        ("number_not_in_source", "treatment_plan", PLAN, "抗感染治疗十至二十一天，同时补液，半年后复查。"),
        ("number_not_in_source", "treatment_plan", PLAN, f"{PLAN[:-1]}，舒张压应低于八十五。"),
        ("number_not_in_source", "medication_advice", DRUG, f"{DRUG[:-1]}，另加服三百毫克。"),
        ("number_not_in_source", "medication_advice", DRUG, "口服阿莫西林0.5g，每日3次，疗程延长四倍。"),
        ("unfinished", "treatment_plan", PLAN, "应抗感染治疗10～14天，同时补液，半年后"),
        ("wrong_language", "treatment_plan", PLAN, "Antibiotics for 10-14 days; fluids; chest film later."),
        ("too_short", "treatment_plan", PLAN, "补液。"),
        ("too_long", "treatment_plan", PLAN, "抗感染治疗，补液。" * 60),
        ("invented_case", "treatment_plan", PLAN, "患者，女，30岁，应抗感染治疗10～14天。"),
        ("invented_case", "treatment_plan", PLAN, "一名65岁男性应抗感染治疗10～14天，并补液。"),
        ("invented_case", "treatment_plan", PLAN, "患者李某，女性，三十岁，应抗感染治疗10～14天。"),
        ("number_not_in_source", "treatment_plan", PLAN, "抗感染治疗10～21天，同时补液，半年后复查。"),
        ("number_not_in_source", "medication_advice", DRUG, "口服阿莫西林0.25g，每日3次，疗程7天。"),
        ("several_departments", "triage", TRIAGE, "呼吸内科或心血管内科。患者咳嗽、发热。"),
        ("department_changed", "triage", TRIAGE, "心血管内科。患者咳嗽、发热，以呼吸道症状为主。"),
        ("department_changed", "triage", TRIAGE, "应尽快就诊，患者咳嗽、发热，以呼吸道症状为主。"),
        ("drug_not_in_source", "medication_advice", DRUG, "口服头孢克肟0.5g，每日3次，疗程7天。"),
        ("drug_not_in_source", "medication_advice", DRUG, f"{DRUG[:-1]}，并联合甲硝唑。"),
        ("dose_changed", "medication_advice", DRUG, "口服阿莫西林0.5mg，每日3次，疗程7天。"),
        ("dose_changed", "medication_advice", DRUG, "口服阿莫西林0.5毫升，每日3次，疗程7天。"),
        ("dose_changed", "medication_advice", DRUG, "口服阿莫西林0.5g，每日7次，疗程3天。"),
        ("dose_changed", "medication_advice", DRUG, "口服阿莫西林0.5g，每周3次，疗程7天。"),
        ("dose_changed", "medication_advice", DRUG, "静脉滴注阿莫西林0.5g，每日3次，疗程7天。"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule(rule: str, task: str, reference: str, text: str) -> None:
    assert broken(task, reference, text) == rule
    assert rule in RULES


def test_a_reply_cut_off_at_the_limit_is_unfinished() -> None:
    assert broken("treatment_plan", PLAN, PLAN, finish="length") == "unfinished"
    assert broken("treatment_plan", PLAN, PLAN) == ""


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (DRUG, "口服阿莫西林500mg，每日三次，疗程7天。"),
        (DRUG, "口服阿莫西林500毫克，一日3次，疗程一周。"),
        (DRUG, "口服阿莫西林0.5克，每天三次，连用7日。"),
        (DRUG, "口服阿莫西林五百毫克，一日三次，疗程七天。"),
        (DRUG, "口服阿莫西林零点五克，一般每日三次，连用一周。"),
        ("卧床6个月，2年后复查，休息14天。", "卧床半年，二十四个月后复查，休息两周。"),
        (DRUG, "阿莫西林每次0.5 g，每8小时一次口服，疗程7天。"),
        (DRUG, "阿莫西林０．５ｇ，ｔｉｄ，口服，共7天。"),
        ("甲硝唑400mg，tid。", "甲硝唑0.4g口服，每日3次。"),
        ("头孢曲松2g静滴，qd。", "头孢曲松2.0g静脉滴注，每日1次。"),
        ("青霉素G 80万U肌注，每日2次。", "青霉素G 80万单位肌内注射，每日两次。"),
        ("胰岛素皮下注射，起始10U。", "胰岛素皮下注射，起始剂量10单位。"),
        ("对乙酰氨基酚0.5g口服。", "口服对乙酰氨基酚（扑热息痛）0.5g。"),
        ("阿司匹林100mg，每日1次口服。", "乙酰水杨酸（阿司匹林）100毫克，每日一次，口服。"),
        ("沙丁胺醇吸入，每次1～2揿。", "沙丁胺醇吸入，每次1至2揿。"),
        ("布洛芬0.2～0.4g口服。", "布洛芬口服，起始0.2g，最多0.4g。"),
        ("布洛芬一日量不超过1.2g，分3次服。", "布洛芬每日3次口服，一日总量≤1.2g。"),
        ("吸氧，流量2L/min。", "吸氧治疗，氧流量2升/分。"),
        ("甘露醇125ml快速静滴，q8h。", "甘露醇125毫升，快速静脉滴注，每8小时1次。"),
    ],
)
def test_the_same_dose_in_other_words(reference: str, text: str) -> None:
    assert broken("medication_advice", reference, text) == ""


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (PLAN, "抗感染治疗，疗程10-14天；同时补液。6个月后复查胸片。"),
        ("卧床休息2周，半小时后复测血压。", "卧床休息两周，30分钟后复测血压。"),
        ("①抗感染。②补液。③对症处理。", "治疗包括：\n1. 抗感染；\n2. 补液；\n3. 对症处理。"),
        ("血压控制在140/90mmHg以下。", "治疗目标为血压低于140/90 mmHg。"),
        ("WBC 15×10⁹/L，予抗感染治疗。", "白细胞15×10^9/L，予抗感染治疗。"),
        ("白细胞15×109/L，予抗感染治疗。", "白细胞15×10⁹/L，予抗感染治疗。"),
        ("监测血氧饱和度，必要时吸氧。", "监测SpO₂，必要时给予吸氧治疗。"),
        ("首选大环内酯类抗生素。", "首选治疗为大环内酯类抗菌药物。"),
        ("维生素C口服，补充钾盐。", "口服维生素C，同时补钾治疗。"),
        ("应抗感染治疗并补液。", "该患者（男，50岁）应抗感染治疗并补液。"),
        ("应抗感染治疗并补液。", "患者为50岁男性，应抗感染治疗并补液。"),
        ("应抗感染治疗，男性50岁以上者复查。", "应抗感染治疗；男性，50岁以上者应复查。"),
        ("影像示右下肺炎，应抗感染治疗。", "影像资料显示右下肺炎，应抗感染治疗。"),
        ("应抗感染治疗，用法见说明书。", "应抗感染治疗，按说明书中提到的用法使用。"),
        ("多饮水。应抗感染治疗并卧床休息。", "多饮水。应抗感染治疗，并卧床休息。多饮水。"),
        ("第一，抗感染；第二，补液。", "第一步抗感染，进一步补液，两者并重，四肢保暖。"),
        ("诊断不明时，应完善检查，暂予补液治疗。", "若暂不能给出诊断，应完善检查，先予补液治疗。"),
    ],
)  # fmt: skip
def test_what_only_looks_like_a_fault(reference: str, text: str) -> None:
    assert broken("treatment_plan", reference, text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "建议就诊于呼吸内科。理由：患者咳嗽、发热，以呼吸道症状为主。",
        "呼吸内科（呼吸与危重症医学科）\n患者咳嗽、发热，以呼吸道症状为主。",
        "首诊科室：呼吸科。患者咳嗽、发热，以呼吸道症状为主。",
        "呼吸科。患者咳嗽、发热，曾在神经内科就诊，现以呼吸道症状为主。",
        "呼吸内科。患者咳嗽、发热；若出现胸痛，再请心内科会诊。",
    ],
)
def test_the_same_department_in_other_words(text: str) -> None:
    assert broken("triage", TRIAGE, text) == ""


PARTS = {
    "triage": ("呼吸内科。咳嗽、发热两天，病在呼吸道。", "", "咳嗽、发热两天，病在呼吸道，应尽快看病。"),
    "case_summary": (
        "主诉：咳嗽2天。现病史：受凉后咳嗽。查体：右下肺湿啰音。诊断：肺炎。",
        "因咳嗽2天就诊。现病史：受凉后起病。体格检查：右下肺湿啰音。考虑肺炎。",
        "主诉：咳嗽2天。查体：右下肺湿啰音。诊断：肺炎。",
    ),
    "inquiry_prompts": ("应询问起病时间、诱因和家族史。", "是否有家族史？起病时间和诱因如何？", "起病时间、诱因和家族史很重要。"),
    "initial_diagnosis": ("初步诊断：右下肺炎。", "右下肺炎。", "患者病在右下肺，应予重视。"),
    "definitive_diagnosis": (
        "诊断：右下肺炎。诊断依据：咳嗽、发热，胸片见片状影。",
        "右下肺炎。支持诊断的要点：咳嗽、发热，胸片见片状影。",
        "诊断为右下肺炎。咳嗽、发热，胸片见片状影。",
    ),
    "differential_diagnosis": ("应与肺结核鉴别：低热盗汗。", "需除外肺结核，其低热盗汗。", "肺结核有低热盗汗，应知晓。"),
    "next_examinations": ("应行胸部CT和痰培养检查。", "完善胸部CT、痰培养。", "应进一步明确，尽快安排。"),
    "disease_grading": ("病情分级：重度。", "属重度，需住院。", "病情需要住院。"),
    "treatment_plan": ("应给予抗感染治疗、补液。", "抗感染、补液。", "病人宜静养观望。"),
    "surgery_necessity": ("需要手术治疗，行阑尾切除。", "宜行阑尾切除。", "病情较急，尽快办理住院。"),
    "preoperative_education": ("术前禁食8小时，签署同意书。", "禁食8小时，并签同意书。", "请放松心情，早些休息8小时。"),
    "surgical_plan": ("拟行阑尾切除术。", "采用阑尾切除。", "拟尽快安排，由主任主持。"),
    "medication_advice": ("口服抗菌药物。", "选用抗菌药，餐后服。", "请多休息喝水。"),
    "complication_management": ("警惕出血等并发症，及时处理。", "注意监测出血。", "安心休养即可痊愈。"),
    "postoperative_care": ("术后观察切口，卧床休息。", "观察伤口渗血，平卧。", "安心休养，保持乐观。"),
    "rehabilitation_guidance": ("逐步进行功能锻炼。", "每日散步等活动，循序渐进。", "保持乐观，定期通电话。"),
    "discharge_instructions": ("出院后按时服药，定期复查。", "按医嘱用药，到期复诊。", "祝一切顺利，保持心情舒畅。"),
    "follow_up_plan": ("每3个月随访复查一次。", "3个月后复诊。", "有事请来电3次。"),
}  # fmt: skip


def test_every_task_with_required_parts_is_tried_here() -> None:
    assert set(PARTS) == set(required())
    assert set(required()) <= set(taxonomy.tasks())


@pytest.mark.parametrize("task", PARTS)
def test_the_parts_a_task_must_answer(task: str) -> None:
    reference, same, lacking = PARTS[task]
    if same:
        assert broken(task, reference, same, case="主诉：咳嗽。") == ""
    # A triage answer without its department is told as such.
    wanted = "department_changed" if task == "triage" else "required_part_missing"
    assert broken(task, reference, lacking, case="主诉：咳嗽。") == wanted
    # What the reference itself lacks is not asked of its rewrite.
    assert broken(task, lacking, lacking, case="主诉：咳嗽。") == ""


def test_the_case_and_the_passage_are_evidence_too() -> None:
    text = "口服阿莫西林0.5g，每日3次，疗程7天；体温超过38.5℃时服布洛芬。"
    assert broken("medication_advice", DRUG, text) == "number_not_in_source"
    known = "体温超过38.5℃时可服布洛芬（芬必得）。"
    assert broken("medication_advice", DRUG, text, known) == ""
    assert broken("medication_advice", DRUG, text, case=f"{CASE}{known}") == ""


def test_doses_as_ends_of_a_range_and_with_their_sign() -> None:
    assert evidence.dose_known("0.2g", {"0.2-0.4g"})
    assert evidence.dose_known("0.2-0.4g", {"0.2g", "0.4g"})
    assert evidence.dose_known("≤1.2g", {"1.2g"})
    assert evidence.dose_known("0.5g/次", {"0.5g"})
    assert not evidence.dose_known("<5g", {">5g"})
    assert not evidence.dose_known("10g/kg", {"10g/d"})
    assert not evidence.dose_known("0.5l", {"0.5g"})
    assert not evidence.dose_known("1e-05g", {"0.01g"})
    assert evidence.dose_known("1e-05g", {"1e-05g/d"})


def test_only_what_is_new_is_read_and_all_of_that() -> None:
    known = evidence.Known(
        "口服阿莫西林0.5g，每日3次。多饮水。", "哮喘用药：\n布地奈德吸入200μg", CASE
    )
    assert known.news("多饮水。口服阿莫西林0.5g，每日3次。") == ""
    assert known.news("多饮水，口服阿莫西林1g，每日3次。") == "口服阿莫西林1g"
    assert known.facts.drugs >= {"阿莫西林", "布地奈德"} and known.facts.routes >= {"口服", "吸入"}
    assert known.numbers >= {"0.5", "3", "200", "50", "2"}
    # A clause kept word for word can't hide one that stands beside it.
    assert (
        broken("medication_advice", DRUG, f"{DRUG[:-1]}，再加甲硝唑口服。") == "drug_not_in_source"
    )


@given(st.lists(st.sampled_from(PIECES), max_size=8), st.lists(st.sampled_from(PIECES), max_size=8))
def test_sparing_what_is_shared_changes_no_verdict(ours: list[str], theirs: list[str]) -> None:
    text, known = "".join(ours), evidence.Known("".join(theirs), "口服布洛芬0.2g", CASE)
    news = known.news(text)
    assert evidence.new_drugs(news, known) == evidence.new_drugs(text, known)
    assert evidence.changed_doses(news, known) == evidence.changed_doses(text, known)
    assert evidence.new_numbers(text, news, known) == evidence.new_numbers(text, text, known)
    assert evidence.swapped_routes(text, news, known) == evidence.swapped_routes(text, text, known)
