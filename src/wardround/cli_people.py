"""`wardround web` and `wardround user`: the app, and the accounts of the people who use it."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wardround.cli_common import positive
from wardround.errors import UsageError

if TYPE_CHECKING:
    from wardround.store.database import Store
    from wardround.web.settings import Settings

PASSWORD = "WARDROUND_PASSWORD"
DB = "SQLite file or postgresql://user@host/name (default: wardround.db)"


def web_arguments(p: argparse.ArgumentParser) -> None:
    """The options of `web`."""
    p.add_argument("--db", metavar="URL", help=DB)
    p.add_argument("--host", default="127.0.0.1", help="default: this machine only")
    p.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    p.add_argument("--workers", type=int, default=1, metavar="N", help="processes; PostgreSQL only")
    p.add_argument("--base-url", default="", metavar="URL", help="what people type")
    p.add_argument(
        "--behind-https",
        action="store_true",
        help="a proxy in front of it speaks https with people",
    )
    p.add_argument(
        "--proxy", default="127.0.0.1", metavar="ADDRESSES",
        help="with --behind-https: whose X-Forwarded-For is believed",
    )  # fmt: skip
    p.add_argument("--tls-cert", default="", metavar="FILE", help="speak https without a proxy")
    p.add_argument("--tls-key", default="", metavar="FILE")
    p.add_argument(
        "--no-drafts", action="store_true", help="leave asking models to `wardround review work`"
    )
    p.add_argument("--access-log", action="store_true", help="a line for each request, on stderr")


def user_arguments(p: argparse.ArgumentParser) -> None:
    """The actions of `user`."""
    actions = p.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = _action(actions, "add", _add, "open an account")
    add.add_argument("name", metavar="NAME")
    _roles(add)
    add.add_argument("--specialty", action="append", default=[], metavar="ID", help="default: all")
    add.add_argument("--display", default="", metavar="TEXT", help="the name people see")
    add.add_argument("--title", default="", metavar="TEXT", help="主任医师 …")
    add.add_argument("--email", default="", metavar="ADDRESS")
    how = add.add_mutually_exclusive_group()
    how.add_argument("--invite", action="store_true", help="print a one-time link, no password now")
    how.add_argument(
        "--password-stdin", action="store_true", help=f"else from {PASSWORD}, or asked"
    )
    _link_options(add)
    _action(actions, "list", _list, "everybody who has an account")
    roles = _action(actions, "roles", _set_roles, "give an account these roles, and no others")
    roles.add_argument("name", metavar="NAME")
    _roles(roles)
    for name, call, text in (
        ("disable", _disable, "close an account; its sessions end at once"),
        ("enable", _enable, "open a closed account again"),
        ("reset", _reset, "void a password and print a one-time link to set a new one"),
    ):
        sub = _action(actions, name, call, text)
        sub.add_argument("name", metavar="NAME")
        if name == "reset":
            _link_options(sub)


def _action(
    actions: Any, name: str, call: Callable[[argparse.Namespace], int], text: str
) -> argparse.ArgumentParser:
    found: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
    found.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
    found.add_argument("--db", metavar="URL", help=DB)
    found.set_defaults(call=call)
    return found


def _roles(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--role", action="append", default=[], required=True, metavar="ROLE",
        help="doctor, reviewer, panel, auditor or admin; may be repeated",
    )  # fmt: skip


def _link_options(p: argparse.ArgumentParser) -> None:
    p.add_argument("--base-url", default="", metavar="URL", help="the app's address, for the link")


def web(args: argparse.Namespace) -> int:
    """Serve the app until told to stop."""
    positive(args, "workers")
    from wardround.web.serve import Serving, serve

    settings = _settings(args.base_url)
    serving = Serving(
        db=args.db or "", host=args.host, port=args.port, workers=args.workers, behind_https=args.behind_https,
        proxies=args.proxy, tls_cert=args.tls_cert, tls_key=args.tls_key, access_log=args.access_log,
        settings=settings, drafts=not args.no_drafts,
    )  # fmt: skip
    serve(serving, lambda url: _ready(args, url))
    if not args.json:
        print("stopped")
    return 0


def _settings(base_url: str) -> Settings:
    """Those of `wardround.toml`; the address from the command line goes before it, and may be empty."""
    import msgspec

    from wardround.web.configuring import configured
    from wardround.web.settings import Settings

    found = configured() or Settings(base_url="")
    return msgspec.structs.replace(found, base_url=base_url) if base_url else found


def _ready(args: argparse.Namespace, url: str) -> None:
    from wardround.store.database import open_store
    from wardround.web.accounts import any_admin

    store = open_store(args.db)
    with store.read() as conn:
        known = any_admin(conn)
    store.close()
    if args.json:
        print(json.dumps({"ok": True, "url": url, "admin": known}), flush=True)
        return
    print(f"Wardround 查房: {url}   (Ctrl-C stops it)", flush=True)
    if not known:
        db = (
            f" --db {args.db}" if args.db and "@" not in args.db else " --db URL" if args.db else ""
        )
        print(
            f"Nobody can log in yet: there is no administrator.\n  → wardround user add NAME --role admin{db}",
            flush=True,
        )


def _open(args: argparse.Namespace) -> Store:
    from wardround.store.database import open_store

    return open_store(args.db)


def _say(args: argparse.Namespace, text: str, **data: Any) -> int:
    print(json.dumps({"ok": True, **data}, ensure_ascii=False) if args.json else text)
    return 0


def _password(args: argparse.Namespace) -> str:
    """From stdin, the environment or the terminal, never from the command line, which other users can read."""
    if args.password_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if PASSWORD in os.environ:
        return os.environ[PASSWORD]
    if not sys.stdin.isatty():
        raise UsageError(
            "no terminal to ask for a password on",
            hint=f"use --invite, --password-stdin or {PASSWORD}",
        )
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("Again: "):
        raise UsageError("the two passwords differ")
    return first


LOCAL = "http://127.0.0.1:8000"


def link_base(args: argparse.Namespace) -> str:
    """The address that links begin with: --base-url, `base_url` under [web] of `wardround.toml`, or this machine's.

    One that nobody named on the command line is told on stderr, so that no link for another place is sent out.
    """
    base = (_settings(args.base_url).base_url or LOCAL).rstrip("/")
    if not args.base_url and not args.json:
        only = "，只有本机能打开 which only this machine can open" if base == LOCAL else ""
        print(
            f"! 链接使用的地址 links begin with {base}{only}。\n  → 换地址 another address: --base-url URL, or "
            "base_url under [web] of wardround.toml",
            file=sys.stderr,
        )
    return base


def _link(args: argparse.Namespace, token: str) -> str:
    return f"{link_base(args)}/invite/{token}"


def _add(args: argparse.Namespace) -> int:
    from wardround.web import accounts
    from wardround.web.auth import check_new

    new = accounts.NewUser(
        name=args.name, display=args.display, email=args.email, title=args.title, roles=tuple(args.role),
        specialties=tuple(args.specialty),
    )  # fmt: skip
    accounts.check_roles(new.roles)
    accounts.check_specialties(new.specialties)
    name = accounts.login_name(args.name)
    password = None if args.invite else _password(args)
    if password is not None:
        check_new(password, name=name)
    store = _open(args)
    try:
        with store.write() as conn:
            user_id = accounts.open_account(conn, new, actor=None, password=password)
            if args.invite:
                row = accounts.by_id(conn, user_id)
                token = accounts.invite(conn, row, _settings(args.base_url), actor=None)
    finally:
        store.close()
    if not args.invite:
        return _say(args, f"{name}: account opened", name=name, id=user_id)
    link = _link(args, token)
    text = f"{name}: account opened. This link sets the password, once:\n{link}"
    return _say(args, text, name=name, id=user_id, link=link)


def _list(args: argparse.Namespace) -> int:
    from wardround.web import accounts

    store = _open(args)
    try:
        with store.read() as conn:
            rows = accounts.listing(conn)
    finally:
        store.close()
    people = [
        {
            "id": r.id, "name": r.name, "display": r.display, "roles": list(r.roles), "specialties": list(r.specialties),
            "active": r.active, "can_log_in": bool(r.active and (r.has_password or r.subject)),
        }
        for r in rows
    ]  # fmt: skip
    if args.json:
        return _say(args, "", users=people)
    for p in people:
        state = "" if p["can_log_in"] else "closed" if not p["active"] else "not used yet"
        shown = p["display"] if p["display"] != p["name"] else ""
        print("  ".join(w for w in (f"{p['name']:<20}", ", ".join(p["roles"]), shown, state) if w))
    print(f"{len(people)} users")
    return 0


def _change(args: argparse.Namespace, values: dict[str, Any], text: str) -> int:
    from wardround.web import accounts

    store = _open(args)
    try:
        with store.write() as conn:
            row = accounts.by_name(conn, args.name)
            accounts.change(conn, row, values, actor=None)
    finally:
        store.close()
    return _say(args, f"{row.name}: {text}", name=row.name, id=row.id)


def _set_roles(args: argparse.Namespace) -> int:
    from wardround.web.accounts import check_roles

    roles = check_roles(args.role)
    return _change(args, {"roles": roles}, f"now {', '.join(roles)}")


def _disable(args: argparse.Namespace) -> int:
    return _change(args, {"active": False}, "closed; all sessions have ended")


def _enable(args: argparse.Namespace) -> int:
    return _change(args, {"active": True}, "open again")


def _reset(args: argparse.Namespace) -> int:
    from wardround.web import accounts

    store = _open(args)
    try:
        with store.write() as conn:
            row = accounts.by_name(conn, args.name)
            token = accounts.reset(conn, row, _settings(args.base_url), actor=None)
    finally:
        store.close()
    link = _link(args, token)
    text = f"{row.name}: the password is void. This link sets a new one, once:\n{link}"
    return _say(args, text, name=row.name, id=row.id, link=link)
