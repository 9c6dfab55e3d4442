"""Models named in a file: `wardround.toml`, or a league's `models.toml`. One format, one parser.

    judges = ["judge"]               # a league's judges; a single run names its own

    [models.judge]
    endpoint = "https://host/v1"
    model = "served-name"            # the table's own name when left out
    api_key_env = "HOSPITAL_KEY"     # the variable's name; the key itself stays in the environment
    price_in = 2.0                   # per million tokens, in your currency
    price_out = 8.0
    concurrency = 8                  # the most requests this endpoint is to have in flight
    checkpoint = "tuned"             # the artifact behind the endpoint, for lineage

    [models.tuned]
    path = "tuned"                   # a Hugging Face directory, as local:PATH

    [models.floor]
    scripted = "echo"                # as scripted:NAME

`wardround.toml` is read from the working directory, or from the path in WARDROUND_CONFIG. Relative paths in a file
are seen from the file.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import msgspec

from wardround.errors import InputError, UsageError
from wardround.models.ledger import FREE, Price

CONFIG = "wardround.toml"
HINT = (
    "a table is [models.NAME] with one of endpoint, path, scripted, and beside endpoint: model, api_key_env, "
    "price_in, price_out, concurrency, checkpoint; what is asked (max tokens, temperature) is one for all models"
)


class ConfiguredModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[models.NAME]` table: an `endpoint`, a local `path` or a `scripted` name.

    Prices are per million tokens, None where not given. `concurrency` is the endpoint's own limit, 0 where none
    is given.
    """

    endpoint: str = ""
    path: str = ""
    scripted: str = ""
    model: str = ""
    api_key_env: str = ""
    price_in: float | None = None
    price_out: float | None = None
    concurrency: int = 0
    checkpoint: str = ""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.endpoint, self.path, self.scripted))) != 1:
            raise ValueError("needs one of endpoint, path, scripted")
        if self.concurrency < 0:
            raise ValueError("concurrency must be 1 or more")
        if not self.endpoint and (self.model or self.api_key_env or self.concurrency):
            raise ValueError("model, api_key_env and concurrency belong to an endpoint")

    @property
    def about(self) -> str:
        """Where it is, in a few words."""
        if self.endpoint:
            return f"at {self.endpoint}"
        return f"local:{self.path}" if self.path else f"scripted:{self.scripted}"

    def price(self) -> Price | None:
        """What its tokens cost: nothing where it runs here and no price is given, None where nobody said."""
        if self.price_in is not None and self.price_out is not None:
            return Price(per_in=self.price_in, per_out=self.price_out)
        return None if self.endpoint else FREE


class Config(msgspec.Struct, frozen=True):
    """A whole file. `judges` are names of its tables or any other names of models."""

    models: dict[str, ConfiguredModel] = {}
    judges: tuple[str, ...] = ()


def config_path() -> Path | None:
    """Where the configuration lies, None if there is none; `UsageError` when WARDROUND_CONFIG leads nowhere."""
    named = os.environ.get("WARDROUND_CONFIG")
    if named:
        if not Path(named).is_file():
            raise UsageError(f"{named}: no such file", hint="correct WARDROUND_CONFIG or unset it")
        return Path(named)
    here = Path(CONFIG)
    return here if here.is_file() else None


def configured() -> dict[str, ConfiguredModel]:
    """The models of `wardround.toml` by name; empty without such a file."""
    path = config_path()
    return {} if path is None else read_config(path).models


def read_config(path: Path) -> Config:
    """The file at `path`, its relative paths resolved; `InputError` when it can't be read as one."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        found = msgspec.convert(data, Config)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as e:
        raise InputError(str(e), path=path, hint=HINT) from e
    known = {name: _placed(table, path.parent) for name, table in found.models.items()}
    return Config(models=known, judges=found.judges)


def _placed(table: ConfiguredModel, base: Path) -> ConfiguredModel:
    if not table.path and not table.checkpoint:
        return table
    return msgspec.structs.replace(
        table,
        path=table.path and str(base / Path(table.path).expanduser()),
        checkpoint=table.checkpoint and str(base / Path(table.checkpoint).expanduser()),
    )
