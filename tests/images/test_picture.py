"""One file → what an endpoint takes: kinds by first bytes, metadata out, bounds, damage, text."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, PngImagePlugin

from tests.images.pictures import chest, jpeg, opened, png
from wardround.images.held import REASONS, HeldBack
from wardround.images.picture import (
    Limits,
    data_url,
    image_part,
    prepare,
    prepare_bytes,
    side_by_side,
    thumbnail,
)
from wardround.metrics.arrays import np
from wardround.models.scripted import image_size

SECRET = b"Zhang San 0012345"


def held(data: bytes, **more: object) -> str:
    with pytest.raises(HeldBack) as e:
        prepare_bytes(data, **more)  # type: ignore[arg-type]
    assert e.value.reason in REASONS
    return e.value.reason


def test_a_plain_png_keeps_its_pixels_and_loses_its_words() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", SECRET.decode())
    data = png(chest(), pnginfo=info) + SECRET
    found = prepare_bytes(data)
    assert SECRET in data and SECRET not in found.data
    assert found.media == "image/png" and found.notes == ()
    assert found.original == hashlib.sha256(data).hexdigest()
    assert (opened(found.data) == chest()).all()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_plain_jpeg_is_not_compressed_again_and_loses_its_words(progressive: bool) -> None:
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    data = jpeg(chest(), exif=exif, comment=SECRET, progressive=progressive, quality=90) + SECRET
    found = prepare_bytes(data)
    assert data.count(SECRET) == 3 and SECRET not in found.data
    assert found.media == "image/jpeg" and found.notes == ()
    assert (opened(found.data) == opened(data)).all()


def test_what_a_file_is_its_first_bytes_say(tmp_path: Path) -> None:
    path = tmp_path / "picture.tiff"
    png(chest(), path)
    assert prepare(path).kind == "png"
    path = tmp_path / "report.png"
    path.write_bytes(b"%PDF-1.7\n")
    with pytest.raises(HeldBack, match="a PDF") as e:
        prepare(path)
    assert e.value.reason == "not_an_image"
    assert held(b"") == "not_an_image"
    assert held(b"GIF89a....") == "unsupported_format"
    with pytest.raises(HeldBack) as e:
        prepare(tmp_path / "nowhere.png")
    assert e.value.reason == "missing_image"


@given(st.floats(0.02, 0.98))
def test_a_file_cut_short_is_held_back(share: float) -> None:
    for data in (png(chest()), jpeg(chest()), jpeg(chest(), progressive=True)):
        assert held(data[: int(share * len(data))]) in {"truncated", "not_an_image"}


@pytest.mark.filterwarnings("ignore")  # Pillow's, of odd tags
@given(st.binary(max_size=400))
def test_no_bytes_do_worse_than_being_held_back(data: bytes) -> None:
    for start in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"\0" * 128 + b"DICM"):
        assert held(start + data)


def test_bounds() -> None:
    data = png(chest(900, 600))
    small = prepare_bytes(data, limits=Limits(side=300))
    assert (small.width, small.height) == (200, 300) and "reduced from 600 × 900" in small.notes
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    tight = prepare_bytes(png(noise), limits=Limits(size=20_000))
    assert len(tight.data) <= 20_000 and tight.media == "image/jpeg"
    assert held(data, limits=Limits(pixels=1000)) == "too_many_pixels"


def test_sixteen_bits_pages_alpha_and_turning() -> None:
    deep = (chest().astype(np.uint16) + 1) * 200
    found = prepare_bytes(png(deep))
    pixels = opened(found.data)
    assert pixels.dtype == np.uint8 and pixels.min() == 0 and pixels.max() == 255
    assert any("scaled to 8 bits" in n for n in found.notes)
    out = io.BytesIO()
    pages = [Image.fromarray(np.full((20, 20), v, np.uint8)) for v in (10, 200)]
    pages[0].save(out, "TIFF", save_all=True, append_images=pages[1:])
    second = prepare_bytes(out.getvalue(), frame=2)
    assert (second.frame, second.frames) == (2, 2) and opened(second.data).mean() == 200
    assert held(out.getvalue(), frame=3) == "no_such_frame"
    clear = np.zeros((9, 9, 4), np.uint8)
    assert opened(prepare_bytes(png(clear)).data).shape == (9, 9, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = prepare_bytes(jpeg(chest(40, 80), exif=exif))
    assert (turned.width, turned.height) == (40, 80)


def written(text: str, size: int = 22) -> bytes:
    image = Image.fromarray(chest(600, 500))
    from PIL import ImageFont

    ImageDraw.Draw(image).text((12, 12), text, fill=255, font=ImageFont.load_default(size))
    return png(np.asarray(image))


@pytest.mark.parametrize("text", ["NAME: WANG LI", "ID 20384756", "1963-02-11 M"])
def test_a_line_of_letters_is_held_back_unless_somebody_has_looked(text: str) -> None:
    assert held(written(text)) == "burned_in_text"
    assert prepare_bytes(written(text), text_reviewed=True).width == 500


@pytest.mark.parametrize("text", ["L", "R", "PA"])
def test_a_side_marker_is_no_text(text: str) -> None:
    assert prepare_bytes(written(text, 34)).notes == ()


def test_part_and_thumbnail() -> None:
    found = prepare_bytes(png(chest()))
    assert image_part(data_url(found.data)).image_url.url.startswith("data:image/png;base64,iVBOR")
    assert image_size(found.data) == (found.width, found.height) == (220, 240)
    assert image_size(jpeg(chest(), progressive=True)) == (220, 240)
    assert image_size(b"%PDF") == (0, 0)
    assert thumbnail(found.data, 50).startswith("data:image/jpeg;base64,")


def test_side_by_side_keeps_the_order_and_raises() -> None:
    assert list(side_by_side(lambda x: x * x, range(40), threads=3)) == [x * x for x in range(40)]
    with pytest.raises(ZeroDivisionError):
        list(side_by_side(lambda x: 1 // x, [1, 0, 1], threads=2))
