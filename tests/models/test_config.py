"""One file format for `wardround.toml` and a league's models."""

from pathlib import Path

import pytest

from wardround.errors import InputError
from wardround.models.config import read_config
from wardround.models.endpoint import EndpointModel
from wardround.models.ledger import FREE, Price
from wardround.models.names import open_configured
from wardround.models.scripted import ScriptedModel

TEXT = """
judges = ["judge", "scripted:overlap"]
[models.judge]
endpoint = "http://h/v1"
concurrency = 8
price_in = 1
price_out = 2.5
checkpoint = "tuned"
[models.floor]
scripted = "echo"
[models."here: now"]
path = "../somewhere"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "models.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_of_all_kinds(tmp_path: Path) -> None:
    found = read_config(write(tmp_path, TEXT))
    assert found.judges == ("judge", "scripted:overlap")
    assert list(found.models) == ["judge", "floor", "here: now"]
    judge = open_configured("judge", found.models["judge"])
    assert isinstance(judge, EndpointModel)
    assert (judge.name, judge.model, judge.ceiling) == ("judge", "judge", 8)
    assert found.models["judge"].price() == Price(per_in=1.0, per_out=2.5)
    assert found.models["judge"].checkpoint == str(tmp_path / "tuned")
    floor = open_configured("floor", found.models["floor"])
    assert isinstance(floor, ScriptedModel)
    assert (floor.name, floor.identity["script"]) == ("floor", "echo")
    assert floor.labels
    assert found.models["floor"].price() == FREE
    assert found.models["here: now"].path == str(tmp_path / "../somewhere")


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ("model = 'm'", "one of endpoint, path, scripted"),
        ("endpoint = 'http://h/v1'\npath = 'x'", "one of endpoint, path, scripted"),
        ("scripted = 'echo'\nconcurrency = 3", "belong to an endpoint"),
        ("endpoint = 'http://h/v1'\nconcurrency = -1", "1 or more"),
        ("endpoint = 'http://h/v1'\ntemperature = 0.5", "temperature"),
        ("endpoint = 'http://h/v1'\nmax_tokens = 5", "max_tokens"),
    ],
)
def test_a_bad_table_is_named(tmp_path: Path, table: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        read_config(write(tmp_path, f"[models.x]\n{table}\n"))
    assert "models.toml" in str(caught.value)
    assert "one for all models" in caught.value.hint
