"""One training: the Trainer over batches in a given order, with exact resume, held-out loss and a log.

The order of all batches is computed beforehand (`data.batches`) and fed one by one, so nothing of it lives in
a random state. What does (dropout), the optimiser and the schedule are in the Trainer's saved state; the
same command after a kill continues from the latest whole one and ends with the same weights, bit for bit on
one CPU with one number of threads. States are saved only after steps whose loss was logged, so the log
continues unchanged too. How often is a matter of time, and has no influence on the result.

Of several processes, number r of w has the batches r, r + w, …: a step then takes the very batches it would take in one
process that accumulates w times as many, and the loss of each token weighs the same. Where the order doesn't divide,
what is missing at its end are batches without loss.

This module imports the tuning stack at its top: import it inside functions, after `stack.require()`.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PrinterCallback, Trainer, TrainingArguments

from wardround.errors import UsageError, WardroundError
from wardround.records import Record
from wardround.tuning import checkpoints, head, packing, processes, sharded
from wardround.tuning.course import Course, Settings
from wardround.tuning.data import IGNORED, Example, collate
from wardround.tuning.telling import Teller
from wardround.tuning.watch import Watch, log_rows, strip_rows


class Fitted(Record, frozen=True, kw_only=True):
    """What came of it: rows of the training log and of the sample answers, the last step, the step with the lowest
    held-out loss (0 where none was taken), and the folder of its weights where they aren't the last."""

    rows: tuple[dict[str, Any], ...]
    answers: tuple[dict[str, Any], ...]
    step: int
    best_step: int
    best: Path | None


class _Batches:
    """The order as a map-style dataset: item n is batch n, and whether it only fills up the last step."""

    def __init__(self, course: Course) -> None:
        self._course = course

    def __len__(self) -> int:
        return math.ceil(len(self._course.order) / processes.count()) * processes.count()

    def __getitem__(self, n: int) -> tuple[list[Example], bool]:
        filler = n >= len(self._course.order)
        batch = self._course.order[0 if filler else n]
        return [self._course.examples[i] for i in batch], filler


class _Trainer(Trainer):  # type: ignore[misc]
    """The Trainer, with each batch's own loss kept until the next log, so that a bad one can be named."""

    watch: Watch
    course: Course
    selection: head.Selection | None = None

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, **more: Any
    ) -> Any:
        """The objective's loss, or as the Trainer's."""
        if self.course.objective:
            weight = 0.0 if inputs.pop("filler") else self._weight()
            loss = self.course.objective.loss(model, inputs) * weight
            self.watch.losses.append(loss.detach())
            return loss
        only = self.selection.of(inputs["labels"]) if self.selection else contextlib.nullcontext()
        with only:
            found = super().compute_loss(model, inputs, return_outputs=return_outputs, **more)
        self.watch.losses.append((found[0] if return_outputs else found).detach())
        return found

    def _weight(self) -> float:
        """What a batch's mean loss weighs: 1, but more in a last step that is filled up, since the Trainer divides by
        all its batches."""
        places = self.current_gradient_accumulation_steps * processes.count()
        whole = self.args.gradient_accumulation_steps * processes.count()
        left = len(self.course.order) - whole * self.state.global_step
        return float(places / min(whole, left))


def fit(model: Any, course: Course, settings: Settings, work: Path) -> Fitted:
    """Train `model` in place. `work` keeps the states to resume from.

    Raises `WardroundError` when the loss is no longer a number, naming step and samples, and when a state can't be
    written; the states before it stay whole. Of several processes the first one has the trained `model` at the end.
    """
    with processes.lockstep():
        return _fit(model, course, settings, work)


def _fit(model: Any, course: Course, settings: Settings, work: Path) -> Fitted:
    resume = processes.told(checkpoints.newest(work) if processes.leads() else None)
    steps = steps_of(len(course.order), settings.accumulate)
    arguments = _arguments(settings, steps, work, experts=_has_experts(model))
    teller = Teller(settings.stage, machine=settings.machine)
    with teller.counting(steps) as progress:
        watch = Watch(course, settings, teller, progress)
        trainer = _Trainer(
            model=model, args=arguments, train_dataset=_Batches(course), callbacks=[watch],
            data_collator=lambda one: _gather(course, *one[0]),
        )  # fmt: skip
        trainer.course = course
        if (
            course.objective
        ):  # its loss is a mean: the Trainer has to divide it by the batches of a step
            trainer.model_accepts_loss_kwargs = False
        elif head.applies(model):
            trainer.selection, trainer.compute_loss_func = head.Selection(model), head.loss
        trainer.remove_callback(PrinterCallback)
        trainer.watch, watch.trainer = watch, trainer
        whole = False
        try:
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
            whole = True
        except ValueError as e:
            if "DeepSpeed config" not in str(e):
                raise
            raise UsageError(
                f"deepspeed: {e}", hint="the values that belong to the training must be auto"
            ) from e
        except (OSError, SafetensorError, RuntimeError) as e:
            if not watch.saving or processes.lost(e):
                raise
            raise _not_saved(e, trainer.state.global_step, work) from e
        finally:
            watch.figures.end(whole=whole)
            if trainer.selection:
                trainer.selection.remove()
    sharded.gather(trainer, model)
    history = trainer.state.log_history
    last, best = int(trainer.state.global_step), checkpoints.best_step(history)
    folder = checkpoints.best_folder(work, best)
    return Fitted(
        rows=log_rows(history, course, settings),
        answers=strip_rows(history, course, settings.stage),
        step=last, best_step=best,
        best=folder if settings.keep_best and 0 < best < last else None,
    )  # fmt: skip


def _gather(course: Course, batch: list[Example], filler: bool) -> Any:
    if course.objective:
        return {**course.objective.gather(batch), "filler": torch.tensor(filler)}
    tensors = (packing.collate if course.packed else collate)(batch, pad=course.pad)
    if filler:
        tensors["labels"].fill_(IGNORED)
    return tensors


def _not_saved(cause: Exception, step: int, work: Path) -> WardroundError:
    before = checkpoints.step_of(checkpoints.newest(work))
    kept = f"the state of step {before} is whole" if before else "no state was saved before it"
    return WardroundError(
        f"{work}: the state of step {step} can't be written ({' '.join(str(cause).split())[:200]}); {kept}",
        hint="free some space, then run the same command again: it goes on from there",
    )


def steps_of(batch_count: int, accumulate: int) -> int:
    """Optimiser steps in `batch_count` batches, `accumulate` of every process making one."""
    return math.ceil(batch_count / (accumulate * processes.count()))


def _arguments(settings: Settings, steps: int, work: Path, *, experts: bool) -> Any:
    cpu = not torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(work),
        per_device_train_batch_size=1,
        gradient_accumulation_steps=settings.accumulate,
        max_steps=steps,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=max(1, round(settings.warmup * steps)),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.clip,
        bf16=settings.bf16,
        use_cpu=cpu,
        full_determinism=not cpu,
        activation_checkpointing=settings.gradient_checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        seed=settings.seed,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        dataloader_pin_memory=not cpu,
        logging_steps=settings.log_steps,
        logging_nan_inf_filter=False,
        save_strategy="no",
        eval_strategy="no",
        report_to=[],
        disable_tqdm=True,
        ddp_timeout=processes.PATIENCE_S,
        ddp_find_unused_parameters=experts,  # a batch may leave some of them out
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # else the Trainer splits each batch over all GPUs with DataParallel
    return arguments


def _has_experts(model: Any) -> bool:
    config = model.config.get_text_config()
    return any(
        getattr(config, n, None) for n in ("num_experts", "num_local_experts", "n_routed_experts")
    )
