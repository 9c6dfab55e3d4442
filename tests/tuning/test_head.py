"""The output layer on supervised tokens alone: the same loss and gradients as on all, and nothing left on the model."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tuning.test_packing import example, tiny
from wardround.tuning import packing
from wardround.tuning.data import IGNORED, Example, collate

pytestmark = pytest.mark.torch

LENGTHS = (3, 17, 1, 40)


def gradients(model: Any) -> list[Any]:
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    return found


@pytest.mark.parametrize("kind", ["qwen3", "llama", "gemma2"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("of_the_step", [None, 57])
def test_loss_and_gradients_are_those_of_the_model_itself(
    kind: str, packed: bool, of_the_step: int | None
) -> None:
    import torch

    from wardround.tuning import head

    model = tiny(kind, "eager")
    assert head.applies(model)
    batch = [example(n, n) for n in LENGTHS]
    tensors = dict((packing.collate if packed else collate)(batch, pad=0))
    model.config.use_cache = False
    usual = model(**tensors, num_items_in_batch=of_the_step).loss
    usual.backward()
    expected = gradients(model)

    labels = tensors.pop("labels")
    selection = head.Selection(model)
    with selection.of(labels):
        outputs = model(**tensors)
    ours = head.loss(outputs, labels, of_the_step)
    ours.backward()
    supervised = int((labels[:, 1:] != IGNORED).sum())
    assert supervised <= len(outputs.logits) < labels.numel()
    torch.testing.assert_close(ours, usual)
    torch.testing.assert_close(gradients(model), expected)

    # Outside of a batch, and without the hook, the model gives all its logits.
    assert model(**tensors).logits.shape[:2] == labels.shape
    selection.remove()
    with selection.of(labels):
        assert model(**tensors).logits.shape[:2] == labels.shape


def test_a_batch_without_loss_has_none_and_no_gradient() -> None:
    import torch

    from wardround.tuning import head

    model = tiny("qwen3", "sdpa")
    tensors = dict(collate([example(9)], pad=0))
    labels = torch.full_like(tensors.pop("labels"), IGNORED)
    selection = head.Selection(model)
    with selection.of(labels):
        found = head.loss(model(**tensors), labels, 5)
    found.backward()
    assert float(found.detach()) == 0.0
    assert all(not g.any() for g in gradients(model))


def test_a_loss_on_every_token_is_filled_up_with_a_place_that_has_no_successor() -> None:
    from wardround.tuning import head

    ids = example(32).ids
    whole = Example(id="w", task="", document="", ids=ids, spans=((0, 32),))
    labels = collate([whole, whole], pad=0)["labels"]
    places = head.places(labels).tolist()
    assert len(places) == 64
    assert places[:62] == [n for n in range(64) if n % 32 != 31]
    assert set(places[62:]) == {63}


def test_models_that_add_to_their_loss_are_left_alone() -> None:
    from wardround.tuning import head

    model = tiny("qwen3", "sdpa")
    model.config.output_router_logits = True
    assert not head.applies(model)
