"""What tuning refuses to learn from: data listed as held out, data nobody held against the test sets.

Held-out digests come from files (`--held-out FILE`: one SHA-256 a line, what follows it is a comment) and from
`held_out` under `[tuning]` in `wardround.toml`, a list of digests or of such files. A dataset is refused when its
own digest is listed, a file's in it, or that of anything it was made from, through all generations (`ancestry`);
a base when it was tuned on such a one, however long ago. What a dataset was held against when it was built is no such thing.

Preferences between answers to a test set's questions teach that test set. They are refused unless the test set is given
up by name: its digest under `spent`, beside `held_out`. What is tuned on them says so for ever.

An artifact whose files aren't those it was sealed with is refused: its digest would stand for what was never learned.

A dataset artifact must say what it was held against: `contamination.json`, or in older ones what the split found.
Plain files say nothing, so they need an explicit yes, and the checkpoint then says so for ever.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from wardround.artifact import MANIFEST, Artifact, content_digest, open_artifact, sha256_file
from wardround.errors import ArtifactError, InputError, UsageError
from wardround.models.config import config_path
from wardround.models.loaded import checkpoint_of
from wardround.records import decode
from wardround.tuning import ancestry
from wardround.tuning.mixture import Source

UNCHECKED = (
    "部分训练数据未与任何测试集比对，成绩可能虚高 / "
    "Some of the training data was not held against any test set; scores may be too high"
)
_DIGEST = re.compile(r"[0-9a-f]{64}")


def held_out_digests(files: Iterable[Path]) -> frozenset[str]:
    """Every digest listed as held out: in `files`, and in the configuration file where there is one."""
    return frozenset().union(*(_listed(path) for path in files), _configured("held_out"))


def spent_digests() -> frozenset[str]:
    """The test sets given up by name: they may be learned from, and test nothing any more."""
    return _configured("spent")


def _configured(name: str) -> frozenset[str]:
    """The digests of a list under `[tuning]` in the configuration file, and in the files that it names."""
    path = config_path()
    if path is None:
        return frozenset()
    try:
        table = tomllib.loads(path.read_text("utf-8-sig")).get("tuning", {})
        entries = msgspec.convert(table.get(name, []), list[str])
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, AttributeError) as e:
        raise InputError(f"{name} under [tuning]: {e}", path=path) from e
    found: set[str] = set()
    for entry in entries:
        if _DIGEST.fullmatch(entry.lower()):
            found.add(entry.lower())
        else:
            found |= _listed(path.parent / Path(entry).expanduser())
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
    """Raise `UsageError` when a source is listed as held out or made from what is, or the base was tuned on such."""
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
    hits = digests & ancestry.digests(ancestry.of_artifact(tuned))
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
        *ancestry.digests(ancestry.of_artifact(artifact)),
    }


def refuse_changed(sources: Iterable[Source], base: Path) -> None:
    """Raise `ArtifactError` for a source or base whose files aren't those of its manifest. Reads them once; a plain
    directory's digest is taken from its files anyway."""
    found = [s.artifact for s in sources if s.artifact]
    if (base / MANIFEST).is_file():
        found.append(open_artifact(base))
    for artifact in found:
        manifest = artifact.manifest
        wrong = [
            f.path for f in manifest.files
            if f.content and not _is(artifact.path / f.path, f.sha256, f.bytes)
        ]  # fmt: skip
        if manifest.digest != content_digest(manifest.kind, manifest.config_digest, manifest.files):
            wrong.append(MANIFEST)
        if wrong:
            more = f" and {len(wrong) - 3} others" if len(wrong) > 3 else ""
            raise ArtifactError(
                f"{artifact.path}: changed since it was sealed ({', '.join(wrong[:3])}{more})",
                hint="make it again, or put it back as it was; `wardround verify` tells all that differs",
            )


def _is(path: Path, digest: str, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size and sha256_file(path) == digest


def refuse_tests(
    sources: Sequence[Source], rows: Mapping[Path, Sequence[Mapping[str, str]]] | None = None
) -> tuple[str, ...]:
    """Raise `UsageError` for a source made from answers to a test set's questions, unless that test set is given up
    under `spent`; returns the labels the checkpoint has to carry.

    `rows`: by source what each of its rows says of its test set, digest → benchmark, nothing where it doesn't know.
    """
    spent, given_up = spent_digests(), dict[str, str]()
    for source in sources:
        told = (rows or {}).get(source.path, ())
        made_from = ancestry.of_artifact(source.artifact) if source.artifact else ()
        found = ancestry.tests(made_from)
        for row in told:
            found |= row
        if not told or not all(told):
            unknown = ancestry.nameless_runs(made_from)
            found |= dict.fromkeys(unknown, "a run whose test set is not known any more")
        kept = {digest: name for digest, name in found.items() if digest not in spent}
        if kept:
            named = "; ".join(f"{name} {digest}" for digest, name in sorted(kept.items()))
            raise UsageError(
                f"{source.path}: made from answers to the questions of a test set ({named})",
                hint="collect preferences on questions that test nothing; or give that test set up: list its digest as "
                "spent under [tuning] in wardround.toml, and every report will say so",
            )
        given_up |= found
    return tuple(_spent(name, digest) for digest, name in sorted(given_up.items()))


def _spent(name: str, digest: str) -> str:
    return (
        f"学过测试集 {name}（{digest[:12]}）题目的回答，在该测试集上的成绩不算数 / "
        f"It has learned from answers to the questions of the test set {name} ({digest[:12]}); its scores there don't count"
    )


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
