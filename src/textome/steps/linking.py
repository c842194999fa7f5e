"""Identifiers: the concept that each entity names, from the bundled vocabulary and from vocabularies of the user's own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain

from pydantic import field_validator

from textome.documents import Document, Identifier, Span
from textome.errors import InputError
from textome.linking.binomials import full_binomials, nouns_of
from textome.linking.candidates import Candidate, Way, candidates, distinct, exact, near, two_conditions
from textome.linking.organisms import Organism, resolve, under_other_genera
from textome.linking.other_names import other_names
from textome.linking.reranking import Context
from textome.linking.species import HUMAN, GeneSpecies
from textome.linking.variant_genes import with_genes_of_variants
from textome.steps.step import StepSettings
from textome.text.abbreviations import find_abbreviations
from textome.vocabularies import BUNDLED, NameKind, Section, open_vocabulary
from textome.vocabularies.keys import bag_of, key_of

_LONG_FORM = "long_form"  # the attribute that the step for abbreviations gives
# Types of entities, as corpora and models write them, by the type that vocabularies have.
_TYPES = {
    "disease": "Disease", "specificdisease": "Disease", "diseaseclass": "Disease", "compositemention": "Disease",
    "modifier": "Disease", "diseaseorphenotypicfeature": "Disease", "phenotype": "Disease", "cancer": "Disease",
    "chemical": "Chemical", "chemicalentity": "Chemical", "drug": "Chemical", "simplechemical": "Chemical",
    "gene": "Gene", "geneorgeneproduct": "Gene", "protein": "Gene", "species": "Species", "organism": "Species",
    "organismtaxon": "Species", "cellline": "CellLine", "celltype": "CellType",
}  # fmt: skip
_WITH_OTHER_NAMES = frozenset({"Disease", "Chemical", "Gene"})
# How a short form may be found and yet stand for another name in the document that it is short for.
_DOUBTFUL_IN_SHORT = {"Disease": (Way.RELATED,), "Chemical": (Way.RELATED, Way.SYNONYM)}
_PATIENTS = frozenset({"patient", "patients", "inpatients", "outpatients", "participants", "volunteers", "individuals"})


class Linking(StepSettings):
    """The concepts that entities name, as CURIEs with score and label.

    vocabularies  indexes by path, the preferred first; "default" is the bundled one. Where the first has a name, the others
                  are not asked
    types         of the entities that are linked; None links all that a vocabulary has concepts for
    replace       also link entities that have identifiers already, and drop those
    candidates    how many identifiers an entity gets where it may name one of several concepts
    min_score     identifiers below it are left out; the default gives the best F1 by document on development documents
    patients      link "patients" and "participants" to human
    species       of genes where the text names no organism, as a number of the NCBI Taxonomy
    xrefs         prefixes of cross-references that follow the identifier, as "omim" and "mondo"
    """

    vocabularies: tuple[str, ...] = (BUNDLED,)
    types: tuple[str, ...] | None = None
    replace: bool = False
    candidates: int = 1
    min_score: float = 0.4
    patients: bool = True
    species: int = HUMAN
    xrefs: tuple[str, ...] = ()

    def __call__(self, documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            yield with_genes_of_variants(self.link(document))

    def link(self, document: Document) -> Document:
        """The document with identifiers. Mentions of one name and type have the same identifiers everywhere in it."""
        mentions = self._mentions(document)
        if not mentions:
            return document
        identifiers_of: dict[int, tuple[Identifier, ...]] = {}
        groups_of = self._named(mentions, document.text)
        context = _context(document, mentions, groups_of)
        for key, groups in groups_of.items():
            mention = mentions[key]
            if _is_unsure(mention, groups):
                groups = mention.resembling(self._sections[mention.type], groups, context)
            identifiers_of |= dict.fromkeys(mention.indices, self._chosen(groups))
        document = _with(document, identifiers_of)
        genes = [mention for mention in mentions.values() if mention.type == "Gene"]
        if genes:
            sections = self._sections["Gene"]
            symbols = {
                mention.text: _species_of_symbol(mention.text, exact(sections, mention.text)) for mention in genes
            }
            species = GeneSpecies(document, symbols)
            identifiers_of = {}
            for mention, named in _with_names_shared(genes, sections):
                groups = [_of_species(each, mention, species, self.species) for each in named]
                identifiers_of |= dict.fromkeys(mention.indices, self._chosen(groups))
            document = _with(document, identifiers_of)
        return document

    def current(self, curie: str) -> str:
        """The identifier that has replaced this one, where a vocabulary knows it; else this one."""
        sections = [section for each in self._sections.values() for section in each]
        if any(section.find(curie) is not None for section in sections):
            return curie
        return next((new for section in sections if (new := section.current(curie)) != curie), curie)

    def species_of_symbols(self, document: Document) -> dict[str, set[int]]:
        """The names of genes in a document, each with the species that have a gene of exactly this symbol."""
        bare = document.with_annotations([replace(entity, identifiers=()) for entity in document.entities])
        genes = [mention.text for mention in self._mentions(bare).values() if mention.type == "Gene"]
        return {name: _species_of_symbol(name, exact(self._sections["Gene"], name)) for name in genes}

    @field_validator("xrefs", "types", mode="before")
    @classmethod
    def _split(cls, values: object) -> object:
        """`omim,mondo` as two."""
        items = [values] if isinstance(values, str) else values
        if not isinstance(items, list | tuple):
            return values
        return [part.strip() for item in items for part in str(item).split(",") if part.strip()]

    @property
    def _sections(self) -> dict[str, list[Section]]:
        sections = sections_of(self.vocabularies)
        if self.types and (unknown := sorted(set(self.types) - set(sections))):
            raise InputError(
                f"no vocabulary has concepts of the type {unknown[0]}; there are {', '.join(sorted(sections))}"
            )
        return sections

    def _mentions(self, document: Document) -> dict[tuple[str, str], _Mention]:
        """The entities to link, by type and text: each name of a document once."""
        long_forms = _long_forms(document)
        mentions: dict[tuple[str, str], _Mention] = {}
        for index, entity in enumerate(document.entities):
            type = section_type(entity.type, self._sections)
            if type is None or (entity.identifiers and not self.replace) or (self.types and type not in self.types):
                continue
            if not self.patients and type == "Species" and entity.text.lower() in _PATIENTS:
                continue
            name = entity.attributes.get(_LONG_FORM) or long_forms.get(entity.text)
            mention = mentions.setdefault((type, entity.text), _Mention(type, entity.text, name, long_forms))
            mention.indices.append(index)
            mention.spans.append(Span(entity.start, entity.end))
        for type in _WITH_OTHER_NAMES & {type for type, _ in mentions}:
            same_type = {text: mention for (of_type, text), mention in mentions.items() if of_type == type}
            spans_of = {text: mention.spans for text, mention in same_type.items()}
            for item in other_names(spans_of, document.text, long_forms):
                same_type[item.name].other_names.append(item.other)
                if item.is_spelt_out:
                    same_type[item.name].spelt_out.append(long_forms.get(item.other, item.other))
                if item.is_explained and type == "Chemical":
                    same_type[item.name].explained_by.append(item.other)
        return mentions

    def unsure(self, document: Document, type: str) -> Iterator[Unsure]:
        """The mentions of a type of which no vocabulary has the name, or, of diseases, has it only as a related one."""
        mentions = self._mentions(document)
        groups_of = self._named(mentions, document.text)
        context = _context(document, mentions, groups_of)
        for key, groups in groups_of.items():
            if key[0] == type and _is_unsure(mentions[key], groups):
                yield mentions[key].unsure(self._sections[type], groups, context)

    def _named(
        self, mentions: Mapping[tuple[str, str], _Mention], text: str
    ) -> dict[tuple[str, str], list[list[Candidate]]]:
        """What has the names of the mentions, but for those of genes."""
        organisms = self._organisms(mentions.values(), text)
        return {
            key: organisms[mention.text] if mention.type == "Species" else mention.named(self._sections[mention.type])
            for key, mention in mentions.items()
            if mention.type != "Gene"
        }

    def _organisms(self, mentions: Iterable[_Mention], text: str) -> dict[str, list[list[Candidate]]]:
        """What the names of organisms stand for in this document, by name."""
        names = [mention for mention in mentions if mention.type == "Species"]
        if not names:
            return {}
        sections = self._sections["Species"]
        groups = {
            mention.text: _of_organism(mention, [item.text for item in names], text, sections) for mention in names
        }
        organisms = [
            Organism(mention.text, mention.spans, groups[mention.text][0][0] if groups[mention.text] else None)
            for mention in names
        ]
        resolve(organisms, text, sections)
        for item in organisms:
            before = groups[item.text]
            if item.candidate and not (before and item.candidate is before[0][0]):
                groups[item.text] = [[item.candidate]]
        return groups

    def _chosen(self, groups: Sequence[Sequence[Candidate]]) -> tuple[Identifier, ...]:
        chosen = [item for group in groups for item in distinct(group)[: self.candidates if len(groups) == 1 else 1]]
        return tuple(
            identifier
            for item in distinct(chosen)
            if item.score >= self.min_score
            for identifier in [
                Identifier(item.curie, round(item.score, 4), item.section.label(item.number)),
                *self._xrefs(item),
            ]
        )

    def _xrefs(self, item: Candidate) -> list[Identifier]:
        if not self.xrefs:
            return []
        curies = (curie for curie in item.section.xrefs(item.number) if curie.partition(":")[0] in self.xrefs)
        return [Identifier(curie, round(item.score, 4)) for curie in curies]


@dataclass(frozen=True, slots=True)
class Unsure:
    """A name that is only like those of a vocabulary, the entities that have it, the concepts that have it as a related
    name, and what the document says."""

    name: str
    indices: tuple[int, ...]
    sections: Sequence[Section]
    related: Sequence[Candidate]
    context: Context


@dataclass(slots=True)
class _Mention:
    """A name in a document, with all entities that are written so.

    explained_by   the names that it stands behind in brackets, as a short name
    other_names    what the document names the same thing
    spelt_out      of these those that it may be a short form of
    """

    type: str
    text: str
    long_form: str | None
    long_forms: dict[str, str]
    indices: list[int] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    explained_by: list[str] = field(default_factory=list)
    other_names: list[str] = field(default_factory=list)
    spelt_out: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Its long form where the document defines one, or what it explains, then the name itself; for a gene the symbol
        comes first."""
        names = [self.long_form, self.text] if self.long_form else [*self.explained_by, self.text, self._expanded]
        return names[::-1] if self.long_form and self.type == "Gene" else list(dict.fromkeys(names))

    @property
    def _expanded(self) -> str:
        return " ".join(self.long_forms.get(word, word) for word in self.text.split())

    def named(self, sections: Sequence[Section]) -> list[list[Candidate]]:
        """The candidates that have one of its names; of a long form of a chemical without any those of its
        short form. Where none has any, those of the names that the document has for the same."""
        for name in self.names:
            if matches := candidates(sections, name):
                if matches[0][0].way in _DOUBTFUL_IN_SHORT.get(self.type, ()):
                    matches = next(filter(None, (candidates(sections, other) for other in self.spelt_out)), matches)
                return [_confirmed(group, sections, self.long_form) for group in matches]
            if name == self.long_form and sections[0].has_near:
                known = exact(sections, self.text) if self.type == "Chemical" else []
                return [known] if known else []
        for name in self.other_names:
            if known := exact(sections, name):
                return [known]
        return []

    def resembling(
        self, sections: Sequence[Section], groups: list[list[Candidate]], context: Context
    ) -> list[list[Candidate]]:
        """The candidates with names like its own, where none has it, or only as a related one."""
        question = self.unsure(sections, groups, context)
        if self.type == "Disease" and not groups and (both := two_conditions(sections, question.name)):
            return both
        matches = near(sections, question.name, question.related, question.context)
        if not matches and self.long_form:
            return candidates(sections, self.text)
        return matches or groups

    def unsure(self, sections: Sequence[Section], groups: list[list[Candidate]], context: Context) -> Unsure:
        related = [item for group in groups for item in group]
        others = frozenset(context.curies) - {item.curie for item in related}
        name = self.long_form or self._expanded
        return Unsure(name, tuple(self.indices), sections, related, context._replace(curies=others))


