"""Codes of the build as people read them: kinds of identifiers and facts, rules, and what reasons mean."""

from __future__ import annotations

from collections.abc import Mapping

from wardround.report.formats import Names

PRIVACY: Mapping[str, Names] = {
    "resident_id": Names("身份证号", "resident ID"),
    "mobile": Names("手机号", "mobile number"),
    "landline": Names("固定电话", "landline"),
    "name": Names("姓名", "name"),
    "address": Names("住址", "address"),
    "hospital": Names("医院名称", "hospital"),
    "ward_bed": Names("病区与床号", "ward and bed"),
    "record_number": Names("病历号与检查号", "record number"),
    "email": Names("电子邮箱", "e-mail"),
    "account": Names("社交账号", "account"),
    "card": Names("银行卡与社保卡号", "card number"),
    "plate": Names("车牌号", "number plate"),
    "workplace": Names("工作单位", "workplace"),
    "date": Names("确切日期", "exact date"),
}
FACTS: Mapping[str, Names] = {
    "drug": Names("药物", "drug"),
    "dose": Names("剂量", "dose"),
    "disease": Names("疾病", "disease"),
    "frequency": Names("频次", "frequency"),
    "route": Names("给药途径", "route"),
    "side": Names("侧别", "side"),
    "sex": Names("性别", "sex"),
    "number": Names("数字", "number"),
    "negation": Names("否定", "negation"),
    "term": Names("术语", "term"),
    "wording": Names("用词", "wording"),
}
RULES: Mapping[str, Names] = {
    "options": Names("选项组相同", "same set of options"),
    "coverage": Names("题干与选项大部分出现", "question and options mostly covered"),
    "near_duplicate": Names("与测试题近似重复", "near-duplicate of an item"),
    "rare_ngrams": Names("含有罕见的相同片段", "rare runs of words in common"),
    "reference": Names("与参考答案重合", "overlap with the reference"),
}
REASONS: Mapping[str, Names] = {
    "undecodable": Names("编码无法识别", "not decodable"),
    "unreadable_file": Names("文件无法读取", "file cannot be read"),
    "no_text": Names("没有可提取的文字", "no text in it"),
    "no_case": Names("没有病例内容", "no case in it"),
    "no_answer": Names("没有答案", "no answer"),
    "answer_not_offered": Names("答案不在选项中", "the answer is none of the options"),
    "turn_incomplete": Names("对话轮次不完整", "a turn is incomplete"),
    "resources_not_read": Names("未读取的资源类型", "resources of kinds not read"),
    "near_duplicate": Names("近似重复", "near-duplicate"),
    "held_out": Names("与外部测试集重合", "overlaps with a held-out set"),
    "held_out_review": Names("疑与外部测试集重合，待核对", "may overlap with a held-out set, to review"),
    "over_cap": Names("超过任务或专科的上限", "over the cap of its task or specialty"),
    "drug_not_in_source": Names("出现了原文没有的药物", "a drug the source does not have"),
    "dose_changed": Names("剂量或单位被改动", "a dose or unit was changed"),
    "invented_case": Names("编造了病例", "an invented case"),
    "department_changed": Names("分诊科室被改动", "the department was changed"),
    "required_part_missing": Names("缺少该任务必需的部分", "a part the task needs is missing"),
    "wrong_language": Names("语言不对", "wrong language"),
    "length": Names("长度不合适", "length out of bounds"),
    "not_refined": Names("改写两次均不合格，按要求移出", "rewrites broke a rule, taken out as asked"),
    "reworded_by_machine": Names("词语被机器替换过，语义不可靠", "reworded by a machine"),
    "speaks_to_patient": Names("仍是对患者说话或寒暄", "speaks to the patient"),
    "thin_answer": Names("除就医、休息等套话外内容太少", "little besides general advice"),
    "unpunctuated": Names("长句没有标点，不可读", "long runs without punctuation"),
    "list_restarts": Names("分条序号中途重来，小标题缺失", "a list begins again, its heading lost"),
    "basis_not_told": Names("依据中有病例没有的症状", "a basis that the case does not hold"),
    "contradicts_case": Names("所述与病例不符", "says otherwise than the case"),
    "unsure_diagnosis": Names("确诊的答案仍是疑诊", "a definitive diagnosis with a question mark"),
    "no_distinction": Names("鉴别诊断没有鉴别要点", "a differential that tells nothing apart"),
    "starts_midway": Names("分条序号不从第一条开始", "numbered points begin midway"),
    "off_topic": Names("没有回答所问的内容", "does not answer what was asked"),
    "advertises": Names("为医院或产品做宣传", "advertises"),
    "emergency_missed": Names("有急诊指征，却分诊到普通门诊科室", "an emergency sent to an ordinary clinic"),
    "wrong_age_department": Names("患儿被分到成人内科，或成人被分到儿科", "department for another age"),
    "wrong_department": Names("科室与患者所述症状不符", "department that does not see such complaints"),
    "garbled": Names("文字有乱码或识别错误", "garbled characters"),
    "side_conflict": Names("左右侧与题目不一致", "left and right differ from the case"),
}  # fmt: skip
KINDS: Mapping[str, Names] = {
    "encyclopedia": Names("疾病百科", "encyclopedia"),
    "case": Names("病例问答", "case"),
    "choice": Names("选择题", "choice"),
    "consultation": Names("问诊对话", "consultation"),
    "passage": Names("教材章节", "passage"),
    "fhir": Names("电子病历", "fhir"),
}
REFINED: Mapping[str, Names] = {
    "model": Names("模型", "model"),
    "asked": Names("请求", "asked"),
    "kept": Names("采用", "kept"),
    "retried": Names("重试", "retried"),
    "fell_back": Names("退回原文", "fell back"),
    "dropped": Names("移出", "dropped"),
    "failed": Names("失败", "failed"),
}
LENGTHS: Mapping[str, Names] = {
    "input": Names("输入", "input"),
    "output": Names("参考答案", "reference answer"),
}


def of(names: Mapping[str, Names], code: str) -> Names:
    """A code's names, or the code itself."""
    return names.get(code, Names(code))
