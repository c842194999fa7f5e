"""Gene expression: both ways round, bad cells, genes chosen and scaled by training samples alone, and explained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from textome.cli.main import application
from textome.documents import Record
from textome.errors import InputError
from textome.explain.records import explain_content
from textome.formats import Quarantine
from textome.inputs.expression import Expression, _f_statistic
from textome.runtime.predictor import Predictor
from tiny_modalities import train


def read(folder: Path, text: str, quarantine: Quarantine | None = None, **settings: Any) -> list[Record]:
    (folder / "m.csv").write_text(text, encoding="utf-8")
    return list(Expression(**settings).read(str(folder / "m.csv"), quarantine or Quarantine()))


def test_genes_in_rows_and_in_columns_are_the_same_samples(tmp_path: Path) -> None:
    rows = read(tmp_path, "gene,about,s1,call,s2,call\nBRCA1,x,5,P,7,A\nTP53,y,,A,2.5,P\n", skip=("about", "call"))
    assert [(record.id, record.content) for record in rows] == [("s1", {"BRCA1": 5}), ("s2", {"BRCA1": 7, "TP53": 2.5})]
    columns = read(tmp_path, "id,BRCA1,TP53,kind\ns1,5,NA,a\ns2,7,2.5,b\n", genes_in="columns", label="kind")
    assert [record.content for record in columns] == [record.content for record in rows]
    assert [record.target for record in columns] == ["a", "b"]


def test_labels_come_from_the_table_beside_the_matrix(tmp_path: Path) -> None:
    (tmp_path / "labels.tsv").write_text("who\twhat\ns2\tAML\n", encoding="utf-8")
    text = "gene,s1,s2\nA,1,2\n"
    records = read(tmp_path, text, outcomes="labels.tsv", sample="who", label="what")
    assert [record.target for record in records] == [None, "AML"]
    with pytest.raises(InputError, match="there is no column 'sample'; the columns are who, what"):
        read(tmp_path, text, outcomes="labels.tsv", label="what")


def test_bad_rows_and_samples_are_quarantined_with_line_and_reason(tmp_path: Path) -> None:
    quarantine = Quarantine()
    text = "gene,s1,s2\nA,1,2\nA,3,4\nB,high,1\nC,1\n,1,2\nD,3,inf\n"
    assert [record.content for record in read(tmp_path, text, quarantine)] == [{"A": 1}, {"A": 2}]
    assert [str(item).split(": ", 1)[1] for item in quarantine.records] == [
        "'A' stands twice; the second row is left out",
        "'high' is not a level of a gene; leave a gap empty",
        "expected 3 cells, found 2",
        "the cell in column 'gene' is empty",
        "'inf' is not a level of a gene; leave a gap empty",
    ]
    quarantine = Quarantine()
    assert [record.id for record in read(tmp_path, "gene,s1,s2\nA,1,\n", quarantine)] == ["s1"]
    assert "sample s2" in str(quarantine.records[0])
    with pytest.raises(InputError, match=r"the column .s1. stands twice; name it in input\.skip"):
        read(tmp_path, "gene,s1,s1\nA,1,2\n")
    with pytest.raises(InputError, match="only levels above 0 have a logarithm"):
        read(tmp_path, "gene,s1\nA,1\n", floor=0.0)


def samples(count: int = 24, genes: int = 40, seed: int = 3) -> list[Record]:
    """Samples of two classes that gene G7 tells apart; the other genes are noise, some of it large."""
    generator = np.random.default_rng(seed)
    records = []
    for number in range(count):
        levels = {f"G{gene}": float(2 ** generator.normal(8, 1 + gene % 3)) for gene in range(genes)}
        levels["G7"] = float(2 ** (6 + 4 * (number % 2) + generator.normal(0, 0.3)))
        records.append(Record(f"s{number}", content=levels, target="ab"[number % 2]))
    return records


def test_genes_are_chosen_and_scaled_by_the_training_samples_alone() -> None:
    records = samples()
    fitted = Expression(max_genes=5).fitted(records)
    assert next(iter(fitted.genes)) == "G7"
    assert len(fitted.genes) == 5
    assert Expression(max_genes=5).fitted(records) == fitted
    no_classes = [Record(record.id, content=record.content) for record in records]
    assert all(int(gene[1:]) % 3 == 2 or gene == "G7" for gene in Expression(max_genes=5).fitted(no_classes).genes)
    part = fitted.features(records[0].content)["expression"]
    number = list(fitted.genes).index("G7")
    levels = np.log2([record.content["G7"] for record in records])
    assert part.values[number, number] == pytest.approx((levels[0] - levels.mean()) / levels.std(), abs=1e-4)
    with pytest.raises(InputError, match="none of the 5 genes that the model reads, as G7"):
        fitted.features({"elsewhere": 1.0})


def test_the_merit_of_a_gene_is_the_f_statistic_of_an_analysis_of_variance() -> None:
    from scipy.stats import f_oneway

    generator = np.random.default_rng(1)
    levels, classes = generator.normal(size=(30, 6)), [str(number % 3) for number in range(30)]
    levels[0, 2] = np.nan
    expected = [
        f_oneway(
            *([x for x, own in zip(column, classes, strict=True) if own == name and np.isfinite(x)] for name in "012")
        )
        for column in levels.T
    ]
    np.testing.assert_allclose(_f_statistic(levels, classes), [item.statistic for item in expected], rtol=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.dictionaries(st.sampled_from([f"G{n}" for n in range(40)]), st.floats(-1e6, 1e6), min_size=1))
def test_every_reading_gives_one_token_for_each_known_gene(content: dict[str, float]) -> None:
    for reading in ("number", "bin", "rank"):
        fitted = Expression(max_genes=20, reading=reading).fitted(samples())
        known = [gene for gene in fitted.genes if gene in content]
        if not known:
            continue
        part, shape = fitted.features(content)["expression"], fitted.shapes()["expression"]
        assert len(part.values) == len(part.positions) == len(known)
        assert 0 <= part.positions.min() <= part.positions.max() < shape.axes[0]
        assert np.isfinite(part.values).all()
        if reading == "rank":
            assert sorted(part.values.tolist()) == sorted(list(fitted.genes).index(gene) for gene in known)


@pytest.mark.parametrize("reading", ["number", "bin"])
def test_a_model_learns_the_gene_that_tells_classes_apart_and_says_so(tmp_path: Path, reading: str) -> None:
    records = samples()
    lines = ["gene," + ",".join(record.id for record in records)]
    lines += [f"{gene}," + ",".join(f"{record.content[gene]:.4f}" for record in records) for gene in records[0].content]
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    table = "\n".join(f"{record.id},{record.target}" for record in records)
    (tmp_path / "labels.csv").write_text(f"sample,kind\n{table}\n", encoding="utf-8")
    modality = {"kind": "expression", "outcomes": "labels.csv", "label": "kind", "max_genes": 2, "reading": reading}
    bundle = train(tmp_path, "m.csv", modality, epochs=20)
    predictor = Predictor(bundle, "fp32", 1)
    answers = predictor.answer([record.content for record in records])
    assert [("a", "b")[row.argmax()] for row in answers] == [record.target for record in records]
    told = explain_content(predictor, records[0])
    assert (told.finding, told.parts[0][0]) == ("a", "G7")
    assert told.parts[0][1] > 0 or reading == "bin"  # whose median lies in a bin that is nobody's
    output = CliRunner().invoke(application(), ["explain", str(tmp_path / "m.csv"), "-m", str(bundle.directory)])
    assert output.exit_code == 0, output.output
    assert "s0: a " in output.output
    assert "G7" in output.output
    refused = CliRunner().invoke(
        application(), ["explain", str(tmp_path / "m.csv"), "-m", str(bundle.directory), "--pair", "x"]
    )
    assert refused.exit_code == 1
