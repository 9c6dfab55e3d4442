"""`wardround review open`: its options, and what they name."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround.errors import UsageError

if TYPE_CHECKING:
    from wardround.review.sources import Source
    from wardround.review.study import StudyConfig


def open_arguments(s: argparse.ArgumentParser) -> None:
    """The options."""
    s.add_argument(
        "sources", nargs="+", metavar="SOURCE",
        help="candidates; a checking sheet (CSV); a run, or two to compare; disagreements; items",
    )  # fmt: skip
    s.add_argument("--study", required=True, metavar="SLUG", help="a-z, digits, hyphens")
    s.add_argument("--title", default="", metavar="TEXT")
    s.add_argument("--reviewer", action="extend", nargs="+", default=[], metavar="NAME")
    s.add_argument("--raters", type=int, default=3, metavar="N", help="reviewers an item and round")
    s.add_argument("--strikes", type=int, default=5, metavar="N", help="failed rounds to the panel")
    s.add_argument("--on-fail", choices=("either", "revise", "regenerate"), default="either")
    s.add_argument("--median", type=float, default=4.0, help="least median of every dimension")
    s.add_argument("--none-below", type=int, default=3, help="least single score")
    s.add_argument("--spread", type=int, default=1, help="most between highest and lowest")
    s.add_argument("--gold", type=Path, metavar="FILE", help='rows {"id": …, "scores": {…}}')
    s.add_argument("--gold-rate", type=float, metavar="SHARE", help="default with --gold: 0.05")
    s.add_argument("--gold-tolerance", type=int, default=1, metavar="N")
    s.add_argument("--lease-minutes", type=int, default=45, metavar="N")
    s.add_argument("--model", metavar="M", help="who writes again (default: the candidates' model)")
    s.add_argument("--benchmark", metavar="NAME", help="of a run with several")
    s.add_argument("--seed", type=int, default=0)


def source_of(args: argparse.Namespace) -> Source:
    """What the named sources are, by their kind, with the gold of --gold."""
    from wardround.review.gold import with_gold

    source = _named(args)
    return with_gold(source, args.gold) if args.gold else source


def _named(args: argparse.Namespace) -> Source:
    from wardround.artifact import MANIFEST, UNSEALED, open_artifact
    from wardround.review import item_sources, sources

    first = Path(args.sources[0])
    if len(args.sources) > 2:
        raise UsageError("give one source, or two runs to compare")
    if len(args.sources) == 2:
        return sources.from_pair(first, Path(args.sources[1]), args.benchmark, seed=args.seed)
    if first.is_dir() and ((first / MANIFEST).exists() or (first / UNSEALED).exists()):
        kind = open_artifact(first).manifest.kind
        if kind == "candidates":
            return sources.from_candidates(first)
        if kind == "run":
            return sources.from_run(first, args.benchmark)
        if kind == "disagreements":
            return sources.from_disagreements(first, picture=_pictures(first))
        raise UsageError(
            f"{first}: a {kind} artifact can't be reviewed",
            hint="candidates, a run, two runs, disagreements; of a dataset its sheet (wardround sample)",
        )
    if first.is_dir():
        raise UsageError(
            f"{first}: a folder with no artifact in it",
            hint="name what `wardround review rationale`, `wardround eval` or `wardround loop list` wrote",
        )
    if first.suffix.lower() == ".csv":
        return sources.from_sheet(first)
    shipped = item_sources.shipped()
    if not first.exists() and args.sources[0] not in shipped:
        raise UsageError(
            f"{first}: no such file or folder, and no shipped set",
            hint=f"check the path; shipped: {', '.join(shipped)}",
        )
    return item_sources.from_items(args.sources[0])


def _pictures(path: Path) -> Callable[[Mapping[str, Any]], str]:
    """A disagreement's picture as a data: URL, found through the runs it was listed from."""
    from wardround.report.pictures import picture_url
    from wardround.report.reading import open_input, open_source

    source = open_source(path)
    runs = [
        found.source
        for r in source.inputs
        if r.role.startswith("run:") and (found := open_input(source, r)).source is not None
    ]

    def url(row: Mapping[str, Any]) -> str:
        found = (picture_url(run, row["benchmark"], row["picture"]) for run in runs if run)
        return next((u for u in found if u), "")

    return url


def config_of(args: argparse.Namespace, source: Source) -> StudyConfig:
    """The study's settings. `UsageError` for a model that is none."""
    from wardround.review.study import KINDS, Rule, StudyConfig

    model = _writer(args) if source.kind == "rationale" else ""
    rate = args.gold_rate
    if rate is None:
        rate = 0.05 if args.gold else 0.0
    return StudyConfig(
        kind=source.kind, title=args.title or f"{KINDS[source.kind][0]} {args.study}",
        form=source.form, raters=args.raters,
        rule=Rule(
            median_at_least=args.median, none_below=args.none_below, spread_at_most=args.spread
        ),
        strikes=args.strikes, on_fail=args.on_fail, gold_rate=rate,
        gold_tolerance=args.gold_tolerance, lease_minutes=args.lease_minutes, model=model,
        seed=args.seed, guide_zh=source.guide_zh, guide_en=source.guide_en, source=source.record,
    )  # fmt: skip


def _writer(args: argparse.Namespace) -> str:
    """Who writes again, named so that a worker can open it: one that can't be is told now, not by the first round."""
    from wardround.artifact import open_artifact
    from wardround.review.candidates import check_writer, writer_of

    if args.model is None:
        try:
            return writer_of(open_artifact(Path(args.sources[0]), "candidates"))
        except UsageError:
            if (
                args.on_fail == "revise"
            ):  # the model is asked for nothing but drafts that are missing
                return ""
            raise
    if args.model:
        check_writer(args.model)
    return str(args.model)


def members(conn: Any, names: list[str]) -> list[int]:
    """Ids of accounts by login name; they must be active and have a role that reviews."""
    from sqlalchemy import select

    from wardround.store.people import REVIEWING, user

    rows = conn.execute(select(user.c.id, user.c.name, user.c.roles, user.c.active)).all()
    there = {r.name: r for r in rows}
    missing = [n for n in names if n.casefold() not in there]
    if missing:
        raise UsageError(
            f"no account {', '.join(missing)}",
            hint="open it with `wardround user add`, or check the name",
        )
    found = [there[n.casefold()] for n in dict.fromkeys(names)]
    unfit = [r.name for r in found if not r.active or REVIEWING.isdisjoint(r.roles)]
    if unfit:
        raise UsageError(
            f"{', '.join(unfit)}: no active account of a reviewer",
            hint="wardround user roles NAME --role reviewer",
        )
    return [r.id for r in found]
