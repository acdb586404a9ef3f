#!/usr/bin/env bash
# Ten minutes on a machine with a GPU, without a network: does it work there, how fast, what comes out.
#   GENOMIC_DATA_CACHE=<copies of the downloads> OUT=<folder> bash workflow/gpu_check.sh
# Each step has a time limit of its own and writes to $OUT as it goes: what fails or is cut off loses only itself.
# QUICK=1: tiny sizes on the simulated profile, on a CPU too: shows that the script works.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
python=${PYTHON:-python3}
mkdir -p "${OUT:=artifacts/gpu_check}"
OUT=$(cd "$OUT" && pwd)
export GENOMIC_RESULTS=$OUT/results PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}

step() { # NAME LIMIT COMMAND...: the output goes to $OUT/NAME.txt, a line about it to $OUT/steps.txt
    local name=$1 limit=$2 began=$SECONDS
    shift 2
    timeout --signal=INT --kill-after=10 "$limit" "$@" 2>&1 | tee "$OUT/$name.txt"
    echo "$name: exit status ${PIPESTATUS[0]} after $((SECONDS - began)) of at most $limit s" | tee -a "$OUT/steps.txt"
}

notebook() { # NAME LIMIT NOTEBOOK VALUES: the executed copy goes to $OUT/notebooks
    step "$1" "$2" "$python" -m workflow.run_notebook "$3.ipynb" "$OUT/notebooks/$(basename "$3").ipynb" "$4"
}

pretraining() { # SECONDS: the parameters of a language model at paper scale that trains about that long
    "$python" - "$OUT/fastest.json" "$1" <<'EOF'
import json, pathlib, sys
measured, seconds = pathlib.Path(sys.argv[1]), float(sys.argv[2])
known = json.loads(measured.read_text()) if measured.exists() else {"rows": 256, "tokens_per_second": 100_000}
bases, a_pass = 2 * known["tokens_per_second"] * seconds, 37_000_000  # of `pilot`, with stride 2
epochs = {"EPOCHS": min(4, int(bases // a_pass))} if bases >= a_pass else {"EPOCHS": 1, "EPOCH_BASES": int(bases)}
print(json.dumps({"PROFILE": "pilot", "SCALE": "paper", "ROWS": known["rows"]} | epochs))
EOF
}

bring_encoder() { # as float16, in pieces of 15 MiB that `cat` puts together
    local weights
    weights=$(ls -t "${GENOMIC_ARTIFACTS:-artifacts}/$profile"/language_models/4-mer*/model.safetensors | head -1)
    cp "$(dirname "$weights")/config.json" "$OUT/encoder.json" &&
        "$python" - "$weights" "$OUT/encoder.safetensors" <<'EOF' &&
import sys
from safetensors.torch import load_file, save_file
save_file({name: values.half() for name, values in load_file(sys.argv[1]).items()}, sys.argv[2])
EOF
        split -b 15m "$OUT/encoder.safetensors" "$OUT/encoder.part-" && rm "$OUT/encoder.safetensors"
}

profile=pilot quick=()
corpus='{"PROFILE": "pilot", "NEAR_COPIES": false, "MARKOV_ORDER": 2}'
tables='{"PROFILE": "pilot"}'
classifier='{"PROFILE": "pilot", "SCALE": "paper", "SPLIT": "folds"}'
data=(data/fetch.py pilot)
if [ -n "${QUICK:-}" ]; then
    profile=simulated quick=(--quick)
    corpus='{"PROFILE": "simulated", "NEAR_COPIES": false, "MARKOV_ORDER": 2}'
    pretraining() { echo '{"PROFILE": "simulated", "SCALE": "laptop", "EPOCHS": 1, "EPOCH_BASES": 20000}'; }
    tables='{"PROFILE": "simulated", "SPECIES": ["Human"]}'
    classifier='{"PROFILE": "simulated", "SPECIES": ["Human"], "N_TRAIN": 40, "SCALE": "laptop", "SPLIT": "folds"}'
    data=(data/simulate.py --out "${GENOMIC_DATA:-data}/simulated")
fi

nvidia-smi >"$OUT/nvidia-smi.txt" 2>&1
step tests 60 "$python" tests/test_on_gpu.py
step benchmark 90 "$python" benchmarks/gpu.py "${quick[@]}" --fastest "$OUT/fastest.json"
step data 60 "$python" "${data[@]}"
notebook corpus 90 "Genomic Language Models/Mammals LM 0 Genomic Data Processing" "$corpus"
notebook pretraining 200 "Genomic Language Models/Mammals LM 2 4-mer Stride 2" "$(pretraining 100)"
bring_encoder
notebook tables 30 "Enhancer Classification/Mammals Enhancers 0 Data Processing" "$tables"
notebook classification 150 "Enhancer Classification/Mammals Enhancers 1 4-mer Stride 2" "$classifier"
cat "$OUT/steps.txt"
