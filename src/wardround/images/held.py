"""Why a picture is not sent: one exception with a short closed reason, never a broken picture and never a guess."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from wardround.errors import UsageError

REASONS = {
    "missing_image": "图像文件不存在 / no such image file",
    "not_an_image": "不是图像 / not an image",
    "unsupported_format": "不支持的图像格式 / an image format that is not read here",
    "truncated": "文件不完整或已损坏 / cut short or damaged",
    "too_many_pixels": "像素数超过上限 / more pixels than allowed",
    "no_pixels": "DICOM 中没有像素 / a DICOM object without pixels",
    "unknown_transfer_syntax": "未知的传输语法 / unknown transfer syntax",
    "no_decoder": "缺少解码插件 / no plug-in for this transfer syntax",
    "no_such_frame": "没有这一帧 / no such frame",
    "burned_in_annotation": "头信息称图中有文字 / the header says that text is burned in",
    "burned_in_text": "疑似图中有文字 / text in the picture suspected",
}
"""What `HeldBack.reason` may be, each with its sentence."""

ASIDE = {
    "label_not_in_list": "标签不在列表中 / a label that is not on the list",
    "no_label": "没有标签 / no label",
    "image_without_row": "有图像而没有对应的行 / a picture that no row names",
    "unreadable_row": "读不出的行 / a row that can't be read",
    "duplicate_row": "重复的行 / a row twice",
    "unknown_modality": "未知的检查类型 / an unknown modality",
    "no_image": "行中没有写图像 / the row names no picture",
    "several_images": "一行多张图像 / several pictures in one row",
    "outside_the_set": "图像在集合目录之外 / a picture outside the set's folder",
    "bad_frame": "帧号无效 / a frame that can't be",
    "changed_since_sealed": "封存后被改动 / changed since it was sealed",
}
"""Why a row of a set is left aside, beside `REASONS`."""


class HeldBack(Exception):  # noqa: N818 - a state of the picture, not a fault of ours
    """A picture that must not or cannot be sent: `reason` from `REASONS`, `detail` a sentence for people."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


@contextmanager
def extra() -> Iterator[None]:
    """Turns a missing Pillow, pydicom or highdicom into a `UsageError` that names the extra."""
    try:
        yield
    except ImportError as e:
        raise UsageError(
            f"pictures need {e.name or 'more packages'}",
            hint="pip install 'wardround[images]'",
        ) from e
