"""PNG and JPEG without what isn't picture: comments, EXIF, XMP, timestamps, and whatever follows the end.

Such metadata carries names, places and device numbers. Cutting it out leaves the compressed pixels as they are, so
nothing is decoded and nothing recompressed. What must stay for the pixels to look right stays: PNG's palette and
transparency, JPEG's JFIF and Adobe markers.
"""

from __future__ import annotations

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
_CHUNKS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"}
_KEPT_APP = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}


def strip_png(data: bytes) -> bytes:
    """`data` with the chunks of `_CHUNKS` alone; `ValueError` when it is cut short."""
    out = [PNG]
    at = len(PNG)
    while True:
        if at + 12 > len(data):
            raise ValueError("the file ends before the picture does")
        length = int.from_bytes(data[at : at + 4])
        kind = data[at + 4 : at + 8]
        whole = data[at : at + 12 + length]
        if len(whole) < 12 + length:
            raise ValueError("the file ends inside a chunk")
        if kind in _CHUNKS:
            out.append(whole)
        at += 12 + length
        if kind == b"IEND":
            return b"".join(out)


def strip_jpeg(data: bytes) -> bytes:
    """`data` without application segments (JFIF and Adobe kept bare), comments and trailing bytes.

    `ValueError` when it is cut short. Only the first scan's start is looked for marker by marker; later segments are
    found between scans, as progressive files have them.
    """
    out = [JPEG]
    at = 2
    while True:
        at = _marker(data, at)
        marker = data[at + 1]
        if marker == 0xD9:
            out.append(data[at : at + 2])
            return b"".join(out)
        if at + 4 > len(data):
            raise ValueError("the file ends before the picture does")
        length = int.from_bytes(data[at + 2 : at + 4])
        whole = data[at : at + 2 + length]
        if length < 2 or len(whole) < 2 + length:
            raise ValueError("the file ends inside a segment")
        at += 2 + length
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            out.append(whole)
        elif whole[4:].startswith(_KEPT_APP.get(marker, b"\0none")):
            out.append(_bare(whole, marker))
        if marker == 0xDA:
            end = _after_scan(data, at)
            out.append(data[at:end])
            at = end


def _bare(segment: bytes, marker: int) -> bytes:
    """JFIF without its thumbnail (14 bytes of it are fixed), Adobe's 12 bytes."""
    if marker == 0xE0:
        body = segment[4:16] + b"\0\0"
        return b"\xff\xe0\x00\x10" + body if len(segment) >= 18 else b""
    return b"\xff\xee\x00\x0e" + segment[4:16] if len(segment) >= 16 else b""


def _marker(data: bytes, at: int) -> int:
    """Where the next marker stands, fill bytes passed over."""
    while at + 1 < len(data) and data[at] == 0xFF and data[at + 1] == 0xFF:
        at += 1
    if at + 1 >= len(data) or data[at] != 0xFF:
        raise ValueError("the file ends before the picture does")
    return at


def _after_scan(data: bytes, at: int) -> int:
    """The end of a scan's compressed bytes: the next marker that is neither a stuffed zero nor a restart."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise ValueError("the file ends inside the picture")
        follows = data[at + 1]
        if follows == 0 or 0xD0 <= follows <= 0xD7:
            at += 2
        elif follows == 0xFF:
            at += 1
        else:
            return at
