"""`wardround user` and `[web]` of wardround.toml."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.web.test_serve import GOOD, here, run
from wardround.errors import InputError
from wardround.store.database import open_store
from wardround.store.people import event, user
from wardround.web import configuring

__all__ = ["here"]
pytestmark = pytest.mark.usefixtures("quick")


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_first_administrator_and_what_follows(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("user add Admin --role admin --display 张主任") == 0
    assert run("user add li --role reviewer --role doctor --specialty ophthalmology --invite") == 0
    out, told = capsys.readouterr()
    assert "begin with http://127.0.0.1:8000，只有本机" in told and "--base-url URL" in told
    assert "admin: account opened" in out
    assert re.search(r"http://127\.0\.0\.1:8000/invite/[\w-]{43}$", out.strip())
    assert run("user roles li --role panel") == 0
    assert run("user disable LI") == 0
    capsys.readouterr()
    assert run("user list --json") == 0
    assert [(u["name"], u["roles"], u["active"], u["can_log_in"]) for u in said(capsys)["users"]] == [
        ("admin", ["admin"], True, True), ("li", ["panel"], False, False),
    ]  # fmt: skip
    assert run("user list") == 0
    assert "closed" in capsys.readouterr().out
    assert run("user enable li") == 0
    capsys.readouterr()
    assert run("user reset li --json --base-url https://review.example/") == 0
    out, told = capsys.readouterr()
    assert json.loads(out)["link"].startswith("https://review.example/invite/") and not told
    store = open_store(None)
    with store.read() as conn:
        rows = conn.execute(select(event.c.verb, event.c.actor).order_by(event.c.id)).all()
        kept = str(conn.execute(select(user)).all())
    store.close()
    assert [r.verb for r in rows] == [
        "user.opened", "user.opened", "user.invited", "user.roles_changed", "user.disabled", "user.enabled",
        "user.reset", "user.invited",
    ]  # fmt: skip
    assert {r.actor for r in rows} == {None}
    assert GOOD not in kept


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("add 'x y' --role admin", "A name has"),
        ("add li --role boss", "no role named boss"),
        ("add li --role admin --specialty magic", "no specialty named magic"),
        ("add li --role admin --email nix", "no e-mail address"),
        ("roles nobody --role admin", "no user named nobody"),
        ("disable admin", "last administrator"),
        ("roles admin --role doctor", "last administrator"),
        ("add ADMIN --role doctor", "is taken"),
    ],
)
def test_what_the_command_refuses(
    here: Path, capsys: pytest.CaptureFixture[str], line: str, text: str
) -> None:
    assert run("user add admin --role admin") == 0
    assert run(f"user {line}") in (1, 2)
    assert text in capsys.readouterr().err


def test_passwords_come_from_stdin_or_the_environment_and_are_checked(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARDROUND_PASSWORD", "short")
    assert run("user add li --role admin") == 2
    assert "A password needs" in capsys.readouterr().err
    monkeypatch.delenv("WARDROUND_PASSWORD")
    assert run("user add li --role admin") == 2
    assert "no terminal" in capsys.readouterr().err
    done = subprocess.run(
        [sys.executable, "-m", "wardround.cli", "user", "add", "li", "--role", "admin", "--password-stdin"],
        input=GOOD + "\n", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "li: account opened\n")


def test_a_password_is_asked_twice_on_a_terminal(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WARDROUND_PASSWORD")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    given = iter([GOOD, "another", GOOD, GOOD])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(given))
    assert run("user add li --role admin") == 2
    assert "differ" in capsys.readouterr().err
    assert run("user add li --role admin") == 0


# wardround.toml


def test_settings_from_the_file(here: Path) -> None:
    assert configuring.configured() is None
    (here / "wardround.toml").write_text(
        '[models.x]\nscripted = "echo"\n[web]\nbase_url = "https://review.example"\nidle_minutes = 30\n'
        '[web.oidc.hospital]\nissuer = "https://login.example"\nclient_id = "w"\nroles_claim = "groups"\n'
        'roles = { "g1" = ["reviewer", "panel"] }\n'
    )
    found = configuring.configured()
    assert found is not None
    assert (found.base_url, found.idle_minutes, found.session_minutes) == (
        "https://review.example",
        30,
        720,
    )
    assert found.oidc["hospital"].roles == {"g1": ("reviewer", "panel")}
    (here / "wardround.toml").write_text('[models.x]\nscripted = "echo"\n')
    assert configuring.configured() is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[web]\nnix = 1", "nix"),
        ("[web]\nidle_minutes = 0", "idle_minutes"),
        ("[web]\nidle_minutes = 'x'", "idle_minutes"),
        ("[web.oidc.x]\nissuer = 'https://l'", "client_id"),
        (
            "[web.oidc.x]\nissuer = 'https://l'\nclient_id = 'c'\nroles_claim = 'g'",
            "belong together",
        ),
        (
            "[web.oidc.x]\nissuer = 'https://l'\nclient_id = 'c'\nroles_claim = 'g'\nroles = {a = ['boss']}",
            "boss",
        ),
        ("[web.oidc.'a/b']\nissuer = 'https://l'\nclient_id = 'c'", "letters"),
        (
            "[web.oidc.x]\nissuer = 'https://l'\nclient_id = 'c'\nclient_secret = 's'",
            "client_secret",
        ),
        ("[web", "wardround.toml"),
    ],
)
def test_settings_that_can_not_be(here: Path, text: str, why: str) -> None:
    (here / "wardround.toml").write_text(text)
    with pytest.raises(InputError, match=why):
        configuring.configured()
