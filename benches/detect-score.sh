#!/bin/sh
# Scores `lapwing detect` on the incident benchmark.
#
#     benches/detect-score.sh FOLDER [PYTHON]
#
# FOLDER holds incidents.py and score.py; PYTHON must have numpy. LAPWING is the program.
set -eu
folder=$1
python=${2:-python3}
lapwing=${LAPWING:-target/release/lapwing}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

score() { # name, arguments of the generator
    name=$1
    shift
    "$python" "$folder/incidents.py" "$@" --out "$work/data" 2>/dev/null
    for option in "" --strip-class; do
        "$lapwing" detect "$work/data/events.jsonl" $option >"$work/alerts.jsonl"
        echo "== $name $option"
        "$python" "$folder/score.py" "$work/data" "$work/alerts.jsonl"
    done
    rm -rf "$work/data"
}

for seed in 1 2 3; do
    score "dev $seed" --seed "$seed"
done
score quiet --profile quiet --seed 5
score firehose --profile firehose --seed 1
