#!/usr/bin/env python3
"""Convert a genai-prices dump (JSON: providers > models > match, prices, variants) to rules/prices.csv.

    prices.py DUMP.json [LIMITS.csv] [CHECKED_AT] > rules/prices.csv

LIMITS.csv (optional) has the columns provider, model_id, max_output_litellm, earliest_deprecation_litellm.
Match clauses become words joined by a space, any of which may hold: =equals ^starts_with $ends_with
*contains ~regex, with & between parts that must all hold and ! for "not".  Prices that hold only at a time of
day are left out (the price without condition stays); so are units other than tokens and requests.
"""
import csv, json, sys

FIELDS = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "cache_write_1h_mtok", "output_reasoning_mtok")
AUDIO = ("input_audio_mtok", "output_audio_mtok")
SIGN = {"equals": "=", "starts_with": "^", "ends_with": "$", "contains": "*", "regex": "~"}
NOT_AHEAD = "^(?!.*-[tT][tT][sS](?:$|-))"

def clause(match):
    out = []
    for kind, value in match.items():
        if kind == "or": out.append(" ".join(w for m in value for w in clause(m).split(" ")))
        elif kind == "and":
            # a conjunction of alternatives, multiplied out
            words = [""]
            for m in value: words = [f"{a}&{b}" if a else b for a in words for b in clause(m).split(" ")]
            out.append(" ".join(words))
        elif value == NOT_AHEAD: out.append("!~(?i)-tts(?:$|-)")
        else: out.append(SIGN[kind] + value)
    return " ".join(out)

def tiers(usd):
    starts = {0} | {t["start"] for f in FIELDS if isinstance(usd.get(f), dict) for t in usd[f]["tiers"]}
    for start in sorted(starts):
        row = []
        for f in FIELDS:
            v = usd.get(f)
            if isinstance(v, dict):
                v = v["base"] if start == 0 else next((t["price"] for t in v["tiers"] if t["start"] == start), "")
            elif start: v = ""
            row.append(v if v is not None else "")
        if any(row): yield start, row

def variant(when):
    if len(when) != 1: return None
    (key, value), = when.items()
    return value if key in ("service_tier", "processing") and value != "default" else None

def main():
    dump = json.load(open(sys.argv[1]))
    limits = {}
    if len(sys.argv) > 2: limits = {(r["provider"], r["model_id"]): r for r in csv.DictReader(open(sys.argv[2]))}
    checked = sys.argv[3] if len(sys.argv) > 3 else ""
    print("# Prices: USD per million tokens. A row is one model, start date, variant and tier start.")
    print(f"# Source: {dump['source']}, https://github.com/pydantic/genai-prices, MIT licence, (c) Pydantic Services Inc.")
    print("# max_output and deprecation_date: LiteLLM model_prices_and_context_window.json, MIT licence, (c) Berri AI.")
    print("# Made by rules/tools/prices.py, which explains the match clauses. Empty = not told.")
    w = csv.writer(sys.stdout, lineterminator="\n")
    w.writerow("provider,model,match,effective_from,variant,tier_start,input,output,cache_read,cache_write,cache_write_1h,reasoning,context_window,max_output,deprecation_date,source,checked_at,input_audio,output_audio".split(","))
    for p in dump["providers"]:
        for m in p["models"]:
            l = limits.get((p["id"], m["id"]), {})
            tail = [m["context_window"] or "", l.get("max_output_litellm", ""), l.get("earliest_deprecation_litellm", ""), "genai-prices", checked]
            groups = [("standard", pr) for pr in m["prices"]] + [(variant(v["when"]), v) for v in m["variants"]]
            for name, pr in groups:
                if name is None or pr["condition"]: continue
                for start, row in tiers(pr["usd"]):
                    # The last two fields only where there is something to say.
                    sound = [pr["usd"].get(f, "") for f in AUDIO] if start == 0 else ["", ""]
                    sound = sound if any(s != "" for s in sound) else []
                    w.writerow([p["id"], m["id"], clause(m["match"]), pr["effective_from"] or "", name, start, *row, *tail, *sound])

main()
