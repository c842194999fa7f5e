"""RECIPE FOLDER EPOCHS [OVERRIDE...]: fine-tune, resuming what is there; exit with status 9 after so many epochs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from textome.training import loop
from textome.training.finetune import finetune
from textome.training.recipe import load_recipe

save = loop.save_checkpoint


def saving(*arguments: Any, **keywords: Any) -> Path:
    place = save(*arguments, **keywords)
    if arguments[3]["epoch"] == int(sys.argv[3]):
        sys.exit(9)
    return place


loop.save_checkpoint = saving
finetune(load_recipe(sys.argv[1], sys.argv[4:]), Path(sys.argv[2]), resume=True)
