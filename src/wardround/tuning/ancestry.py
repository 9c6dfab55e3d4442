"""What an artifact was made from, through all generations, and a checkpoint's own copy of it.

Every manifest names its inputs and their digests; those inputs that still lie where they were name theirs in turn. A
checkpoint keeps the whole chain in `ancestry.jsonl`, so that what it has learned from stays known where a base or a
dataset has since been moved or deleted. No path is in it.

What a dataset was only held against (`NOT_LEARNED`) is no ancestor: nothing of it was learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from wardround.artifact import Artifact, InputRef, Workspace
from wardround.errors import InputError
from wardround.models.loaded import checkpoint_of
from wardround.records import Record, decode

FILE = "ancestry.jsonl"
NOT_LEARNED = frozenset({"held_out", "taxonomy"})
"""Roles of inputs from which no word gets into what is made."""
TEST = "data:"
"""How the role of the test file of a run begins; the benchmark's name follows."""
_LEARNED_FILES = ("train", "preferences")


class Ancestor(Record, frozen=True, kw_only=True):
    """One thing something was made from: its role and kind as the manifest says, its digest, and the digest of what it
    was an input of ("" for an input of the checkpoint itself). Of datasets and reviews the files that are
    learned from are there too, with the role "file"."""

    role: str
    kind: str
    digest: str
    of: str = ""


def of_artifact(artifact: Artifact) -> tuple[Ancestor, ...]:
    """Everything that `artifact` was made from, as far as it can be known, each once."""
    return tuple(dict.fromkeys(_above(artifact, set())))


def of_path(path: Path) -> tuple[Ancestor, ...]:
    """`of_artifact` of the artifact that the directory is or lies in; nothing for a plain file or directory."""
    found = checkpoint_of(path) if path.is_dir() else None
    return of_artifact(found) if found else ()


def write(ws: Workspace, inputs: Sequence[InputRef]) -> None:
    """Keep the chain behind `inputs` in the checkpoint that is being written."""
    rows: list[Ancestor] = []
    for r in inputs:
        rows.append(Ancestor(role=r.role, kind=r.kind, digest=r.digest))
        rows += _at(ws.path / r.path, r, set())
    ws.write_jsonl(FILE, dict.fromkeys(rows))


def digests(found: Iterable[Ancestor]) -> frozenset[str]:
    """Their digests."""
    return frozenset(a.digest for a in found)


def tests(found: Iterable[Ancestor]) -> dict[str, str]:
    """The test files of the runs among them: digest → benchmark."""
    return {a.digest: a.role.removeprefix(TEST) for a in found if a.role.startswith(TEST)}


def nameless_runs(found: Sequence[Ancestor]) -> frozenset[str]:
    """The runs among them of which nobody knows any longer what they were asked."""
    known = {a.of for a in found if a.role.startswith(TEST)}
    return frozenset(a.digest for a in found if a.kind == "run" and a.digest not in known)


def _above(artifact: Artifact, seen: set[str]) -> Iterator[Ancestor]:
    manifest = artifact.manifest
    if manifest.digest in seen:
        return
    seen.add(manifest.digest)
    if manifest.kind in ("dataset", "review"):
        for entry in manifest.files:
            if entry.path.startswith(_LEARNED_FILES):
                yield Ancestor(role="file", kind="file", digest=entry.sha256, of=manifest.digest)
    for r in manifest.inputs:
        if r.role not in NOT_LEARNED:
            yield Ancestor(role=r.role, kind=r.kind, digest=r.digest, of=manifest.digest)
            yield from _at(artifact.path / r.path, r, seen)
    if artifact.has(FILE):
        yield from _kept(artifact)


def _at(place: Path, r: InputRef, seen: set[str]) -> Iterator[Ancestor]:
    """What the input was made from, where it still lies there."""
    if r.kind == "file" or not place.is_dir():
        return
    found = checkpoint_of(place)
    # A directory within a checkpoint (`best`) has a digest of its own; any other must be the very one that was used.
    if found is not None and (r.kind == "directory" or found.manifest.digest == r.digest):
        yield from _above(found, seen)


def _kept(artifact: Artifact) -> Iterator[Ancestor]:
    """The chain the checkpoint has kept; what stood at its beginning are its own inputs."""
    path = artifact.file(FILE)
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            row = decode(line, Ancestor)
        except msgspec.DecodeError as e:
            raise InputError(f"not an ancestor: {e}", path=path, row=number) from e
        yield row if row.of else msgspec.structs.replace(row, of=artifact.manifest.digest)
