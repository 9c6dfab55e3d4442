"""The tables of `wardround survey`: answers in and out, grouping on a sheet; and what its actions share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround.errors import UsageError

if TYPE_CHECKING:
    from wardround.store.database import Store
    from wardround.survey.surveys import Survey


@contextmanager
def opened(args: argparse.Namespace) -> Iterator[Store]:
    """The database, closed at the end."""
    from wardround.store.database import open_store

    store = open_store(args.db)
    try:
        yield store
    finally:
        store.close()


def loaded(store: Store, slug: str) -> Survey:
    """A survey by its name."""
    from wardround.survey.surveys import load

    with store.read() as conn:
        return load(conn, slug)


def say(args: argparse.Namespace, text: str, **data: Any) -> int:
    """Print the result, as text or as one JSON line."""
    print(json.dumps({"ok": True, **data}, ensure_ascii=False) if args.json else text)
    return 0


def bring(args: argparse.Namespace) -> int:
    """Answers from files."""
    from wardround import sheets
    from wardround.survey import headings, importing

    mapping = headings.read_mapping(args.mapping)
    done: list[dict[str, Any]] = []
    aside: list[Any] = []
    with opened(args) as store:
        found = loaded(store, args.slug)
        for path in args.files:
            sheet = sheets.read(path)
            if args.plan:
                read = importing.read_columns(store, found.id, sheet, mapping)
                blank = importing.mapping_for(store, found.id, sheet, read)
                done.append(_plan(args, path, sheet, read, blank))
                continue
            said = importing.bring_in(store, found.id, sheet, mapping)
            done.append({
                "file": str(path), "rows": said.rows, "new": said.new, "known": said.known,
                "aside": len(said.aside), "left_out": list(said.left_out), "others": said.others,
            })  # fmt: skip
            aside += said.aside
            _aside(
                args,
                args.aside or path.with_suffix(".aside.jsonl"),
                aside if args.aside else said.aside,
            )
            if not args.json:
                print(
                    f"{path}: {said.rows} rows, {said.new} new, {said.known} there already, {len(said.aside)} kept aside"
                )
                for what, n in said.others.items():
                    print(f"  read as “other”, {n}×: {what}")
    return say(args, "", files=done) if args.json else 0


def _plan(
    args: argparse.Namespace, path: Path, sheet: Any, read: Any, blank: bytes
) -> dict[str, Any]:
    """Say how each column is read; with columns left, write a mapping to fill in."""
    from wardround.artifact import write_atomically

    unknown = read.unknown(sheet.headings)
    columns = dict(zip(sheet.headings, read.targets, strict=True))
    if not args.json:
        for heading, target in columns.items():
            print(f"{target or '?':<32} {heading}")
    target = path.with_suffix(".mapping.yaml")
    if unknown:
        write_atomically(target, blank)
        if not args.json:
            print(f"{len(unknown)} columns not recognised; say what they are in {target}")
    return {"file": str(path), "columns": columns, "unknown": [h for _, h in unknown]}


def _aside(args: argparse.Namespace, target: Path, aside: Any) -> None:
    """Write the rows that stayed out; nothing is written where there are none."""
    from wardround.artifact import write_atomically
    from wardround.records import encode

    if not aside:
        return
    write_atomically(target, b"".join(encode(a) + b"\n" for a in aside))
    if not args.json:
        for a in aside[:10]:
            column = f", column “{a.column}”" if a.column else ""
            print(f"  {a.file}, row {a.row}{column}: {a.problem}")
        print(f"  kept aside: {target}")


def export(args: argparse.Namespace) -> int:
    """Answers as CSV or XLSX."""
    from wardround.artifact import write_atomically
    from wardround.survey.exporting import export as export_

    kind = args.out.suffix.lower().removeprefix(".")
    if kind not in ("csv", "xlsx"):
        raise UsageError(f"{args.out}: neither .csv nor .xlsx")
    with opened(args) as store:
        number, files = export_(store, loaded(store, args.slug).id, kind, full=args.full)
    names = []
    for name, data in files.items():
        own = args.out.with_name(f"{args.out.stem}-texts.csv") if "-texts." in name else args.out
        write_atomically(own, data)
        names.append(str(own))
    return say(args, f"{number} answers: {', '.join(names)}", files=names, answers=number)


def additions(args: argparse.Namespace) -> int:
    """What respondents added, as a list or a sheet."""
    import msgspec

    from wardround.artifact import write_atomically
    from wardround.survey import group_sheet
    from wardround.survey.grouping import board

    with opened(args) as store:
        found = loaded(store, args.slug)
        if args.out is not None:
            write_atomically(args.out, group_sheet.write(store, found.id))
            text = (
                f"{args.out}\nfill in decision: merge (into `task`), new (give zh, en, phase and definition) or reject "
                f"(give a reason),\nthen: wardround survey group {found.slug} {args.out}"
            )
            return say(args, text, file=str(args.out))
        said = board(store, found.id)
    if args.json:
        return say(args, "", **msgspec.to_builtins(msgspec.structs.asdict(said), str_keys=True))
    names = {a.id: a.name for a in said.additions}
    for a in said.additions:
        print(f"{a.id:>5}  {a.state:<9} {a.name}" + (f"  → {a.task}" if a.task else ""))
        near = said.suggestions.get(a.id)
        for n in near.tasks if near else ():
            print(f"         {n.score:.2f}  {n.to}")
        for n in near.others if near else ():
            print(f"         {n.score:.2f}  {n.to} {names[int(n.to)]}")
    print(f"{len(said.additions)} added tasks")
    return 0


def group(args: argparse.Namespace) -> int:
    """Carry out a filled-in sheet."""
    import msgspec

    from wardround.survey import group_sheet

    with opened(args) as store:
        done = group_sheet.read(store, loaded(store, args.slug).id, args.sheet)
    text = f"merged {done.merged}, named {done.named}, rejected {done.rejected}, left {done.left}"
    return say(args, text, **msgspec.to_builtins(done))
