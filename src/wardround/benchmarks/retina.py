"""retina: which disease a fundus photograph (several labels) or an OCT B-scan (one label) shows.

The candidate list stands in the prompt, Chinese, English and id; it is asked under `ORDERS` orders, the list's own and
others drawn from the picture's id, so that a leaning towards the top of a list shows. Labels: 20 fundus, 8 OCT, in the
taxonomy with their synonyms. No judge is asked. Data: any layout of `images.layouts` (MuReD's CSV, OCT-C8's folders,
rows of our own) or an `images` artifact.
"""

from __future__ import annotations

from wardround import taxonomy
from wardround.benchmarks.image_bench import NoImage, Pictured
from wardround.benchmarks.image_cases import Sent, named, shuffles
from wardround.benchmarks.judge import Language
from wardround.images.labels import LISTS

ORDERS = 3

PROMPT = {
    "zh": {
        "fundus": (
            "这是一张彩色眼底照相。请判断图中可见下列哪些诊断，可以有一个或多个。\n\n候选诊断：\n{options}\n\n"
            "请先用不超过三句话说明所见，再在最后一行写“答案：”，后接所选诊断的代码，多个以逗号分隔。"
        ),
        "oct": (
            "这是一张黄斑区OCT B扫描图像。请从下列诊断中选出唯一最符合的一个。\n\n候选诊断：\n{options}\n\n"
            "请先用不超过三句话说明所见，再在最后一行写“答案：”，后接所选诊断的代码。"
        ),
    },
    "en": {
        "fundus": (
            "This is a colour fundus photograph. Which of the following diagnoses does it show? There may be one or several."
            "\n\nCandidates:\n{options}\n\nFirst describe what you see in at most three sentences, then write on the last "
            'line "Answer:" followed by the codes you choose, separated by commas.'
        ),
        "oct": (
            "This is an OCT B-scan of the macula. Which one of the following diagnoses fits best?\n\nCandidates:\n{options}"
            "\n\nFirst describe what you see in at most three sentences, then write on the last line \"Answer:\" followed by "
            "the one code you choose."
        ),
    },
}  # fmt: skip


class Retina(Pictured):
    """Fundus and OCT diagnosis."""

    name = "retina"
    zh = "视网膜图像诊断"
    en = "Retina diagnosis"
    file = "retina.jsonl"
    modalities = ("fundus", "oct")

    @property
    def prompt(self) -> dict[str, str]:
        """One prompt a modality; the orders are part of the cases."""
        return dict(PROMPT[self.language])

    def single(self, modality: str) -> bool:
        """An OCT B-scan has one label."""
        return modality == "oct"

    def asked(self, sent: Sent) -> list[tuple[str, str]]:
        """The question under each order of its candidates, and the true labels."""
        row = sent.row
        listed = [f"{i.id}　{i.zh}（{i.en}）" for i in taxonomy.items(LISTS[row.modality])]
        if self.language == "en":
            listed = [f"{i.id}: {i.en}" for i in taxonomy.items(LISTS[row.modality])]
        truth = named(row.modality, row.labels, self.language, "")
        lead = "答案：" if self.language == "zh" else "Answer: "
        prompt = PROMPT[self.language][row.modality]
        return [
            (prompt.replace("{options}", "\n".join(listed[i] for i in order)), f"{lead}{truth}")
            for order in shuffles(row.id, len(listed), ORDERS)
        ]


def no_image(language: Language = "zh") -> NoImage:
    """The control, asked alone."""
    return Retina(language).control()
