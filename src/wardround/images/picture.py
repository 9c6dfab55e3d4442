"""One file → what a vision endpoint takes: an 8-bit PNG or JPEG of bounded size, with nothing in it but the picture.

What a file is, its first bytes say, not its name. PNG, JPEG, TIFF and DICOM are read. An 8-bit PNG or JPEG within the
limits keeps its compressed pixels as they are, metadata cut out (`strip`); everything else is decoded, brought to 8 bits
and written anew as PNG, or as JPEG where that would be too large. The original's SHA-256 goes along, so that a case
can be traced to its file without carrying any identifier. The picture is decoded whole in any case: a damaged file or
one with text burned in (`burned`) is `HeldBack` here and reaches no model.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from wardround.images.burned import text_lines
from wardround.images.held import HeldBack, extra
from wardround.images.strip import JPEG, PNG, strip_jpeg, strip_png
from wardround.records import ImagePart, ImageURL, Record, StoredURL

if TYPE_CHECKING:
    from PIL.Image import Image

Media = Literal["image/png", "image/jpeg"]
Kind = Literal["png", "jpeg", "tiff", "dicom"]
T = TypeVar("T")
S = TypeVar("S")

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OTHERS = {
    b"%PDF": "a PDF", b"GIF8": "a GIF", b"BM": "a BMP", b"RIFF": "a RIFF file (WebP?)", b"PK\x03\x04": "a ZIP archive",
    b"<!DO": "an HTML page", b"<htm": "an HTML page",
}  # fmt: skip
_QUALITIES = (95, 90, 80, 70)


class Limits(Record, frozen=True, kw_only=True):
    """`side`: pixels on the longer side; `size`: bytes of the file sent; `pixels`: decoded, above which none is read."""

    side: int = 2048
    size: int = 4_000_000
    pixels: int = 120_000_000


STANDARD = Limits()


class Picture(Record, frozen=True, kw_only=True):
    """A prepared picture. `original` is the file's SHA-256; `frame` (from 1) of `frames`.

    `notes` say what was done to it; `header` is what of a DICOM header names no one (see `dicom.KEPT`).
    """

    data: bytes
    media: Media
    width: int
    height: int
    original: str
    kind: Kind
    frame: int = 1
    frames: int = 1
    notes: tuple[str, ...] = ()
    header: dict[str, str] = {}

    @property
    def suffix(self) -> str:
        """The file name's ending that fits."""
        return ".png" if self.media == "image/png" else ".jpg"


def kind_of(data: bytes) -> Kind:
    """What the bytes are; `HeldBack` for what isn't read, saying what it is where that is known."""
    if (
        data[128:132] == b"DICM"
    ):  # before TIFF: a preamble may make one file both, as some scanners' do
        return "dicom"
    if data.startswith(PNG):
        return "png"
    if data.startswith(JPEG):
        return "jpeg"
    if data[:4] in _TIFF:
        return "tiff"
    if not data:
        raise HeldBack("not_an_image", "the file is empty")
    for start, what in _OTHERS.items():
        if data.startswith(start):
            known = what in {"a GIF", "a BMP", "a RIFF file (WebP?)"}
            raise HeldBack(
                "unsupported_format" if known else "not_an_image", f"{what} by its first bytes"
            )
    raise HeldBack("not_an_image", "none of PNG, JPEG, TIFF, DICOM by its first bytes")  # fmt: skip


def prepare(
    path: Path, *, limits: Limits = STANDARD, frame: int | None = None, text_reviewed: bool = False
) -> Picture:
    """The picture in a file.

    Args:
        frame: which one, from 1, of a file with several; without it the middle one of a DICOM object (the fovea's place
            in a volume of B-scans), the first page of a TIFF.
        text_reviewed: a person has looked and found no identifier, so suspected text doesn't hold it back.

    Raises `HeldBack`.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as e:
        raise HeldBack("missing_image", path.name) from e
    except OSError as e:
        raise HeldBack("not_an_image", e.strerror or "cannot be read") from e
    return prepare_bytes(data, limits=limits, frame=frame, text_reviewed=text_reviewed)


def prepare_bytes(
    data: bytes, *, limits: Limits = STANDARD, frame: int | None = None, text_reviewed: bool = False
) -> Picture:
    """`prepare` for a file's bytes."""
    kind = kind_of(data)
    more: dict[str, Any] = {"original": hashlib.sha256(data).hexdigest(), "kind": kind}
    with extra():
        if kind == "dicom":
            from wardround.images.dicom import read_dicom

            found = read_dicom(data, limits.pixels, frame, text_reviewed=text_reviewed)
            image, notes = found.image, list(found.notes)
            more |= {"frame": found.frame, "frames": found.frames, "header": found.header}
        else:
            image, notes, chosen, frames = _decoded(data, kind, limits, frame)
            more |= {"frame": chosen, "frames": frames}
        if not text_reviewed:
            _without_text(image)
        ready = None if notes or more["frames"] > 1 else _as_it_is(data, kind, image, limits)
        if ready is None:
            ready, image = _written(image, limits, notes)
    media: Media = "image/png" if ready.startswith(PNG) else "image/jpeg"
    return Picture(
        data=ready, media=media, width=image.width, height=image.height, notes=tuple(notes), **more
    )


