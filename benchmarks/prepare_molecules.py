"""What RDKit computes for recipes of molecules, in files for a machine that has no RDKit.

    python benchmarks/prepare_molecules.py recipes/modalities/bbbp.toml recipes/modalities/esol.toml --output prepared

The folder has the files of the recipes under the same names, with the valid molecules, their scaffolds, splits and other
spellings, and what the recipes' descriptors say. They are read by the same recipes: --set data.root=prepared.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from textome.formats.reading.folders import hash_of
from textome.formats.reading.sources import Quarantine, atomic_file
from textome.inputs.molecule_files import write_prepared
from textome.inputs.molecules import Molecules
from textome.training.recipe import load_recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    settings: dict[str, Molecules] = {}
    roots: dict[str, Path] = {}
    for path in arguments.recipes:
        recipe = load_recipe(path)
        if not isinstance(recipe.input, Molecules):
            parser.error(f"{path}: reads {recipe.input and recipe.input.kind}, not molecules")
        for place in (place for table in recipe.tasks for place in (*table.train, *table.validation, *table.test)):
            name = place.partition("#")[0]
            settings[name] = both(settings.get(name), recipe.input)
            roots[name] = Path(recipe.path(name))
    for name, modality in settings.items():
        quarantine = Quarantine()
        table = modality.table(str(roots[name]), quarantine)
        facts = {"source": name, "sha256": hash_of(Path(roots[name])), "quarantined": quarantine.count}
        with atomic_file(arguments.output / name) as stream:
            stream.write(write_prepared(table, facts))
        size = (arguments.output / name).stat().st_size / 1e6
        print(f"{name}: {len(table.molecules):,} molecules, {quarantine.count} quarantined, {size:.1f} MB")


def both(one: Molecules | None, other: Molecules) -> Molecules:
    """Settings that prepare a file for two recipes: the targets and descriptors of either."""
    if one is None:
        return other
    targets = tuple(dict.fromkeys((*one.targets, *other.targets)))
    descriptors = tuple(dict.fromkeys((*one.descriptors, *other.descriptors)))
    spellings = max(one.spellings, other.spellings)
    update = {"targets": targets, "descriptors": descriptors, "spellings": spellings}
    return Molecules.model_validate(other.model_dump() | update)


if __name__ == "__main__":
    main()
