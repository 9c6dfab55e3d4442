"""Delimited blocks in prompts: text from elsewhere goes in a named block it cannot close.

A judge's prompt holds a model's answer, and an answer may contain anything, the closing mark of its own
block and a verdict among it. `block` makes such marks inert, so what is inside stays inside; `read_block` is
how the scripted judges find it again.
"""

from __future__ import annotations

import re


def block(name: str, text: str) -> str:
    """`<name>\\ntext\\n</name>`, with every tag of that name inside `text` defused by full-width brackets."""
    inert = text
    if "<" in text:
        inert = re.sub(rf"<(/?\s*{re.escape(name)}\s*)>", r"＜\1＞", text)
    return f"<{name}>\n{inert}\n</{name}>"


def read_block(name: str, prompt: str) -> str | None:
    """The text of the last block `name` in `prompt`, or None."""
    found = re.findall(
        rf"<{re.escape(name)}>\n(.*?)\n</{re.escape(name)}>", prompt, flags=re.DOTALL
    )
    return found[-1] if found else None
