"""What tuning refuses to learn from: data listed as held out, data nobody held against the test sets.

Held-out digests come from files (`--held-out FILE`: one SHA-256 a line, what follows it is a comment) and from
`held_out` under `[tuning]` in `wardround.toml`, a list of digests or of such files. A dataset is refused when its
own digest is listed, a file's in it, or an input's it was built from; a base when it was tuned on such a one.

A dataset artifact must say what it was held against: `contamination.json`, or in older ones what the split found.
Plain files say nothing, so they need an explicit yes, and the checkpoint then says so for ever.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from wardround.artifact import Artifact, sha256_file
from wardround.errors import InputError, UsageError
from wardround.models.config import config_path
from wardround.models.loaded import checkpoint_of
from wardround.records import decode
from wardround.tuning.mixture import Source

UNCHECKED = (
    "部分训练数据未与任何测试集比对，成绩可能虚高 / "
    "Some of the training data was not held against any test set; scores may be too high"
)
_DIGEST = re.compile(r"[0-9a-f]{64}")


def held_out_digests(files: Iterable[Path]) -> frozenset[str]:
    """Every digest listed as held out: in `files`, and in the configuration file where there is one."""
    found: set[str] = set()
    for path in files:
        found |= _listed(path)
    path_of_config = config_path()
    if path_of_config is not None:
        try:
            table = tomllib.loads(path_of_config.read_text("utf-8-sig")).get("tuning", {})
            entries = msgspec.convert(table.get("held_out", []), list[str])
        except (tomllib.TOMLDecodeError, msgspec.ValidationError, AttributeError) as e:
            raise InputError(f"held_out under [tuning]: {e}", path=path_of_config) from e
        for entry in entries:
            if _DIGEST.fullmatch(entry.lower()):
                found.add(entry.lower())
            else:
                found |= _listed(path_of_config.parent / Path(entry).expanduser())
    return frozenset(found)


def _listed(path: Path) -> set[str]:
    if not path.is_file():
        raise UsageError(f"{path}: no such file of held-out digests", hint="check the path")
    digests = set()
    for row, line in enumerate(path.read_text("utf-8-sig").splitlines(), start=1):
        word = line.split("#")[0].split()
        if not word:
            continue
        if not _DIGEST.fullmatch(word[0].lower()):
            raise InputError(
                "not a digest",
                path=path,
                row=row,
                hint="a line begins with a SHA-256 in 64 hex digits",
            )
        digests.add(word[0].lower())
    return digests


def refuse_held_out(sources: Sequence[Source], base: Path, digests: frozenset[str]) -> None:
    """Raise `UsageError` when a source is listed as held out, or the base was tuned on one that is."""
    if not digests:
        return
    for source in sources:
        carried = (
            {sha256_file(source.path)} if source.artifact is None else _carried(source.artifact)
        )
        if digests & carried:
            raise UsageError(
                f"{source.path}: listed as held out ({min(digests & carried)[:12]}…)",
                hint="what is held out may be tested on, never learned from; leave it out",
            )
    tuned = checkpoint_of(base)
    if tuned is None:  # a plain Hugging Face directory names no inputs
        return
    hits = digests & {r.digest for r in tuned.manifest.inputs}
    if hits:
        raise UsageError(
            f"{base}: was tuned on data listed as held out ({min(hits)[:12]}…)",
            hint="name another base",
        )


def _carried(artifact: Artifact) -> set[str]:
    manifest = artifact.manifest
    return {
        manifest.digest,
        *(f.sha256 for f in manifest.files),
        *(r.digest for r in manifest.inputs),
    }


def unchecked(sources: Iterable[Source]) -> list[Path]:
    """The sources that carry no word on overlap with test sets."""
    return [s.path for s in sources if s.artifact is None or not _has_report(s.artifact)]


def refuse_unchecked(sources: Sequence[Source], *, accept: bool) -> tuple[str, ...]:
    """Raise `UsageError` naming the sources without a contamination report, unless `accept`; returns the labels the
    checkpoint has to carry."""
    missing = unchecked(sources)
    if not missing:
        return ()
    if not accept:
        raise UsageError(
            f"{', '.join(map(str, missing))}: no contamination report: nobody knows whether test items are in it",
            hint="build it with `wardround build` (which writes one), or accept that: --accept-unchecked",
        )
    return (UNCHECKED,)


def _has_report(artifact: Artifact) -> bool:
    if artifact.has("contamination.json"):
        path = artifact.file("contamination.json")
        try:
            report = decode(path.read_bytes(), dict[str, msgspec.Raw])
        except msgspec.DecodeError as e:
            raise InputError(f"not a contamination report: {e}", path=path) from e
        return "own_test" in report or "sets" in report
    if artifact.has("coverage.json"):
        coverage = decode(artifact.file("coverage.json").read_bytes(), dict[str, msgspec.Raw])
        if "contamination" in coverage:
            return True
        excluded = decode(coverage.get("excluded", msgspec.Raw(b"{}")), dict[str, int])
        return "matches_test" in excluded
    return False
