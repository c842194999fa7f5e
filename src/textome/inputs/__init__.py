"""How images, signals, DNA and molecules become sequences for the one encoder: the table of modalities, one line each.

A new modality is a module with a class (see records.Modality) and its place in this table. Nothing here needs PyTorch.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from textome.inputs.dna import Dna
from textome.inputs.images import Images
from textome.inputs.molecules import Molecules
from textome.inputs.sensors import Sensors
from textome.inputs.speech import Speech
from textome.inputs.tables import Tables
from textome.inputs.together import Together

AnyModality = Annotated[
    Images | Sensors | Speech | Dna | Molecules | Tables | Together,
    Field(discriminator="kind"),
]
