"""Training by a recipe: read top to bottom, this is the whole run, of whatever kind; `loop` goes through its batches.

A run's folder holds `recipe.json` (resolved), `environment.json`, `data.json` (hashes and counts), what the loop writes,
`scores.json` where there are test data to score, and at the end the bundle in `bundle/`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from textome.training.bundles import environment
from textome.training.devices import autocast, precision_for
from textome.training.job import Job
from textome.training.jobs import JOBS
from textome.training.loop import train
from textome.training.optimisation.course import Progress
from textome.training.parallel.processes import Processes, running
from textome.training.parallel.sharding import gather_weights
from textome.training.recipe import Recipe
from textome.training.run import Report, report_quarantine, write_json
from textome.training.techniques.distillation import compared
from textome.training.techniques.privacy import Recorded, train_privately


def finetune(
    recipe: Recipe[Any],
    folder: Path,
    resume: bool = False,
    report: Report = lambda event: None,
    finish: bool = False,
) -> Path:
    """Train by a recipe and return the folder of the finished bundle.

    report   is called with each metrics record as it is written, for a progress bar or plain lines
    finish   a run that was stopped ends with the weights that it has, see `loop.train`

    Raises InputError where the folder holds another run, data are missing, or the loss is NaN.
    """
    with running(recipe, folder, resume) as processes:
        report = report if processes.first else lambda event: None
        job, unsharded, progress, more = _trained(recipe, folder, resume, report, processes, finish)
        if processes.first:
            if "test" in more:
                write_json(folder / "scores.json", more["test"])
            job.write(folder / job.output, unsharded, vars(progress), more)
        processes.wait()
        report_quarantine(job.quarantines, report)
    return folder / job.output


def trained_job(recipe: Recipe[Any], folder: Path) -> tuple[Job, Progress]:
    """The job of a finished run, whose model is the trained one, in evaluation mode; no bundle is written."""
    with running(recipe, folder, False) as processes:
        job, _, progress, _ = _trained(recipe, folder, False, lambda event: None, processes)
    return job, progress


def _trained(
    recipe: Recipe[Any], folder: Path, resume: bool, report: Report, processes: Processes, finish: bool = False
) -> tuple[Job, nn.Module, Progress, dict[str, Any]]:
    """A finished job, its model with all its weights, and what its bundle tells beside them."""
    device, settings = processes.device, recipe.training
    job = JOBS[recipe.kind](recipe, folder, processes, report)
    if processes.first:
        write_json(folder / "data.json", job.report())
        write_json(folder / "environment.json", environment(device))
    unsharded = processes.sharded(job.bare, job.root, settings.sharding)
    more: dict[str, Any] = {}
    log_values: dict[str, Any] = {"processes": processes, "finish": finish, "measured": job.measured} | job.log_values
    if recipe.privacy is None:
        progress = train(job, settings, folder, device, resume, report, **log_values)
    else:
        recorded = cast(Recorded, job)  # as all jobs are that the table of techniques lets through
        progress, more["privacy"] = train_privately(
            recorded, recipe.privacy, settings, folder, device, resume, report, **log_values
        )
    job.finish()
    job.bare.eval()
    with torch.no_grad(), autocast(device, precision_for(settings.precision, device)):
        job.calibrate()
        if test := job.tasks[0].test(job.bare):
            more["test"] = {name: value for name, value in test.items() if value == value}  # JSON knows no NaN
    gather_weights(unsharded, job.bare)
    if job.teacher is not None:
        measured = compared({"teacher": job.teacher.model, "student": job.bare}, job.score)
        write_json(folder / "distillation.json", measured)
        report({"event": "distilled", "metric": job.metric} | measured)
    return job, unsharded, progress, more
