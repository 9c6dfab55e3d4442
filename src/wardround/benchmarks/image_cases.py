"""Cases with a picture: read from any layout, prepared once, kept on disk until they are asked.

Every picture is read, checked and brought to its form here, before anything is asked, so that what is held back is known
and listed, and asking costs no more than reading a file. In a sealed `images` artifact that work is done already: there
only digests are checked. A picture that was held back is no case, in the run with pictures or in the one without.
"""

from __future__ import annotations

import functools
import hashlib
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from wardround.artifact import MANIFEST, open_artifact
from wardround.benchmarks.data import PICTURES, TESTSET
from wardround.benchmarks.spool import Spool
from wardround.images.headers import check_header
from wardround.images.held import HeldBack
from wardround.images.labels import shown
from wardround.images.layouts import Row, read_layout
from wardround.images.picture import data_url, prepare, side_by_side, stored_part
from wardround.records import Exclusion, ImagePart, decode

HEADERS = "headers.jsonl"
SEPARATOR = {"zh": "、", "en": ", "}


class Sent(NamedTuple):
    """A row whose picture is ready: the digests of the file as it was and of the bytes to be sent.

    `findings` are the header rules that its DICOM header broke, None where it had no header.
    """

    row: Row
    original: str
    sent: str
    notes: tuple[str, ...]
    findings: tuple[str, ...] | None = None


class Found(NamedTuple):
    """What a set holds: rows with their pictures, the pictures, what was left aside or held back, its labels."""

    ready: list[Sent]
    pictures: Pictures
    excluded: list[Exclusion]
    labels: list[str]


class Pictures:
    """Prepared pictures by their digest, in a scratch file, in the form in which they go into a request."""

    def __init__(self, room: int) -> None:
        self._spool = Spool(room)
        # A benchmark is never closed, so the scratch file goes when the last case has been asked and it is let go.
        weakref.finalize(self, self._spool.close)
        self._places: dict[str, int] = {}

    def add(self, digest: str, url: bytes) -> None:
        """Keep a picture's `data_url`; one of the same bytes is kept once."""
        if digest not in self._places:
            self._places[digest] = len(self._places)
            self._spool.put(self._places[digest], url)

    def part(self, digest: str) -> ImagePart:
        """The content part that carries it."""
        return stored_part(functools.partial(self._spool.get, self._places[digest]))


class _Sealed(NamedTuple):
    """A sealed set: digests of its files, header findings of its DICOM pictures by id, labels."""

    digests: Mapping[str, str]
    findings: Mapping[str, tuple[str, ...]]
    labels: tuple[str, ...]


def load_pictures(path: Path, modalities: tuple[str, ...]) -> Found:
    """All that is in a set, every picture prepared or, in a sealed one, checked."""
    found = read_layout(path, modalities)
    sealed = _sealed(found.root)
    excluded = list(found.excluded)
    pictures = Pictures(len(found.rows))
    ready: list[Sent] = []

    def one(row: Row) -> tuple[Sent, bytes] | Exclusion:
        return _one(found.root, row, sealed)

    for made in side_by_side(one, found.rows):
        if isinstance(made, Exclusion):
            excluded.append(made)
            continue
        sent, url = made
        pictures.add(sent.sent, url)
        ready.append(sent)
    return Found(ready, pictures, excluded, list(sealed.labels) if sealed else [])


def _sealed(root: Path) -> _Sealed | None:
    """The artifact of pictures that `root` is, or None when it is none."""
    if not (root / MANIFEST).exists():
        return None
    found = open_artifact(root)
    if found.manifest.kind not in (PICTURES, TESTSET):
        found = open_artifact(root, PICTURES)
    digests = {f.path: f.sha256 for f in found.manifest.files}
    findings = {}
    if HEADERS in digests:
        for line in found.file(HEADERS).read_bytes().splitlines():
            told = decode(line, dict[str, Any])
            findings[told["id"]] = tuple(f["rule"] for f in told["findings"])
    return _Sealed(digests, findings, tuple(found.manifest.labels))


def _one(root: Path, row: Row, sealed: _Sealed | None) -> tuple[Sent, bytes] | Exclusion:
    place = root / row.image
    if sealed is not None:
        data = place.read_bytes() if place.is_file() else b""
        digest = hashlib.sha256(data).hexdigest()
        if digest != sealed.digests.get(row.image):
            return _left(row, "changed_since_sealed", row.image)
        known = sealed.findings.get(row.id)
        return Sent(row, row.original or digest, digest, (), known), data_url(data)
    try:
        picture = prepare(place, frame=row.frame, text_reviewed=row.text_reviewed)
    except HeldBack as e:
        return _left(row, e.reason, e.detail)
    sent = hashlib.sha256(picture.data).hexdigest()
    told = tuple(f.rule for f in check_header(picture.header)) if picture.kind == "dicom" else None
    return Sent(row, picture.original, sent, picture.notes, told), data_url(picture.data)


def _left(row: Row, reason: str, detail: str) -> Exclusion:
    return Exclusion(
        stage="load", file=row.image, row=row.row, what=row.id, reason=reason, detail=detail
    )


def named(modality: str, labels: Sequence[str], language: str, clean: str) -> str:
    """Labels as a person writes them, with their ids; `clean` when there are none."""
    texts = [shown(modality, label, language) for label in labels]
    if modality != "cxr":
        texts = [f"{text}（{label}）" for text, label in zip(texts, labels, strict=True)]
    return SEPARATOR[language].join(texts) or clean


def shuffles(name: str, n: int, orders: int) -> list[tuple[int, ...]]:
    """`orders` orders of n options: the list's own, then ones drawn from the name, so that a case's orders depend on
    no other case. Equal orders are kept once."""

    def rank(k: int) -> Callable[[int], bytes]:
        return lambda i: hashlib.sha256(f"{name}/{k}/{i}".encode()).digest()

    found = [tuple(range(n))]
    for k in range(1, orders):
        order = tuple(sorted(range(n), key=rank(k)))
        if order not in found:
            found.append(order)
    return found