@lru_cache(maxsize=8)
def sections_of(paths: tuple[str, ...]) -> dict[str, list[Section]]:
    """Of each type the sections of all vocabularies, in the order of preference. Each process opens a file once."""
    sections: dict[str, list[Section]] = {}
    for path in paths:
        vocabulary = open_vocabulary(path)
        for type in vocabulary.types:
            if section := vocabulary.section(type):
                sections.setdefault(type, []).append(section)
    return sections


def _with(document: Document, identifiers_of: Mapping[int, tuple[Identifier, ...]]) -> Document:
    """The document with identifiers of its entities, by their index."""
    if not identifiers_of:
        return document
    entities = [
        replace(entity, identifiers=identifiers_of[index]) if index in identifiers_of else entity
        for index, entity in enumerate(document.entities)
    ]
    return document.with_annotations(entities, document.relations)


def section_type(entity_type: str, known: Collection[str]) -> str | None:
    """The type of vocabularies for entities of a type; None where no vocabulary is for them."""
    for type in (entity_type, _TYPES.get(entity_type.replace("_", "").casefold(), "")):
        if type in known:
            return type
    return None


def _long_forms(document: Document) -> dict[str, str]:
    """The short forms that the document defines, with their long forms."""
    return {
        passage.text[item.short.start : item.short.end]: passage.text[item.long.start : item.long.end]
        for passage in document.passages
        for item in find_abbreviations(passage.text)
    }


