"""The loop that every run goes through, whatever it trains; the loop knows no task and no data.

A run's folder holds `metrics.jsonl`, `checkpoints/` and `best.safetensors`. Started again with `resume`, a stopped run goes
on from its last checkpoint and gives the weights that it would have given undisturbed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from textome.encoders.checkpoint import write_tensors
from textome.errors import InputError
from textome.formats.reading.sources import atomic_file
from textome.training.devices import autocast, end_step, gradient_scaler, precision_for
from textome.training.optimisation.checkpoints import load_checkpoint, save_checkpoint
from textome.training.optimisation.course import Epochs, Progress, Streamed, Tokens
from textome.training.optimisation.finite import LossWatch
from textome.training.optimisation.gradients import Batches, Gradients
from textome.training.optimisation.optimiser import build_optimizer, set_rate
from textome.training.parallel.processes import Processes
from textome.training.parallel.sharding import clip_gradients, load_whole_state, whole_state
from textome.training.recipe import Training
from textome.training.run import Log, Report, written
from textome.training.techniques.averaging import holding, move

REPORT_EVERY = 20


class Job(Batches, Protocol):
    """What a run trains. Its batches are whatever `plan` makes and the others take, mostly indices of examples.

    model       in which the weights change
    metric      the name of what `validate` returns, as "F1"
    """

    metric: str

    def plan(self, epoch: int) -> Sequence[Any]:
        """The batches of an epoch in their order: always the same for the same epoch, since a resumed run asks again."""

    def validate(self) -> Mapping[str, Any]:
        """The metric on each validation set by its name, between 0 and 1, more is better, or several scores by their names
        of which the metric is one; empty where there is none.

        Called under autocast and without gradients, with the model in evaluation mode.
        """


def train(
    job: Job,
    settings: Training,
    folder: Path,
    device: torch.device,
    resume: bool,
    report: Report,
    gradients_of: Callable[..., Gradients] = Gradients,
    processes: Processes | None = None,
    finish: bool = False,
    measured: Callable[[float], Mapping[str, float]] = lambda seconds: {},
    **log_values: Any,
) -> Progress:
    """Train `job.model` by the settings of a recipe; at the end it holds the weights that `settings.select` names.

    report   is called with each metrics record as it is written, for a progress bar or plain lines
    gradients_of   what computes the gradients of a batch
    processes      that train together, each called with the same; the first alone writes
    finish   no batch more: the run ends with the weights of its last checkpoint, or their running mean
    measured   gives more numbers about the last steps, which took so many seconds
    log_values are added to the record of the start

    Raises DivergedError where the loss is NaN; the last checkpoint stays as it is. Raises InputError where a run is
    to be finished that has no checkpoint.
    """
    processes = processes or Processes.alone(device)
    optimizer = build_optimizer(job.model, settings)
    progress = Progress()
    average: dict[str, Tensor] = {}
    damaged: list[str] = []
    if resume and (state := load_checkpoint(folder / "checkpoints", job.model, optimizer, average, damaged.append)):
        progress = Progress(**state)
    if finish and not progress.step:
        raise InputError(f"{folder}: there is no checkpoint to finish the run with; let it train for longer")
    if settings.average and not average:
        average = {name: tensor.clone() for name, tensor in job.model.state_dict().items()}
    log = Log(folder, progress.step, report, write=processes.first, mlflow=settings.mlflow)
    precision = precision_for(settings.precision, device)
    scaler = gradient_scaler(device, precision)
    scaler.load_state_dict(progress.scaler or scaler.state_dict())
    gradients = gradients_of(
        job,
        settings,
        device,
        precision,
        scaler,
        min((budget for budget in (progress.micro_budget, settings.micro_budget) if budget), default=None),
        lambda message: log.write(event="memory", step=progress.step, message=message),
        processes,
    )
    course: Epochs | Tokens = Tokens(cast(Streamed, job), settings) if settings.tokens else Epochs(job, settings)
    for message in damaged:
        log.write(event="damaged", message=message)
    begun = {"precision": precision, "device": device.type, "processes": processes.count}
    log.write(event="start", **begun, **({"steps": course.steps} if isinstance(course, Epochs) else {}), **log_values)
    if course.evaluates_first and progress.evaluated < 0:
        _validate(job, settings, processes, precision, progress, folder, log)

    clock = saved = time.monotonic()
    tokens = 0
    watch = LossWatch(folder)
    if finish and progress.batch:  # the epoch counts, though it is not whole
        progress.epoch += 1
        with holding(job.model, average):
            _validate(job, settings, processes, precision, progress, folder, log)
    while not finish and not course.ended(progress) and not _no_better(progress, settings.patience):
        job.model.train()
        for batch in course.batches(progress):
            if processes.count > 1 or course.own_draws:  # of each step, and the same when the run is resumed
                torch.manual_seed(hash((settings.seed, progress.step, processes.rank)) % 2**63)
            set_rate(optimizer, course.rate(progress, batch))
            where = f"step {progress.step} (epoch {progress.epoch + 1}, batch {progress.batch})"
            loss, used = gradients.add(batch, f"{folder}, step {progress.step}")
            if gradients.budget != settings.micro_budget:
                progress.micro_budget = gradients.budget
            watch.step(where, loss)
            scaler.unscale_(optimizer)
            norm = clip_gradients(job.model.parameters(), settings.max_grad_norm)
            scaler.step(optimizer)
            scaler.update()
            end_step(device)
            progress.scaler = scaler.state_dict()
            optimizer.zero_grad(set_to_none=True)
            progress.step += 1
            move(average, job.model, settings.average, progress.step)
            course.move(progress, batch)
            tokens += used
            if progress.step % REPORT_EVERY == 0:
                now = time.monotonic()
                log.write(
                    event="step",
                    step=progress.step,
                    **course.log_values(progress),
                    loss=float(loss),
                    learning_rate=optimizer.param_groups[0]["lr"],
                    gradient_norm=float(norm) if norm.isfinite() else None,
                    tokens_per_second=tokens / (now - clock),
                    **measured(now - clock),
                )
                clock, tokens = now, 0
            due = time.monotonic() - saved > 60 * settings.checkpoint_minutes
            if settings.sharding == "full":  # all take part, so they must agree; that makes them wait, so it is rare
                due = progress.step % REPORT_EVERY == 0 and processes.agree(due)
            if due:
                watch.check()
                _save(folder, job, optimizer, progress, average, processes)
                saved = time.monotonic()
        watch.check()
        progress.epoch += 1
        if isinstance(course, Epochs):
            progress.batch = 0
        with holding(job.model, average):
            _validate(job, settings, processes, precision, progress, folder, log)
        _save(folder, job, optimizer, progress, average, processes)
        saved = clock = time.monotonic()
        tokens = 0
    if settings.select == "best" and progress.best_epoch > 0:
        processes.wait()  # for the first, which writes it
        load_whole_state(job.model, load_file(folder / "best.safetensors"))
    elif average:
        job.model.load_state_dict(average)
    log.write(event="end", best_epoch=progress.best_epoch, best=progress.best)
    log.close()
    return progress


def _save(
    folder: Path,
    job: Job,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    average: Mapping[str, Tensor],
    processes: Processes,
) -> None:
    save_checkpoint(folder / "checkpoints", job.model, optimizer, vars(progress), average, write=processes.first)


def _no_better(progress: Progress, patience: int | None) -> bool:
    """Whether the last `patience` epochs gave no better validation score than those before."""
    return patience is not None and progress.best_epoch > 0 and progress.epoch - progress.best_epoch >= patience


def _validate(
    job: Job, settings: Training, processes: Processes, precision: str, progress: Progress, folder: Path, log: Log
) -> None:
    """Every process validates, since a sharded model takes all of them, and all decide the same."""
    job.model.eval()
    with torch.no_grad(), autocast(processes.device, precision):
        scores = dict(job.validate())
    main = [item[job.metric] if isinstance(item, Mapping) else item for item in scores.values()]
    mean = sum(main) / len(main) if main else 0.0
    progress.scores.append(scores | {"mean": mean})
    progress.evaluated = progress.tokens
    where = {"step": progress.step, "epoch": progress.epoch} | ({"tokens": progress.tokens} if settings.tokens else {})
    log.write(event="validation", **where, metric=job.metric, scores=scores, mean=mean)
    if scores and mean > progress.best and (settings.select == "best" or not settings.tokens):
        progress.best, progress.best_epoch = mean, progress.epoch
        weights = {name: tensor.contiguous() for name, tensor in whole_state(job.model).items()}
        if processes.first:
            with written(path := folder / "best.safetensors"), atomic_file(path) as stream:
                write_tensors(Path(stream.name), weights)  # takes less memory than their bytes
