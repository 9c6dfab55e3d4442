"""Errors survive the way back from a worker process, whatever they were made with."""

import pickle

import pytest

from wardround import errors


@pytest.mark.parametrize(
    "error",
    [
        errors.InputError("two columns", path="a.csv", row=3, hint="remove one"),
        errors.InputError("empty", path="a.csv"),
        errors.UsageError("no such task", hint="see the list"),
        errors.ArtifactError("not sealed"),
    ],
)
def test_an_error_comes_back_whole(error: errors.WardroundError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))