def _context(
    document: Document,
    mentions: Mapping[tuple[str, str], _Mention],
    groups_of: Mapping[tuple[str, str], list[list[Candidate]]],
) -> Context:
    """What weighs where a disease is only near: the first answers to the mentions, and the words of the text."""
    if not any(key[0] == "Disease" and _is_unsure(mentions[key], groups) for key, groups in groups_of.items()):
        return Context()
    curies = frozenset(group[0].curie for groups in groups_of.values() for group in groups)
    return Context(curies, frozenset(bag_of(document.text).split()))


def _is_unsure(mention: _Mention, groups: Sequence[Sequence[Candidate]]) -> bool:
    """Whether nothing has the name, or, of a disease, only as a related one; species have no near names."""
    if not groups:
        return mention.type != "Species"
    return len(groups) == 1 and mention.type == "Disease" and groups[0][0].way is Way.RELATED


def _confirmed(group: list[Candidate], sections: Sequence[Section], long_form: str | None) -> list[Candidate]:
    """The candidates of a short form; those that its long form also names come first."""
    if len(group) < 2 or not long_form:
        return group
    named = {item.curie for item in exact(sections, long_form)}
    return sorted(group, key=lambda item: item.curie not in named)


def _of_organism(
    mention: _Mention, names: Sequence[str], text: str, sections: Sequence[Section]
) -> list[list[Candidate]]:
    """The taxa of a name: written out, where it is abbreviated; under another genus, where it is not known."""
    full = [] if mention.long_form else full_binomials(mention.text, text, names)
    for name in full:
        if matches := exact(sections, name):
            return [matches]
    if groups := mention.named(sections):
        return groups
    written_out = full[0] if full else mention.long_form or mention.text
    for form in (*under_other_genera(written_out, sections), *nouns_of(mention.text)):
        if matches := exact(sections, form):
            return [matches]
    return []


