"""RECIPE FOLDER EPOCHS [OVERRIDE...]: fine-tune, resuming what is there; exit with status 9 after so many epochs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from textome.training import loop
from textome.training.kinds import plan_run

save = loop.save_checkpoint


def saving(*arguments: Any, **keywords: Any) -> Path:
    place = save(*arguments, **keywords)
    if arguments[3]["epoch"] == int(sys.argv[3]):
        sys.exit(9)
    return place


loop.save_checkpoint = saving
plan_run(Path(sys.argv[1]), sys.argv[4:]).start(Path(sys.argv[2]), True, lambda record: None)
