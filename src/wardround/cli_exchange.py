"""`wardround review send` and `take`: a study out to another annotation tool, its ratings back in."""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wardround.cli_review import opened, tell
from wardround.cli_review_open import members
from wardround.errors import UsageError

if TYPE_CHECKING:
    from wardround.review.exchanging import Left

Action = Callable[..., argparse.ArgumentParser]


def arguments(action: Action) -> None:
    """The two actions."""
    s = action("send", _send, "a study's items as files for Label Studio or Potato")
    s.add_argument("study", metavar="SLUG")
    s.add_argument("--to", required=True, choices=("label-studio", "potato"), dest="tool")
    s.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    s.add_argument(
        "--with-ratings",
        action="store_true",
        help="all items, also decided ones, with what was scored here",
    )
    s = action("take", _take, "ratings made in Label Studio or Potato, as reviews of a study")
    s.add_argument("study", metavar="SLUG")
    s.add_argument(
        "ratings", type=Path, metavar="FILE", help="JSON export, or Potato's output folder"
    )
    s.add_argument(
        "--from", required=True, choices=("label-studio", "potato"), dest="tool", metavar="TOOL",
        help="label-studio or potato",
    )  # fmt: skip
    s.add_argument(
        "--rater", action="append", default=[], metavar="THEIRS=ACCOUNT", help="may be repeated"
    )


def _send(args: argparse.Namespace) -> int:
    from wardround.review import exchanging

    with opened(args) as store:
        found = exchanging.send(store, args.study, args.tool, args.out, ratings=args.with_ratings)
    lines = [f"{args.out}: {found['items']} 项 items，{found['ratings']} 份评分 ratings"]
    if found["left"]:
        lines.append(f"{found['left']} 项不在评审中，未送出 not under review, not sent")
    return tell(args, {"path": str(args.out), **found}, *lines)


LISTED = 20


def _left_out(left: Sequence[Left], no_account: str) -> Iterator[str]:
    """What was not taken: a line a rater that stands for nobody here, else one a rating."""
    strangers = Counter(x.rater for x in left if x.reason == no_account)
    for rater, n in strangers.items():
        yield f"! {rater}: {n} 份 ratings，没有对应的账户 no account given: --rater {shlex.quote(rater)}=ACCOUNT"
    others = [x for x in left if x.reason != no_account]
    for x in others[:LISTED]:
        yield f"! {x.item} · {x.rater}: {x.reason}"
    if len(others) > LISTED:
        yield f"! 另有 {len(others) - LISTED} 份 more: --json lists all"


def _take(args: argparse.Namespace) -> int:
    from wardround.review import exchanging, opening

    pairs = [given.partition("=") for given in args.rater]
    if any(not sign or not theirs or not ours for theirs, sign, ours in pairs):
        raise UsageError("--rater is THEIRS=ACCOUNT", hint="for example --rater anna@x.org=doc1")
    with opened(args) as store:
        with store.read() as conn:
            config = opening.read_config(opening.study_row(conn, args.study)["config"])
            raters = {theirs: members(conn, [ours])[0] for theirs, _, ours in pairs}
        ratings = exchanging.read(args.ratings, args.tool, config)
        taken, left = exchanging.take(store, args.study, ratings, raters)
    lines = [f"{args.study}: {taken} 份评分已收 ratings taken，{len(left)} 份未收 left out"]
    lines += _left_out(left, exchanging.NO_ACCOUNT)
    told = [{k: getattr(x, k) for k in x.__struct_fields__} for x in left]
    tell(args, {"ok": not left, "taken": taken, "left": told}, *lines)
    return 1 if left else 0
