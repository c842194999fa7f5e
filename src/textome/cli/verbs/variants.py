"""`textome variants`: how a model of DNA judges the changes of a VCF file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from textome.cli.options import OutputFile, Precision, Threads
from textome.cli.streams import finish, say
from textome.errors import InputError

COLUMNS = ("chromosome", "position", "id", "reference", "alternative", "before", "after", "effect")


def variants(
    source: Annotated[str, typer.Argument(metavar="VCF", help="The variants; - is standard input.")],
    reference: Annotated[Path, typer.Option("--reference", "-r", help="The genome that they change, as FASTA.")],
    model: Annotated[str, typer.Option("--model", "-m", help="A model of DNA that was pretrained on hidden tokens.")],
    output: OutputFile = Path("-"),
    flank: Annotated[
        int | None, typer.Option(min=1, help="Bases read on each side; default: what the model can read.")
    ] = None,
    precision: Precision = None,
    threads: Threads = None,
) -> None:
    """Score variants: the log-likelihood of the sequence with the change minus that without it, as a table.

    Below zero the change makes the sequence less like what the model was trained on.

    Example: textome variants patient.vcf.gz --reference genome.fa --model runs/dna-pretrain/bundle --output effects.tsv
    """
    from textome.formats import Quarantine
    from textome.formats.reading.sources import Source, Target
    from textome.inputs.variants import contexts, read_vcf
    from textome.runtime.bundle import reads_records
    from textome.runtime.predictor import Predictor
    from textome.runtime.variant_effects import VariantScorer

    if not reads_records(model):
        raise InputError(f"--model {model}: this is not a model of DNA; see recipes/modalities/dna_pretrain.toml")
    scorer, quarantine = VariantScorer(Predictor.load(model, precision, threads)), Quarantine()
    records = list(read_vcf(Source.of(source), quarantine))
    around = contexts(records, (source, str(reference)), Source.of(reference), flank or scorer.flank, quarantine)
    readable = []
    for context in around:
        num_bases = max(len(context.before), len(context.after))
        if num_bases > scorer.modality.window:
            reason = f"the change and its surroundings have {num_bases} bases, the model reads {scorer.modality.window}"
            quarantine.add(source, context.variant.line, f"{reason}; give a smaller --flank")
        else:
            readable.append(context)
    count = 0
    with Target.of(output).open() as stream:
        stream.write(("\t".join(COLUMNS) + "\n").encode())
        for effect in scorer.effects(readable):
            one = effect.variant
            cells = [one.chromosome, str(one.position), one.name, one.reference, one.alternative]
            cells += [f"{value:.4f}" for value in (effect.before, effect.after, effect.score)]
            stream.write(("\t".join(cells) + "\n").encode())
            count += 1
    say(f"{count:,} variants with {scorer.modality.kind} windows of up to {scorer.modality.window} bases")
    finish(quarantine, count)
