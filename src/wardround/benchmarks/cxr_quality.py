"""cxr_quality: which of 11 quality faults a chest X-ray has, or none.

Several labels, 无问题 for a clean picture. Precision, recall and F1 for each fault, macro and micro, and on the clean
pictures the false-alarm rate: a checker that finds fault with everything finds every fault. No judge is asked. Data: rows
of our own, MedBench's JSONL with its pictures, or an `images` artifact (`wardround images faults` makes one of known
truth).
"""

from __future__ import annotations

from collections.abc import Sequence

from wardround import taxonomy
from wardround.benchmarks.header_tables import with_headers
from wardround.benchmarks.image_bench import NoImage, Pictured
from wardround.benchmarks.image_cases import Sent, named
from wardround.benchmarks.judge import Language
from wardround.benchmarks.record import RunRecord, Table
from wardround.images.labels import CLEAN_EN, CLEAN_ZH, LISTS

PROMPT = {
    "zh": (
        "这是一张后前位胸部X线片。请只从影像质量控制的角度，判断它存在下列哪些问题，可以有一个或多个，也可以没有。\n\n"
        "候选问题：\n{options}\n无问题：以上均无\n\n"
        "请先用不超过三句话说明依据，再在最后一行写“答案：”，后接所选问题的名称，多个以逗号分隔；没有问题时写“答案：无问题”。"
    ),
    "en": (
        "This is a posterior-anterior chest X-ray. From the point of view of image quality alone: which of the following "
        "faults does it have? There may be one, several or none.\n\nCandidates:\n{options}\nNo fault: none of the above\n\n"
        'First say in at most three sentences why, then write on the last line "Answer:" followed by the names you choose, '
        'separated by commas, or "Answer: no fault".'
    ),
}


class CxrQuality(Pictured):
    """Quality faults of chest X-rays."""

    name = "cxr_quality"
    zh = "胸片质量控制"
    en = "Chest X-ray quality"
    file = "cxr_quality.jsonl"
    modalities = ("cxr",)

    @property
    def prompt(self) -> dict[str, str]:
        """The one prompt."""
        return {"question": PROMPT[self.language]}

    def asked(self, sent: Sent) -> list[tuple[str, str]]:
        """The question, faults in the list's order with their definitions, and the true faults."""
        zh = self.language == "zh"
        listed = [f"{i.zh}：{i.definition}" if zh else i.en for i in taxonomy.items(LISTS["cxr"])]
        truth = named("cxr", sent.row.labels, self.language, CLEAN_ZH if zh else CLEAN_EN)
        question = PROMPT[self.language].replace("{options}", "\n".join(listed))
        return [(question, f"{'答案：' if zh else 'Answer: '}{truth}")]

    def tables(self, records: Sequence[RunRecord], seed: int) -> list[Table]:
        """The figures of labels, with the header rules as a row and a table of what they can tell."""
        return with_headers(super().tables(records, seed), records, seed)


def no_image(language: Language = "zh") -> NoImage:
    """The control, asked alone."""
    return CxrQuality(language).control()
