"""VCF files and the sequence around each variant."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source
from textome.inputs.variants import Context, Variant, contexts, read_vcf

HEAD = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
REFERENCE = ">chr1 a test\nACGTACGTAC\n>2\nggggTTTT\n"


def variants(lines: str, head: str = HEAD) -> tuple[list[Variant], list[str]]:
    quarantine = Quarantine()
    found = list(read_vcf(Source("v.vcf", data=(head + lines).encode()), quarantine))
    return found, [str(bad) for bad in quarantine.records]


def around(lines: str, flank: int = 3) -> tuple[list[Context], list[str]]:
    quarantine = Quarantine()
    found, _ = variants(lines)
    reference = Source("r.fa", data=REFERENCE.encode())
    return contexts(found, ("v.vcf", "r.fa"), reference, flank, quarantine), [str(bad) for bad in quarantine.records]


def test_each_alternative_is_one_variant() -> None:
    found, bad = variants("1\t4\trs1\tT\tG,TA\t.\t.\t.\n\n2\t1\t.\tg\ta\n")
    assert bad == []
    assert found == [
        Variant("1", 4, "rs1", "T", "G", "line 3"),
        Variant("1", 4, "rs1", "T", "TA", "line 3"),
        Variant("2", 1, ".", "G", "A", "line 5"),
    ]


def test_lines_that_are_no_variant_are_quarantined_with_their_place() -> None:
    found, bad = variants("1 4 . T G\n1\tx\t.\tT\tG\n1\t0\t.\tT\tG\n1\t4\t.\tT\t<DEL>,*,C\n1\t4\t.\tT\t.\n")
    assert [variant.alternative for variant in found] == ["C"]
    assert bad == [
        "v.vcf, line 3: expected 5 or more tab-separated columns, found 1",
        "v.vcf, line 4: POS is 'x', no number from 1",
        "v.vcf, line 5: POS is '0', no number from 1",
        "v.vcf, line 6: T > <DEL> is not a change of one sequence into another, so it is not scored",
        "v.vcf, line 6: T > * is not a change of one sequence into another, so it is not scored",
        "v.vcf, line 7: T > . is not a change of one sequence into another, so it is not scored",
    ]


@pytest.mark.parametrize("text", ["1\t4\t.\tT\tG\n", "", "##fileformat=VCFv4.3\n"])
def test_a_file_without_the_header_is_an_error(text: str) -> None:
    with pytest.raises(InputError, match="#CHROM header; is this a VCF file"):
        variants(text, head="")


def test_the_window_with_and_without_the_change() -> None:
    found, bad = around("1\t5\t.\tA\tG\nchr2\t4\t.\tGT\tG\nchr1\t2\t.\tC\tCTT\n1\t10\t.\tC\tA\n")
    assert bad == []
    assert [(item.before, item.after) for item in found] == [
        ("CGTACGT", "CGTGCGT"),
        ("GGGGTTTT", "GGGGTTT"),
        ("ACGTA", "ACTTGTA"),
        ("GTAC", "GTAA"),
    ]


def test_variants_that_do_not_fit_the_reference_are_quarantined() -> None:
    found, bad = around("1\t5\t.\tG\tA\n3\t1\t.\tA\tC\n1\t10\t.\tCC\tC\n2\t5\t.\tN\tA\n")
    assert [(item.before, item.after) for item in found] == [("GGGNTTT", "GGGATTT")]
    assert sorted(bad) == [
        "v.vcf, line 3: REF is G, but r.fa has A there; is it the same assembly?",
        "v.vcf, line 4: r.fa has no sequence 3",
        "v.vcf, line 5: chr1 has only 10 bases, the variant ends at 11",
    ]


@given(st.data())
def test_the_windows_are_the_genome_before_and_after(data: st.DataObject) -> None:
    genome = data.draw(st.text("ACGT", min_size=1, max_size=40))
    start = data.draw(st.integers(0, len(genome) - 1))
    end = data.draw(st.integers(start + 1, len(genome)))
    alternative = data.draw(st.text("ACGT", min_size=1, max_size=5))
    flank = data.draw(st.integers(0, 10))
    variant = Variant("1", start + 1, ".", genome[start:end], alternative, "line 3")
    (context,) = contexts([variant], ("v", "r"), Source("r", data=f">1\n{genome}\n".encode()), flank, Quarantine())
    changed = genome[:start] + alternative + genome[end:]
    left = max(0, start - flank)
    assert context.before == genome[left : end + flank]
    assert context.after == changed[left : start + len(alternative) + flank]


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "v.vcf.gz"
    path.write_bytes(gzip.compress((HEAD + "1\t4\t.\tT\tG\n").encode()))
    assert len(list(read_vcf(Source.of(path), Quarantine()))) == 1