def _decoded(
    data: bytes, kind: Kind, limits: Limits, frame: int | None
) -> tuple[Image, list[str], int, int]:
    """Decoded and 8-bit, what was done to it, its frame and how many there are."""
    from PIL import Image, ImageOps

    notes: list[str] = []
    try:
        image: Image.Image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "TIFF"))
        if image.width * image.height > limits.pixels:
            raise HeldBack("too_many_pixels", f"{image.width} × {image.height}")
        frames = getattr(image, "n_frames", 1) if kind == "tiff" else 1
        chosen = frame or 1
        if not 1 <= chosen <= frames:
            raise HeldBack("no_such_frame", f"{chosen} of {frames}")
        if frames > 1:
            image.seek(chosen - 1)
        image.load()
        if image.getexif().get(0x0112, 1) != 1:
            image = ImageOps.exif_transpose(image)
            notes.append("turned as EXIF says")
    except HeldBack:
        raise
    except Exception as e:  # a damaged file raises whatever its decoder stumbles on
        raise HeldBack("truncated", str(e)) from e  # fmt: skip
    return _eight_bit(image, notes), notes, chosen, frames


def _eight_bit(image: Image, notes: list[str]) -> Image:
    """Grey or RGB with 8 bits; 16-bit greys are spread between their darkest and brightest."""
    from PIL import Image as Images

    from wardround.metrics.arrays import np

    if image.mode in {"L", "RGB"}:
        return image
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image).astype(np.float64)
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        scaled = (np.nan_to_num(values, nan=low) - low) * (255.0 / ((high - low) or 1.0))
        notes.append(f"scaled to 8 bits from {low:g}–{high:g}")
        return Images.fromarray(np.rint(scaled).astype(np.uint8))
    if image.mode == "1":
        notes.append("two levels written as grey")
        return image.convert("L")
    if image.mode in {"LA", "PA", "RGBA", "RGBa"} or "transparency" in image.info:
        notes.append("laid on black")
        over = image.convert("RGBA")
        under = Images.new("RGBA", over.size, (0, 0, 0, 255))
        return Images.alpha_composite(under, over).convert("L" if image.mode == "LA" else "RGB")
    notes.append(f"converted from {image.mode}")
    return image.convert("RGB")


def _without_text(image: Image) -> None:
    from wardround.metrics.arrays import np

    lines = text_lines(np.asarray(image.convert("L")))
    if lines:
        raise HeldBack("burned_in_text", f"{lines} line(s) of even, sharp marks")


def _as_it_is(data: bytes, kind: Kind, image: Image, limits: Limits) -> bytes | None:
    """The file without its metadata, when it is what an endpoint takes already."""
    if kind not in {"png", "jpeg"} or max(image.size) > limits.side:
        return None
    try:
        bare = strip_png(data) if kind == "png" else strip_jpeg(data)
    except ValueError as e:
        raise HeldBack("truncated", str(e)) from e
    if len(bare) > limits.size or (kind == "png" and bare[24] != 8):  # bits per sample
        return None
    return bare


def _written(image: Image, limits: Limits, notes: list[str]) -> tuple[bytes, Image]:
    """PNG within the limits, or else JPEG, smaller in quality and then in size until it fits."""
    from PIL import Image as Images

    if max(image.size) > limits.side:
        before = image.size
        image = image.copy()
        image.thumbnail((limits.side, limits.side), Images.Resampling.LANCZOS)
        notes.append(f"reduced from {before[0]} × {before[1]}")
    bare = Images.new(image.mode, image.size)
    bare.paste(image)  # nothing of `info` goes along
    out = io.BytesIO()
    bare.save(out, "PNG", compress_level=3)
    while out.tell() > limits.size:
        for quality in _QUALITIES:
            out = io.BytesIO()
            bare.save(out, "JPEG", quality=quality)
            if out.tell() <= limits.size:
                notes.append(f"JPEG, quality {quality}")
                return out.getvalue(), bare
        bare = bare.resize(
            ((bare.width + 1) // 2, (bare.height + 1) // 2), Images.Resampling.LANCZOS
        )
        notes.append(f"reduced to {bare.width} × {bare.height}")  # fmt: skip
    return out.getvalue(), bare


# -- sending and showing --------------------------------------------------------------------------------------


def media_of(data: bytes) -> Media:
    """PNG or JPEG, by the first bytes of a prepared picture."""
    return "image/png" if data.startswith(PNG) else "image/jpeg"


def data_url(data: bytes) -> bytes:
    """A prepared picture as a `data:` URL, in ASCII."""
    head = f"data:{media_of(data)};base64,".encode("ascii")
    return head + binascii.b2a_base64(data, newline=False)


def image_part(url: bytes) -> ImagePart:
    """The content part that carries a picture, from its `data_url`."""
    return ImagePart(image_url=ImageURL(url=url.decode("ascii")))


def stored_part(read: Callable[[], bytes]) -> ImagePart:
    """The same for a picture whose `data_url` is kept outside memory and read from there by `read`."""
    return ImagePart(image_url=cast(ImageURL, StoredURL(read)))


def thumbnail(data: bytes, side: int = 320) -> str:
    """A small JPEG of a prepared picture as a `data:` URL, for pages."""
    from PIL import Image

    image = Image.open(io.BytesIO(data))
    image.draft("RGB" if image.mode == "RGB" else "L", (side, side))
    image = image.convert("L" if image.mode in {"1", "L", "LA"} else "RGB")
    image.thumbnail((side, side))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode('ascii')}"


def side_by_side(work: Callable[[S], T], items: Iterable[S], threads: int = 0) -> Iterator[T]:
    """`work` of each of `items`, in their order, on all processors; a few ahead, so that memory stays bounded.

    Decoding and compressing leave Python's lock alone, so threads are enough.
    """
    import os
    from collections import deque
    from concurrent.futures import Future, ThreadPoolExecutor

    threads = threads or os.cpu_count() or 1
    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(work, item))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
