"""The Trainer's companion: progress, held-out loss, sample answers, figures, when to save and when to stop.

What it learns it keeps in the Trainer's own log (`log_history`), which is saved with every state, so a run that goes on
after a kill knows all that came before. Of several processes each has one, and all decide alike. This module imports the tuning stack at its top.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from wardround.errors import WardroundError
from wardround.progress import Progress
from wardround.tuning import checkpoints, evaluation, processes, sharded
from wardround.tuning.course import Course, Settings
from wardround.tuning.telling import Teller, Uncounted
from wardround.tuning.tracking import Figures, peak_memory_mb

_TIMED_STEPS = 10
_NAMED = 8


class Watch(TrainerCallback):  # type: ignore[misc]
    """Watches one training. `trainer` is set once there is one; `losses` are those of the batches since the last log."""

    def __init__(
        self, course: Course, settings: Settings, teller: Teller, progress: Progress | Uncounted
    ) -> None:
        self.trainer: Any = None
        self.losses: list[torch.Tensor] = []
        self.saving = False
        self._course = course
        self._settings = settings
        self._teller = teller
        self._progress = progress
        self.figures = Figures(settings, teller)
        self._tokens = tokens_by_step(course, settings.accumulate)
        self._note = ""
        self._first = self._logged = 0
        self._started = self._saved = time.monotonic()
        self._save_cost = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, *, model: Any, **_: Any) -> None:
        self._first = self._logged = state.global_step
        self.figures.begin(Path(args.output_dir), self._first)
        if self._first:
            self._progress.advance(self._first, f"continues after step {self._first}")
            self._teller.say("resumed", step=self._first)
        else:
            if processes.index():  # each its own dropout; a state that is gone on from has it
                torch.manual_seed(self._settings.seed + processes.index())
            if self._course.probes:
                self._ask(model, state)
        self._started = self._saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, *, model: Any, **_: Any) -> None:
        step = state.global_step
        self._progress.advance(1, self._note)
        last = step == state.max_steps
        if step - self._first == _TIMED_STEPS:
            self._estimate(step)
        log = (
            control.should_log
        )  # logging the held-out loss takes the wish to log the step's own back
        stop = False
        if self._course.held_out and (step % self._settings.eval_steps == 0 or last):
            stop = self._evaluate(model, state)
            if self._course.probes:
                self._ask(model, state)
        control.should_log = log or last or stop
        if stop:
            # No state is saved here: one would be gone on from, past the stop.
            control.should_training_stop = True
            self._teller.say(
                "stopped", f"held-out loss no longer falls, stops after step {step}", step=step
            )
            return
        # Saving may take at most a twentieth of the time, whatever the size of the model; unless 0 was asked.
        every = self._settings.save_seconds
        wait = max(every, 20 * self._save_cost) if every else 0.0
        if step % self._settings.log_steps == 0 and processes.told(
            time.monotonic() - self._saved >= wait
        ):
            self._saved = time.monotonic()
            control.should_save = self.saving = True

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **_: Any
    ) -> None:
        step = state.global_step
        if "loss" not in logs:
            if any(k.startswith("eval_") for k in logs):
                self.figures.add(step, {k: v for k, v in logs.items() if k != "epoch"})
            return
        if not math.isfinite(logs["loss"]):
            self._diverged(float(logs["loss"]), step)
        if not math.isfinite(logs.get("grad_norm") or 0.0):
            control.should_save = self.saving = False  # this step has spoilt the weights
        self.losses.clear()
        self._logged = step
        self._note = f"loss {logs['loss']:.3f}"
        spent = time.monotonic() - self._started
        values = {
            "loss": logs["loss"], "lr": logs.get("learning_rate"),
            "grad_norm": logs.get("grad_norm"), "tokens": self._tokens[step - 1],
            "tokens_per_second": round(self._rate(step, spent), 1),
            "peak_memory_mb": peak_memory_mb(),
        }  # fmt: skip
        self.figures.add(step, values)
        self._teller.say("step", step=step, steps=state.max_steps, **values)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        work = Path(args.output_dir)
        processes.agree()  # each has written its part
        if processes.leads():
            checkpoints.mark(work / f"checkpoint-{state.global_step}")
            checkpoints.drop_bests(work)
        now = time.monotonic()
        self._save_cost, self._saved = now - self._saved, now
        self.saving = False

    def _evaluate(self, model: Any, state: Any) -> bool:
        """Take the held-out loss, keep the weights when it is the lowest yet; whether to stop now."""
        course, step = self._course, state.global_step
        if course.objective:
            found = course.objective.measure(model, course.held_out_examples, course.held_out)
        else:
            losses = evaluation.losses(
                model, course.held_out_examples, course.held_out, pad=course.pad
            )
            found = {f"eval_loss/{t}" if t else "eval_loss": loss for t, loss in losses.items()}
        loss = found["eval_loss"]
        if not math.isfinite(loss):
            self._diverged(loss, step)
        self.trainer.log(found)
        self._note = f"held-out loss {loss:.3f}"
        others = {k: v for k, v in found.items() if not k.startswith("eval_loss")}
        self._teller.say("evaluation", step=step, eval_loss=loss, by_task={
            key.partition("/")[2]: v for key, v in found.items() if key.startswith("eval_loss/")
        }, **others)  # fmt: skip
        best = checkpoints.best_step(state.log_history)
        if best == step != state.max_steps and self._settings.keep_best:
            self.saving = True
            folder = checkpoints.best_folder(Path(self.trainer.args.output_dir), step)
            if processes.leads():
                shutil.rmtree(folder, ignore_errors=True)
            sharded.save(self.trainer, folder)
            self.saving = False
        since = [h for h in state.log_history if "eval_loss" in h and h["step"] > best]
        return 0 < self._settings.early_stop <= len(since) and step < state.max_steps

    def _ask(self, model: Any, state: Any) -> None:
        said: list[dict[str, str]] = []
        if processes.leads() or sharded.spread(self.trainer):  # spread weights run in all or none
            said = evaluation.answers(
                model, self._course.tokenizer, self._course.probes, most=self._settings.probe_tokens
            )
        said = processes.told(said)
        state.log_history.append({"step": state.global_step, "answers": said})

    def _diverged(self, loss: float, step: int) -> None:
        """Name the first batch whose own loss was no number, not just the step that was logged."""
        accumulate = self._settings.accumulate
        each = processes.count()
        mine = next((k for k, x in enumerate(self.losses) if not bool(torch.isfinite(x))), None)
        bad = [k * each + n for n, k in enumerate(processes.gathered(mine)) if k is not None]
        samples = ""
        if bad:
            batch = self._logged * accumulate * each + min(bad)
            step = batch // (accumulate * each) + 1
            ids = [self._course.examples[i].id for i in self._course.order[batch]]
            more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
            samples = f", in the batch with {', '.join(ids[:_NAMED])}{more}"
        raise WardroundError(
            f"{self._settings.stage}: the loss is {loss} at step {step}{samples}",
            hint="lower --learning-rate, or look at those samples; write to another --out",
        )

    def _rate(self, step: int, spent: float) -> float:
        before = self._tokens[self._first - 1] if self._first else 0
        return (self._tokens[step - 1] - before) / max(spent, 1e-9)

    def _estimate(self, step: int) -> None:
        rate = self._rate(step, time.monotonic() - self._started)
        left = (self._tokens[-1] - self._tokens[step - 1]) / rate
        self._teller.say(
            "estimate", f"{rate:,.0f} tokens/s, about {left:.0f} s to go",
            tokens_per_second=round(rate, 1), seconds_left=round(left, 1),
        )  # fmt: skip


def tokens_by_step(course: Course, accumulate: int) -> list[int]:
    """Tokens seen after each step, padding not counted."""
    totals, seen = [], 0
    of_a_step = accumulate * processes.count()
    for start in range(0, len(course.order), of_a_step):
        for batch in course.order[start : start + of_a_step]:
            seen += sum(len(course.examples[i].ids) for i in batch)
        totals.append(seen)
    return totals


def log_rows(
    history: Sequence[Mapping[str, Any]], course: Course, settings: Settings
) -> tuple[dict[str, Any], ...]:
    """The training log from the Trainer's: training losses and held-out losses by step, no times."""
    tokens = tokens_by_step(course, settings.accumulate)
    rows: list[dict[str, Any]] = []
    for entry in sorted(history, key=lambda e: (e["step"], "eval_loss" in e)):
        step = int(entry["step"])
        row: dict[str, Any] = {"stage": settings.stage, "step": step}
        if "eval_loss" in entry:
            row["eval_loss"] = round(entry["eval_loss"], 6)
            named = {
                key.partition("/")[2]: round(loss, 6)
                for key, loss in sorted(entry.items()) if key.startswith("eval_loss/")
            }  # fmt: skip
            others = measures(entry)
            rows.append(
                row
                | ({"by_task": named} if named else {})
                | ({"measures": others} if others else {})
            )
        elif "loss" in entry:
            rows.append(row | {
                "epoch": round(step / len(tokens) * course.epochs, 4),
                "loss": round(entry["loss"], 6), "lr": entry["learning_rate"],
                "tokens": tokens[step - 1],
            })  # fmt: skip
    return tuple(rows)


def measures(entry: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """What else an evaluation measured than the loss: by name, then by task, of all under ""."""
    found: dict[str, dict[str, float]] = {}
    for key, value in sorted(entry.items()):
        name, _, task = key.removeprefix("eval_").partition("/")
        if key.startswith("eval_") and name != "loss":
            found.setdefault(name, {})[task] = round(value, 6)
    return found


def strip_rows(
    history: Sequence[Mapping[str, Any]], course: Course, stage: str
) -> tuple[dict[str, Any], ...]:
    """What was said to every probe at every step it was asked, in the order of the probes."""
    said = sorted((h for h in history if "answers" in h), key=lambda h: int(h["step"]))
    texts = {(h["step"], a["id"]): a["text"] for h in said for a in h["answers"]}
    return tuple(
        {
            "stage": stage, "id": p.id, "task": p.task, "prompt": p.prompt,
            "reference": p.reference,
            "answers": [{"step": h["step"], "text": texts[h["step"], p.id]} for h in said],
        }
        for p in course.probes
    )  # fmt: skip
