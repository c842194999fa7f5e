"""The name that bundles of images, sounds and the like had before `Bundle` was for them too; for one more version."""

from __future__ import annotations

from pathlib import Path

from textome.runtime.bundle import TEXT, Bundle, described
from textome.runtime.model_files import read_json

SEQUENCE_MODEL = "textome-sequence"


class ModalityBundle(Bundle):
    """A `Bundle` of a model of other things than text."""

    @property
    def pooling(self) -> str:
        return self.target.pooling

    @staticmethod
    def is_at(directory: str | Path) -> bool:
        """Whether a folder is the bundle of such a model, and not of a model of texts."""
        path = Path(directory) / "textome.json"
        return path.is_file() and described(read_json(path)).get("input", {}).get("kind", TEXT) != TEXT
