"""`wardround survey`: the needs survey from the command line, from its tasks to the list that `build` reads."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wardround import cli_survey_tables as tables
from wardround.cli_common import asking, finish, named_model
from wardround.cli_survey_tables import loaded, opened, say
from wardround.errors import UsageError, WardroundError

if TYPE_CHECKING:
    from wardround.survey.design import SurveyConfig

DB = "SQLite file or postgresql://user@host/name (default: wardround.db)"


def arguments(p: argparse.ArgumentParser) -> None:
    """The actions of `survey`."""
    actions = p.add_subparsers(dest="action", required=True, metavar="ACTION")
    new = _action(
        actions, "new", _new, "a survey in preparation: the taxonomy's tasks, an example each"
    )
    new.add_argument("--tasks", type=Path, metavar="YAML", help="tasks in the taxonomy's form")
    _settings(new)
    back = _action(actions, "feedback", _feedback, "the second stage on a closed first one")
    back.add_argument("--of", required=True, metavar="SURVEY", help="the inspiration stage")
    _settings(back)
    _action(actions, "list", _list, "all surveys", slug=False)
    _action(actions, "show", _show, "state, numbers and tasks of a survey")
    _action(actions, "open", _open, "let answers in; the questions are fixed from now on")
    _action(actions, "close", _close, "let no more answers in")
    links = _action(actions, "links", _links, "anonymous links, printed this once")
    links.add_argument("--count", type=int, default=0, metavar="N", help="single links")
    links.add_argument(
        "--shared", action="store_true", help="one link for all, in place of the last"
    )
    links.add_argument("--out", type=Path, metavar="CSV", help="write the single links here")
    links.add_argument("--batch", default="", metavar="NAME", help="what this batch is called")
    links.add_argument(
        "--base-url", default="", metavar="URL", help="of the app, as people type it"
    )
    bring = _action(
        actions, "import", tables.bring, "answers from CSV or XLSX, 问卷星 and 腾讯问卷 too"
    )
    bring.add_argument("files", type=Path, nargs="+", metavar="FILE")
    bring.add_argument("--mapping", type=Path, metavar="YAML", help="what the columns are")
    bring.add_argument("--plan", action="store_true", help="only say how each column is read")
    bring.add_argument(
        "--aside", type=Path, metavar="JSONL", help="rows kept aside (FILE.aside.jsonl)"
    )
    out = _action(actions, "export", tables.export, "answers as CSV or XLSX")
    out.add_argument("--out", type=Path, required=True, metavar="FILE", help=".csv or .xlsx")
    out.add_argument("--full", action="store_true", help="single answers with profile and texts")
    _later(actions)


def _later(actions: Any) -> None:
    """The actions once answers are in."""
    added = _action(
        actions, "additions", tables.additions, "added tasks with suggestions, as a sheet"
    )
    added.add_argument("--out", type=Path, metavar="CSV")
    group = _action(actions, "group", tables.group, "carry out a filled-in sheet of additions")
    group.add_argument("sheet", type=Path, metavar="CSV")
    sample = _action(actions, "samples", _samples, "sample outputs for the second stage")
    sample.add_argument("--from", dest="given", type=Path, metavar="JSONL", help="or artifact")
    sample.add_argument("--model", metavar="MODEL", help="ask this model, one output a task")
    sample.add_argument("--out", type=Path, metavar="DIR", help="where what it wrote is kept")
    asking(sample)
    decide = _action(actions, "decide", _decide, "keep or drop a task against the rule")
    decide.add_argument("task", metavar="TASK")
    decide.add_argument("what", choices=("keep", "drop", "rule"))
    decide.add_argument("--reason", default="")
    said = _action(
        actions, "results", _results, "the figures and decisions; with --out an artifact"
    )
    said.add_argument("--out", type=Path, metavar="DIR")
    said.add_argument("--after", type=Path, metavar="DIR", help="the inspiration stage's artifact")
    said.add_argument("--csv", type=Path, metavar="CSV", help="the table of results")
    kept = _action(actions, "tasks", _tasks, "the kept tasks as tasks.yaml for build")
    kept.add_argument("--out", type=Path, metavar="DIR", help="default: print it")


def _action(
    actions: Any,
    name: str,
    call: Callable[[argparse.Namespace], int],
    text: str,
    *,
    slug: bool = True,
) -> argparse.ArgumentParser:
    found: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
    found.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    found.add_argument("--db", metavar="URL", help=DB)
    if slug:
        found.add_argument("slug", metavar="SURVEY")
    found.set_defaults(call=call)
    return found


def _settings(p: argparse.ArgumentParser) -> None:
    p.add_argument("--title", default="", metavar="TEXT", help="what respondents see, Chinese")
    p.add_argument("--title-en", default="", metavar="TEXT")
    p.add_argument("--contact", default="", metavar="TEXT", help="who answers questions")
    p.add_argument("--min-cell", type=int, metavar="N", help="smaller groups aren't shown (5)")
    p.add_argument("--per-person", type=int, metavar="N", help="ask each only N of the tasks")
    p.add_argument("--settings", type=Path, metavar="YAML", help="all settings, rule included")


def _config(args: argparse.Namespace, base: SurveyConfig | None = None) -> SurveyConfig:
    """The settings asked for, over those of `base`."""
    import msgspec

    from wardround.errors import InputError
    from wardround.survey.design import SurveyConfig

    values: dict[str, Any] = {} if base is None else msgspec.to_builtins(base)
    if args.settings is not None:
        if not args.settings.is_file():
            raise UsageError(f"{args.settings}: no such file")
        try:
            values |= msgspec.yaml.decode(args.settings.read_bytes(), type=dict[str, Any])
        except msgspec.DecodeError as e:
            raise InputError(f"not settings: {e}", path=args.settings) from e
    asked = {
        "title_zh": args.title, "title_en": args.title_en, "contact": args.contact,
        "min_cell": args.min_cell, "per_person": args.per_person,
    }  # fmt: skip
    values |= {k: v for k, v in asked.items() if v not in ("", None)}
    unknown = sorted(set(values) - set(SurveyConfig.__struct_fields__))
    if unknown:
        raise UsageError(
            f"no setting {', '.join(unknown)}",
            hint=f"one of {', '.join(SurveyConfig.__struct_fields__)}",
        )
    values.setdefault("title_zh", "医生需求调查")
    values.setdefault("title_en", "What doctors need from a model" if not args.title else "")
    try:
        return msgspec.convert(values, SurveyConfig)
    except msgspec.ValidationError as e:
        raise UsageError(f"settings: {e}") from e


def _new(args: argparse.Namespace) -> int:
    from wardround.survey import design, surveys, task_list

    tasks = None if args.tasks is None else task_list.read(args.tasks)
    with opened(args) as store:
        made = surveys.create(store, args.slug, _config(args), tasks=tasks)
        with store.read() as conn:
            number = len(surveys.shown(conn, made.id))
    asked = min(number, made.config.per_person or number)
    about = design.minutes(made.stage, asked)
    text = f"{made.slug}: {number} tasks, about {about:.1f} minutes a respondent (estimated)\nopen it: wardround survey open {made.slug}"
    return say(args, text, slug=made.slug, id=made.id, tasks=number, minutes=round(about, 1))


def _feedback(args: argparse.Namespace) -> int:
    from wardround.survey import surveys

    with opened(args) as store:
        first = loaded(store, args.of)
        made = surveys.feedback_of(store, first.id, args.slug, _config(args, first.config))
        with store.read() as conn:
            number = len(surveys.shown(conn, made.id))
    return say(
        args,
        f"{made.slug}: {number} tasks, follows {args.of}",
        slug=made.slug,
        id=made.id,
        tasks=number,
    )


def _list(args: argparse.Namespace) -> int:
    from wardround.survey.surveys import listed

    with opened(args) as store, store.read() as conn:
        rows = [
            {"slug": s.slug, "stage": s.stage, "status": s.status, "answers": n, "title": s.config.title_zh}
            for s, n in listed(conn)
        ]  # fmt: skip
    lines = [
        f"{r['slug']:<24}  {r['stage']:<11}  {r['status']:<6}  {r['answers']:>5}  {r['title']}"
        for r in rows
    ]
    return say(args, "\n".join([*lines, f"{len(rows)} surveys"]), surveys=rows)


def _show(args: argparse.Namespace) -> int:
    from wardround.survey.surveys import counts, tasks

    with opened(args) as store:
        found = loaded(store, args.slug)
        with store.read() as conn:
            number, listed = counts(conn, found.id), tasks(conn, found.id)
    rows = [
        {
            "id": x.task.key,
            "zh": x.task.zh,
            "en": x.task.en,
            "kind": x.kind,
            "samples": len(x.samples),
        }
        for x in listed
    ]
    lines = [f"{found.slug}  {found.stage}  {found.status}  {found.config.title_zh}"]
    lines += [f"  {k:<10} {v}" for k, v in number.items()]
    lines += [
        f"  {r['id']:<28} {r['zh']} {r['en']}" + ("  ＋" if r["kind"] == "grouped" else "")
        for r in rows
    ]
    return say(
        args,
        "\n".join(lines),
        slug=found.slug,
        stage=found.stage,
        status=found.status,
        counts=number,
        tasks=rows,
    )


def _move(args: argparse.Namespace, status: str) -> int:
    from wardround.survey import surveys

    with opened(args) as store:
        found = loaded(store, args.slug)
        moved = surveys.move(store, found.id, status, found.version)
    return say(args, f"{moved.slug} is {moved.status}", slug=moved.slug, status=moved.status)


def _open(args: argparse.Namespace) -> int:
    return _move(args, "open")


def _close(args: argparse.Namespace) -> int:
    return _move(args, "closed")


def _links(args: argparse.Namespace) -> int:
    from wardround.artifact import write_atomically
    from wardround.cli_people import link_base
    from wardround.survey import exchange, links

    if args.shared == bool(args.count):
        raise UsageError("give --count N for single links, or --shared for one for all")
    with opened(args) as store:
        found = loaded(store, args.slug)
        base = link_base(args)
        if args.shared:
            url = f"{base}/s/{links.share(store, found.id)}"
            return say(args, url, link=url)
        urls = [f"{base}/s/{x}" for x in links.make(store, found.id, args.count, batch=args.batch)]
    if args.out is None:
        return say(args, "\n".join(urls), links=urls)
    write_atomically(args.out, exchange.links_csv(urls))
    text = f"{len(urls)} links: {args.out}\nThey can't be had again. Who keeps this list should not have the database."
    return say(args, text, file=str(args.out), count=len(urls))


def _samples(args: argparse.Namespace) -> int:
    from wardround.survey import samples
    from wardround.survey.surveys import give_samples, shown

    if bool(args.given) == bool(args.model):
        raise UsageError("give --from FILE, or --model MODEL with --out DIR")
    if args.model and args.out is None:
        raise UsageError("--out is missing", hint="name the directory for what the model writes")
    with opened(args) as store:
        found = loaded(store, args.slug)
        with store.read() as conn:
            tasks = shown(conn, found.id)
        source = args.given
        if args.model:
            model = named_model(args.model, args)
            source = samples.ask(
                tasks, model, args.out, slug=found.slug, concurrency=args.concurrency
            ).path
        given = samples.read(source)
        number = give_samples(store, found.id, given)
    return say(args, f"{number} of {len(tasks)} tasks have sample outputs", tasks=number)


def _decide(args: argparse.Namespace) -> int:
    from wardround.survey.surveys import overrule, tasks

    with opened(args) as store:
        found = loaded(store, args.slug)
        with store.read() as conn:
            mine = next((x for x in tasks(conn, found.id) if x.task.key == args.task), None)
        if mine is None:
            raise UsageError(f"no task {args.task} in {found.slug}")
        keep = {"keep": True, "drop": False, "rule": None}[args.what]
        overrule(store, mine.id, keep, args.reason, mine.version)
    return say(args, f"{args.task}: {args.what}", task=args.task, decision=args.what)


def _results(args: argparse.Namespace) -> int:
    from wardround.artifact import write_atomically
    from wardround.survey import exchange, keeping
    from wardround.survey.results import as_data, results

    with opened(args) as store:
        found = loaded(store, args.slug)
        said = results(store, found.id)
        if args.csv is not None:
            write_atomically(args.csv, exchange.results_csv(said))
        if args.out is not None:
            return finish(args, keeping.keep(store, found.id, args.out, after=args.after).path)
    if args.json:
        return say(args, "", results=as_data(said))
    from wardround.report.terminal import survey_lines

    print("\n".join(survey_lines(as_data(said))))
    return 0


def _tasks(args: argparse.Namespace) -> int:
    from wardround.artifact import write_atomically
    from wardround.survey import task_list
    from wardround.survey.results import results
    from wardround.survey.surveys import tasks

    with opened(args) as store:
        found = loaded(store, args.slug)
        if found.status != "closed":
            raise WardroundError(f"{found.slug} is {found.status}\n  → close it first")
        said = results(store, found.id)
        with store.read() as conn:
            data = task_list.as_yaml(tasks(conn, found.id), said)
    kept = [r.key for r in said.tasks if r.decision.kept]
    if args.out is None:
        return say(args, data.decode(), kept=kept, dropped=task_list.dropped(said))
    write_atomically(args.out / "tasks.yaml", data)
    text = f"{len(kept)} tasks: {args.out / 'tasks.yaml'}\nuse it: WARDROUND_TAXONOMY={args.out} wardround build …"
    return say(
        args, text, kept=kept, dropped=task_list.dropped(said), file=str(args.out / "tasks.yaml")
    )
