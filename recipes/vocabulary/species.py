"""Species: of the NCBI Taxonomy the taxa that texts are likely to name, with the names that MeSH has for them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from mesh import Mesh
from packages import (
    ENVIRONMENTAL,
    INVERTEBRATES,
    NO_RANK,
    PLANTS_AND_FUNGI,
    SPECIES,
    SYNTHETIC,
    VIRUSES,
    Taxon,
    Wheels,
    taxa_in,
)
from packages import common_names as read_common_names
from packages import taxa as read_taxa

from textome.linking.binomials import FAMILY, any_genus
from textome.vocabularies import Concept
from textome.vocabularies.keys import key_of

# Names that say that nobody knows the species.
_NO_NAME = re.compile(
    r"\b(sp|cf|aff|nr|x)\b|uncultured|unclassified|environmental|unidentified|metagenome|vector|\bbacterium\b"
    r"|\d{3}|[<>\[\]/]"
)
# A strain by its name, which the linker takes for the species anyway; subtypes of influenza viruses are named by texts.
_STRAIN = re.compile(r"([A-Z][a-z]+ [a-z-]+) (?:str\. |strain )?(?=\S*[A-Z0-9])[^.]+")
_SUBTYPE = re.compile(r"H\d+N\d+ subtype")
# Numbers rise with the year in which a taxon was first sequenced. Of species that nothing else speaks for, those below are
# kept: of plants, fungi and invertebrates, and viruses, whose species have few other sources.
_MAX_NUMBER = 1_050_000
_MAX_KNOWN = 300_000  # those below are also looked up under other genera
_MAX_STEPS = 3
_SPECIES_WORDS = Path(__file__).with_name("species_words.tsv")


def species(wheels: Wheels, mesh: Mesh, folder: Path) -> Iterator[Concept]:
    """Species and all above of microbes, viruses and vertebrates. Of other organisms what has a common name, a reference
    genome, an entry in Wikidata or a low number."""
    taxa = read_taxa(wheels, folder)
    names = {
        int(row[0]): row[1] for row in wheels.rows("pyobo", "pyobo/resources/ncbitaxon.tsv.gz") if row[0].isdigit()
    }
    common = read_common_names(wheels, folder)
    curated = _species_words()
    by_mesh = _names_of_mesh(mesh, names)
    known = named = set(common) | set(curated) | set(by_mesh)
    for table in ("taxid2refrep", "taxid2refseq"):
        known = known | taxa_in(wheels, table, folder)
    in_wikidata = taxa_in(wheels, "wikidata", folder)
    epithets, of_families = _single_epithets(names), _single_epithets_of_families(names, taxa)
    for number in sorted({*taxa, *curated, *by_mesh}):
        # A number that the taxonomy has merged into another since is still what corpora have.
        taxon, name = taxa.get(number, Taxon(number, SPECIES, VIRUSES, True)), names.get(number, "")
        if not name and number in by_mesh:
            name = by_mesh[number][0]
        if not name or taxon.division in (ENVIRONMENTAL, SYNTHETIC):
            continue
        is_wide = taxon.division in (INVERTEBRATES, PLANTS_AND_FUNGI)
        is_species = taxon.rank == SPECIES and taxon.is_specified
        is_known = number in known or number in in_wikidata or number < _MAX_KNOWN
        is_early = number < _MAX_NUMBER and taxon.rank == SPECIES and (is_species or taxon.division == VIRUSES)
        wanted = number in known or (
            number in in_wikidata or is_early or (not is_wide and (is_species or taxon.rank != SPECIES))
        )
        if not wanted or (_NO_NAME.search(name) and number not in known):
            continue
        if number not in named and _goes_by_species(number, name, taxa, names, in_wikidata):
            continue
        yield Concept(
            f"ncbitaxon:{number}",
            name,
            "Species",
            synonyms=(*([common[number]] if number in common else ()), *by_mesh.get(number, ())),
            related=(
                *(_abbreviated(name) if number in known and taxon.rank == SPECIES else ()),
                *([epithet] if is_known and (epithet := epithets.get(number) or of_families.get(number)) else ()),
            ),
            curated=tuple(curated.get(number, ())),
            parents=(f"ncbitaxon:{taxon.parent}",) if taxon.parent != number else (),
        )


def _names_of_mesh(mesh: Mesh, names: dict[int, str]) -> dict[int, list[str]]:
    """The names of MeSH's organisms, by the taxon of each: also former ones, as `Clostridium difficile`.

    Of a record with several taxa only the one counts that has a name of the record.
    """
    found: dict[int, list[str]] = defaultdict(list)
    for record in mesh.records.values():
        own = (record.label, *record.names)
        taxa = list(record.taxa)
        if len(taxa) > 1:
            keys = set(map(key_of, own))
            taxa = [number for number in taxa if key_of(names.get(number, "")) in keys]
        if len(taxa) == 1:
            found[taxa[0]] += own
    return found


def _single_epithets(names: dict[int, str]) -> dict[int, str]:
    """For species whose epithet no other species of the taxonomy has: the name under any genus: texts use former ones."""
    species: dict[str, list[int]] = defaultdict(list)
    for number, name in names.items():
        if epithet := any_genus(name):
            species[epithet].append(number)
    return {numbers[0]: epithet for epithet, numbers in species.items() if len(numbers) == 1}


def _single_epithets_of_families(names: Mapping[int, str], taxa: Mapping[int, Taxon]) -> dict[int, str]:
    """For species whose epithet no other species of the family has: the name under any genus of the family."""
    species: dict[str, list[int]] = defaultdict(list)
    family_of: dict[int, int] = {}
    for number, name in names.items():
        if number in taxa and taxa[number].rank == SPECIES and (epithet := any_genus(name)):
            genus = taxa[number].parent
            if genus not in family_of:
                family_of[genus] = _family(genus, taxa, names)
            if family := family_of[genus]:
                species[any_genus(name, f"ncbitaxon:{family}") or epithet].append(number)
    return {numbers[0]: epithet for epithet, numbers in species.items() if len(numbers) == 1}


def _family(number: int, taxa: Mapping[int, Taxon], names: Mapping[int, str]) -> int:
    """The family above a taxon, told by its name; 0 where there is none."""
    while number in taxa and taxa[number].parent != number:
        if FAMILY.fullmatch(names.get(number, "")):
            return number
        number = taxa[number].parent
    return 0


def _goes_by_species(
    number: int, name: str, taxa: Mapping[int, Taxon], names: Mapping[int, str], in_wikidata: set[int]
) -> bool:
    """Whether the linker gives the species above a taxon in its stead, as for strains, or nobody names it."""
    match = _STRAIN.fullmatch(name)
    above = number
    for _ in range(_MAX_STEPS if match else 0):
        above = taxa[above].parent if above in taxa else above
        if match and names.get(above) == match[1]:
            return above != number
    is_isolate = number in taxa and taxa[number].rank == NO_RANK and not taxa[number].is_specified
    return is_isolate and number not in in_wikidata and not _SUBTYPE.fullmatch(name)


def _abbreviated(name: str) -> tuple[str, ...]:
    """`E. coli` for Escherichia coli."""
    match = re.fullmatch(r"([A-Z])[a-z]+ ([a-z-]+)", name)
    return (f"{match[1]}. {match[2]}",) if match else ()


def _species_words() -> dict[int, list[str]]:
    """Everyday words for species, by number of the taxon."""
    lines = _SPECIES_WORDS.read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines if line.strip() and not line.startswith("#"))
    return {int(number): words.split("|") for number, words in rows}
