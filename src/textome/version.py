"""The version, which everything else that names it takes from here."""

from __future__ import annotations

__version__ = "0.2.0"