def _with_names_shared(
    genes: Sequence[_Mention], sections: Sequence[Section]
) -> Iterator[tuple[_Mention, list[list[Candidate]]]]:
    """The genes with their candidates; of those that have the name in the same way, the ones first that other names in
    the document may also stand for, as PSMD2 of all that are called `p97` where the text also says TRAP-2, then those that
    annotated texts name."""
    groups_of = [(mention, mention.named(sections)) for mention in genes]
    names_of: dict[str, set[str]] = {}
    for mention, groups in groups_of:
        for item in chain.from_iterable(groups):
            names_of.setdefault(item.curie, set()).add(key_of(mention.text, "symbols"))
    for mention, groups in groups_of:
        yield mention, [_by_names(group, names_of) for group in groups]


def _by_names(group: list[Candidate], names_of: Mapping[str, Collection[str]]) -> list[Candidate]:
    order = {key: number for number, key in reversed(list(enumerate((item.rank, item.way) for item in group)))}
    return sorted(
        group,
        key=lambda item: (order[item.rank, item.way], -len(names_of[item.curie]), not item.section.uses(item.number)),
    )


def _of_species(group: list[Candidate], mention: _Mention, organisms: GeneSpecies, default: int) -> list[Candidate]:
    """The candidates of a gene by how probable their species is, the most probable first; their scores include that."""
    taxa = sorted({item.taxon for item in group} | organisms.taxa | {default})
    probabilities = organisms.probabilities(mention.text, mention.spans, taxa, default)
    likeliest = max(taxa, key=lambda taxon: probabilities[taxon])
    if not any(item.taxon == likeliest for item in group):
        group = [*group, *_with_same_symbol(group, likeliest)]
    scored = [item._replace(score=item.score * probabilities[item.taxon]) for item in group]
    return sorted(scored, key=lambda item: -probabilities[item.taxon])


def _species_of_symbol(name: str, candidates: Iterable[Candidate]) -> set[int]:
    """The species that have a gene of exactly this symbol, capitals and all."""
    return {item.taxon for item in candidates if item.section.label(item.number) == name}


def _with_same_symbol(group: list[Candidate], taxon: int) -> list[Candidate]:
    """Genes of another species with the symbol of these genes: a name of `Snca` in mouse also names `SNCA` in human."""
    others = (
        item._replace(number=hit.number)
        for item in group
        for hit in item.section.look_up(item.section.label(item.number))
        if item.section.taxon(hit.number) == taxon and hit.kind in (NameKind.CONFIRMED, NameKind.LABEL)
    )
    return distinct(others)
