"""The licences of all that a checkpoint was made from, over every generation: its base's own, and each source's.

A card carries them in its front matter (`wardround: licences:`), so what is tuned from a tuned model still names the
licence of the first base and of the sources learned from on the way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from wardround.models.loaded import checkpoint_of
from wardround.records import Record

UNSTATED = "unstated"
_OTHER, _UNKNOWN = "other", "unknown"
_LONGEST = 96
_SNAPSHOT = re.compile(r"models--([^/]+?)--([^/]+)/snapshots/")


class Licences(Record, frozen=True, kw_only=True):
    """Of a model: of the base its line began with (none where it was made from scratch), of all sources since."""

    base: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def front(self) -> dict[str, Any]:
        """The keys of a card's front matter."""
        every = list(dict.fromkeys((*self.base, *self.sources)))
        return _stated(every) | {
            "wardround": {"licences": {"base": list(self.base), "sources": list(self.sources)}}
        }


def of_base(base: Path) -> Licences:
    """What the card of a base says: a checkpoint of ours carries all it was made from, another its own licence."""
    front = front_matter(_card(base))
    carried = front.get("wardround")
    if isinstance(carried, dict):
        try:
            return msgspec.convert(carried.get("licences"), Licences)
        except msgspec.ValidationError:
            pass  # written by somebody else; what it states to everyone still holds
    said = front.get("license", front.get("licence"))
    ids = [str(x) for x in (said if isinstance(said, list) else [said]) if x]
    name = front.get("license_name")
    ids = [str(name) if x == _OTHER and name else x for x in ids]
    return Licences(base=_each(ids) or (UNSTATED,))


def onwards(base: Path | None, sources: Iterable[str]) -> Licences:
    """Those of a model tuned from `base` (None: made from scratch) on sources with these licences."""
    before = of_base(base) if base is not None else Licences()
    return Licences(base=before.base, sources=_each((*before.sources, *sources)))


def name_of(base: Path) -> str:
    """What a card calls its base: its id on the hub where it lies in the hub's cache, else its directory's name; no
    path, which would tell of the place it was made."""
    cached = _SNAPSHOT.search(base.resolve().as_posix() + "/")
    if cached:
        return f"{cached[1]}/{cached[2]}"
    around = checkpoint_of(base)
    return (around.path if around else base).resolve().name


def front_matter(text: str) -> dict[str, Any]:
    """The YAML at a card's head, {} where there is none that can be read."""
    if not text.startswith("---") or text.count("\n---") < 1:
        return {}
    try:
        found = msgspec.yaml.decode(text[3 : text.index("\n---")].encode())
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _card(base: Path) -> str:
    """A base's card; one that lies in a checkpoint (its `best`) has the checkpoint's."""
    around = checkpoint_of(base)
    for folder in (base, *([around.path] if around else [])):
        if (folder / "README.md").is_file():
            return (folder / "README.md").read_text("utf-8", errors="replace")
    return ""


def _stated(every: list[str]) -> dict[str, str]:
    """`license` where all are one that is known, else `other` with a name that tells them all."""
    if every == [UNSTATED] or not every:
        return {"license": _UNKNOWN}
    if len(every) == 1 and every[0].lower() in known():
        return {"license": every[0].lower()}
    short = dict.fromkeys(re.sub(r"[^a-z0-9.]+", "-", x.lower()).strip("-.") for x in every)
    name = "-and-".join(filter(None, short))
    whole = all(short) and len(name) <= _LONGEST
    return {"license": _OTHER, "license_name": name if whole else "several-see-the-card"}


def _each(licences: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(licences)))


@cache
def known() -> frozenset[str]:
    """The ids that Hugging Face knows."""
    path = Path(__file__).with_suffix(".yaml")
    return frozenset(msgspec.yaml.decode(path.read_bytes(), type=dict[str, list[str]])["known"])
