"""The script behind `scripted:rationale`: steps in the form that review asks for, with no reasoning in them.

It draws an option by the digest of the question's words, so it is often wrong, and never knows the key. Told that its
answer is wrong it takes the next option; told anything else it adds a step for each remark. So a demo meets wrong
answers, second rounds and the panel.
"""

from __future__ import annotations

import re
from hashlib import sha256

from wardround.models.prompt import read_block

OPTION = re.compile(r"^\s*([A-Z])[.．] ", re.MULTILINE)


def drawn(prompt: str) -> str:
    """The reply to a prompt with the blocks `question` and, for a second draft, `previous` and `guidance`."""
    question = read_block("question", prompt)
    letters = OPTION.findall(question or "")
    if question is None or not letters:
        return "提示中没有题目与选项。 / The prompt has no question with options."
    guidance, previous = read_block("guidance", prompt) or "", read_block("previous", prompt) or ""
    before = re.findall(r"^答案：([A-Z])$", previous, re.MULTILINE)
    place = int.from_bytes(sha256(question.encode()).digest()[:4]) % len(letters)
    if before and before[-1] in letters:
        place = letters.index(before[-1]) + ("答案不正确" in guidance)
    chosen = letters[place % len(letters)]
    stem = " ".join(OPTION.split(question)[0].split())
    steps = [f"（脚本化替身，只抄题面，没有医学推理）题干要点：{stem[:60]}"]
    steps += [f"针对意见“{line[:80]}”作了修改。" for line in guidance.splitlines() if line.strip()]
    steps.append(f"未逐项比较，按题面摘要取选项 {chosen}。")
    return "\n".join([*(f"步骤{n}：{text}" for n, text in enumerate(steps, 1)), f"答案：{chosen}"])
