"""How images, signals, DNA, proteins and molecules become sequences or vectors: the table of modalities, one line each.

A new modality is a module with a class (see records.Modality) and its place in this table. Nothing here needs PyTorch.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from textome.inputs.dna import Dna
from textome.inputs.expression import Expression
from textome.inputs.images import Images
from textome.inputs.molecules import Molecules
from textome.inputs.pairs import Pairs
from textome.inputs.pixels.pixels import Pixels
from textome.inputs.proteins import Proteins
from textome.inputs.sensors import Sensors
from textome.inputs.speech import Speech
from textome.inputs.tables import Tables
from textome.inputs.together import Together

AnyModality = Annotated[
    Images | Pixels | Sensors | Speech | Dna | Molecules | Proteins | Expression | Tables | Together | Pairs,
    Field(discriminator="kind"),
]
