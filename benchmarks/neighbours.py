"""Does a text get the same entities alone and among others?

    python benchmarks/neighbours.py [--model BUNDLE] [--precision int8|fp32] [--sentences 300] [--data FOLDER]

Annotates sentences of the NCBI-disease test text in batches and one by one, and prints how many entities are found both
ways or only one, and how far the confidences of those found both ways are apart. Needs no more than the base install.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
from scores import documents_of, model_parser

from textome.pipeline import Pipeline
from textome.runtime.model import Model


def main() -> None:
    parser = model_parser(__doc__)
    parser.add_argument("--sentences", type=int, default=300)
    options = parser.parse_args()
    annotator = Pipeline([Model.load(options.model, precision=options.precision, sentences=False)])
    documents = documents_of("NCBI-disease", options.data)[: options.sentences]
    together = annotator.annotate(documents, replace=True)
    both, either, apart = 0, 0, [0.0]
    for document, among in zip(documents, together, strict=True):
        alone = {(item.spans, item.type): item for item in annotator.annotate(document, replace=True).entities}
        found = {(item.spans, item.type): item for item in among.entities}
        both += len(found.keys() & alone.keys())
        either += len(found.keys() | alone.keys())
        apart += [
            abs((found[key].confidence or 0) - (alone[key].confidence or 0)) for key in found.keys() & alone.keys()
        ]
    print(f"{annotator.models[0].name}, onnxruntime {onnxruntime.__version__}, {len(documents)} sentences")
    print(f"{both} entities found both ways, {either - both} only alone or only among others")
    middle, high = np.percentile(apart, [50, 99])
    print(f"confidences differ by {middle:.4f} in the median, {high:.4f} in one of a hundred, {max(apart):.4f} at most")


if __name__ == "__main__":
    main()
