#!/bin/sh
# Scores `lapwing detect` on the incident benchmark and prints the tables of docs/detector.md.
#
#     benches/detect-score.sh FOLDER [PYTHON]
#
# FOLDER holds incidents.py and score.py; PYTHON must have numpy. LAPWING is the program. DATA is where
# data and alerts are kept; what is there already is not made again. SETS are profiles and seeds;
# JOBS is how many are worked at a time.
set -eu
folder=$1
python=${2:-python3}
lapwing=${LAPWING:-target/release/lapwing}
sets=${SETS:-"dev-1 dev-2 dev-3 quiet-5 firehose-1 firehose-2 firehose-3 dev-4 dev-5 firehose-4 firehose-5"}
here=$(dirname "$0")
work=${DATA:-$(mktemp -d)}
[ -n "${DATA:-}" ] || trap 'rm -rf "$work"' EXIT
export folder python lapwing work

# With the class that the benchmark tells, and without.
for set in $sets; do echo "$set"; done | xargs -P "${JOBS:-1}" -I{} sh -euc '
    data=$work/{}
    [ -e "$data/events.jsonl" ] || [ -e "$data.stripped" ] ||
        "$python" "$folder/incidents.py" --profile "${0%-*}" --seed "${0##*-}" --out "$data" 2>/dev/null
    [ -e "$data.told" ] || { "$lapwing" detect "$data/events.jsonl" >"$data.part"; mv "$data.part" "$data.told"; }
    [ -e "$data.stripped" ] || { "$lapwing" detect "$data/events.jsonl" --strip-class >"$data.part"; mv "$data.part" "$data.stripped"; }
    [ -n "${DATA:-}" ] || rm -f "$data/events.jsonl"
' {}
"$python" "$here/detect-tables.py" "$folder" "$work" $sets
