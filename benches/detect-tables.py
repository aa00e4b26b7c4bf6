#!/usr/bin/env python3
"""detect-tables.py FOLDER WORK SET...: the tables of docs/detector.md, from what detect-score.sh left in WORK.

FOLDER holds score.py. Of each SET there are the data (WORK/SET) and the alerts with the class told (WORK/SET.told) and
worked out (WORK/SET.stripped).
"""
import os
import statistics
import sys


def row(cells):
    print("| " + " | ".join(cells) + " |")


def number(value, digits=2):
    return "-" if value is None else f"{value:.{digits}f}"


def seconds(incident):
    return (incident["hits"][0][0] - incident["start_ns"]) / 1e9


def median(values):
    return f"{statistics.median(values):.0f}" if values else "-"


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    folder, work, sets = sys.argv[1], sys.argv[2], sys.argv[3:]
    sys.path.insert(0, folder)
    import score

    heads = ["data", "score", "without the class", "recall", "median s", "false a week", "wrong kind a week", "alerts per incident", "scope"]
    row(heads)
    row(["---"] * len(heads))
    kinds, severe, quota = {}, [], 0
    for name in sets:
        data = os.path.join(work, name)
        result, _, incidents = score.score(data, data + ".told")
        stripped = score.score(data, data + ".stripped")[0]["total"]
        total = result["total"]
        quota += total["quota_called_rate_limit"] + stripped["quota_called_rate_limit"]
        quiet = total["recall"] is None
        row([
            name.replace("-", ", seed "),
            "-" if quiet else number(total["score"], 1),
            f"{stripped['false_per_week']:.1f} false a week" if quiet else number(stripped["score"], 1),
            number(total["recall"]),
            number(total["ttd_med"], 0),
            number(total["false_per_week"], 1),
            number(total["wrong_kind_per_week"], 1),
            "-" if quiet else number(total["alerts_per_incident"]),
            number(total["scope_jaccard"]),
        ])
        if not name.startswith("dev"):
            continue
        for kind, found in result["kinds"].items():
            sums = kinds.setdefault(kind, {"found": 0, "all": 0, "alerts": 0, "false": 0, "seconds": [], "scope": []})
            for to, of in (("found", "detected"), ("all", "detectable"), ("alerts", "alerts"), ("false", "fp")):
                sums[to] += found[of]
        for incident in incidents:
            if not (incident["detectable"] and incident["hits"]):
                continue
            kinds[incident["kind"]]["seconds"].append(seconds(incident))
            kinds[incident["kind"]]["scope"].append(incident["hits"][0][1])
            if incident["label"] == "severe" and incident["ttd_budget_s"] <= 3600:
                severe.append((seconds(incident), incident["oracle_ttd_s"], incident["ramp_s"]))
    print(f"\nQuota called rate limit: {quota}.", end=" ")
    sudden = [s for s in severe if s[2] == 0]
    for what, some in (("Severe", severe), ("Severe and sudden", sudden)):
        oracle = [s[1] for s in some if s[1] is not None]
        print(f"{what}: {len(some)}, median {median([s[0] for s in some])} s (oracle {median(oracle)} s).", end=" ")
    print("\n")
    heads = ["kind (dev)", "found", "alerts", "false", "median s", "scope"]
    row(heads)
    row(["---"] * len(heads))
    for kind, sums in sorted(kinds.items()):
        scope = sum(sums["scope"]) / len(sums["scope"]) if sums["scope"] else None
        found = f"{sums['found']}/{sums['all']}"
        row([kind, found, str(sums["alerts"]), str(sums["false"]), median(sums["seconds"]), number(scope)])


if __name__ == "__main__":
    main()
