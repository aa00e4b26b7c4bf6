#!/usr/bin/env python3
"""Draws each dashboard from the answers of its queries, so that a person can look at it without Grafana.

Not Grafana: layout, colours, thresholds and units follow the JSON, the rest is this program's. Needs matplotlib:

    mkdir -p target/answers
    LAPWING_DASHBOARD_ANSWERS=$PWD/target/answers cargo test --test main write_answers_to_draw -- --ignored
    python3 dashboards/draw.py target/answers docs/dashboards
"""

import datetime
import json
import pathlib
import re
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates as dates
import matplotlib.pyplot as plt
from matplotlib.ticker import FuncFormatter
from PIL import Image

HERE = pathlib.Path(__file__).parent
BACKGROUND, PANEL, TEXT, DIM = "#111217", "#181b1f", "#ccccdc", "#8e8e9c"
# Grafana's named colours in its dark theme.
NAMED = {
    "red": "#F2495C", "orange": "#FF9830", "yellow": "#FADE2A", "green": "#73BF69", "blue": "#5794F2", "purple": "#B877D9", "gray": "#808080",
    "text": TEXT, "transparent": None,
}
SHADES = {
    "dark-red": "#C4162A", "semi-dark-red": "#E02F44", "light-red": "#FF7383", "dark-orange": "#FA6400", "semi-dark-orange": "#FF780A", "light-orange": "#FFB357",
    "dark-yellow": "#E0B400", "light-green": "#96D98D", "semi-dark-green": "#56A64B", "dark-blue": "#1F60C4", "light-blue": "#8AB8FF", "super-light-blue": "#C0D8FF",
    "dark-purple": "#8F3BB8", "light-purple": "#CA95E5", "super-light-purple": "#DEB6F2",
}
PALETTE = ["#73BF69", "#F2CC0C", "#8AB8FF", "#FF780A", "#F2495C", "#5794F2", "#B877D9", "#705DA0", "#37872D", "#FADE2A", "#447EBC", "#C15C17"]
MARKS = {"Alerts": "#F2495C", "Model changes": "#B877D9", "Deploys": "#5794F2"}


# Columns of a table that are drawn.
COLUMNS_MAX = 13


def color(name):
    return NAMED.get(name, SHADES.get(name, name))


def shown(value, unit):
    """A value in its unit, as short as Grafana writes it."""
    if value is None or value == "":
        return ""
    if unit in ("dateTimeAsIso", "dateTimeFromNow", "string"):
        return str(value)[:19] if unit.startswith("date") else str(value)
    try:
        n = float(value)
    except (TypeError, ValueError):
        return str(value)
    if unit == "percentunit":
        return f"{100 * n:.3g} %"
    if unit == "currencyUSD":
        return f"${n / 1000:.3g}K" if abs(n) >= 1000 else f"${n:.3g}"
    if unit == "s":
        return f"{1000 * n:.0f} ms" if abs(n) < 1 and n else f"{n:.3g} s" if n < 90 else f"{n / 60:.3g} min"
    if unit == "bytes":
        for word in ("B", "KiB", "MiB", "GiB"):
            if abs(n) < 1000 or word == "GiB":
                return f"{n:.3g} {word}"
            n /= 1024
    suffix = {"reqps": " req/s", "cps": " c/s", "rowsps": " rows/s", "ms": " ms"}.get(unit, "")
    for size, word in ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K")):
        if abs(n) >= size:
            return f"{n / size:.3g}{word}{suffix}"
    return f"{n:.3g}{suffix}"


class Panel:
    """One panel: its JSON and its answer."""

    def __init__(self, spec, answer, marks):
        self.spec, self.marks = spec, marks
        self.columns, self.rows = answer["columns"], answer["rows"]
        self.defaults = spec["fieldConfig"]["defaults"]

    def properties(self, name):
        found = {}
        for over in self.spec["fieldConfig"]["overrides"]:
            if over["matcher"]["options"] == name:
                found |= {p["id"]: p["value"] for p in over["properties"]}
        return found

    def unit(self, name):
        return self.properties(name).get("unit", self.defaults["unit"])

    def threshold(self, name, value):
        steps = self.properties(name).get("thresholds", self.defaults.get("thresholds", {})).get("steps", [])
        found = None
        for step in steps:
            if step["value"] is None or (value is not None and float(value) >= step["value"]):
                found = step["color"]
        return color(found) if found else None

    def draw(self, figure, box):
        x, y, w, h = box
        figure.patches.append(plt.Rectangle((x, y), w, h, transform=figure.transFigure, color=PANEL, zorder=-1))
        inch_h = h * figure.get_figheight()
        figure.text(x + 0.005, y + h - 0.17 / figure.get_figheight(), self.spec["title"], color=TEXT, fontsize=9, weight="bold", va="center")
        head = 0.34 / inch_h
        inner = (x, y, w, h * (1 - head))
        kind = self.spec["type"]
        if not self.rows:
            figure.text(x + w / 2, y + h / 2, self.defaults.get("noValue", "No data"), color=DIM, ha="center", va="center", fontsize=11)
        elif kind == "stat":
            self.stat(figure, inner)
        elif kind == "table":
            self.table(figure, inner)
        elif kind == "barchart":
            self.barchart(figure, inner)
        else:
            self.timeseries(figure, inner)

    def axes(self, figure, box, left=0.045, right=0.01, bottom=0.24, top=0.05):
        x, y, w, h = box
        b, t = bottom / figure.get_figheight(), top / figure.get_figheight()
        axes = figure.add_axes((x + left, y + b, w - left - right, h - b - t), facecolor=PANEL)
        axes.tick_params(colors=DIM, labelsize=7, length=2)
        for side in axes.spines.values():
            side.set_visible(False)
        axes.grid(True, axis="y", color="#2c2f36", linewidth=0.6)
        axes.set_axisbelow(True)
        return axes

    def series(self):
        """Long rows to one list of points per series."""
        texts = [i for i, name in enumerate(self.columns) if i and any(isinstance(r[i], str) and not re.fullmatch(r"-?[\d.e+-]+", r[i] or "x") for r in self.rows)]
        numbers = [i for i in range(1, len(self.columns)) if i not in texts]
        out = {}
        for row in self.rows:
            at = datetime.datetime.fromisoformat(row[0])
            for i in numbers:
                name = row[texts[0]] if texts else self.columns[i]
                if row[i] is not None:
                    out.setdefault(name, {})[at] = float(row[i])
        return out

    def timeseries(self, figure, box):
        series = self.series()
        custom = self.defaults["custom"]
        bars = custom["drawStyle"] == "bars"
        legend_right = self.spec["options"]["legend"]["placement"] == "right"
        axes = self.axes(figure, box, right=0.16 if legend_right else 0.025, bottom=0.24 if legend_right else 0.52)
        times = sorted({t for points in series.values() for t in points})
        step = min((b - a for a, b in zip(times, times[1:])), default=datetime.timedelta(minutes=1))
        total = sorted(series, key=lambda n: -sum(series[n].values()))
        bottom = dict.fromkeys(times, 0.0)
        second = None
        handles = []
        for i, name in enumerate(total):
            own = self.properties(name)
            shade = color(own["color"]["fixedColor"]) if "color" in own else PALETTE[i % len(PALETTE)]
            points = series[name]
            if own.get("custom.axisPlacement") == "right":
                second = second or axes.twinx()
                second.plot(sorted(points), [points[t] for t in sorted(points)], color=shade, linewidth=1.2)
                second.set_ylim(0, 1)
                second.tick_params(colors=DIM, labelsize=7, length=2)
                second.yaxis.set_major_formatter(FuncFormatter(lambda v, _: shown(v, "percentunit")))
                [s.set_visible(False) for s in second.spines.values()]
            elif bars:
                axes.bar(times, [points.get(t, 0) for t in times], width=step * 0.95, bottom=[bottom[t] for t in times], color=shade, align="edge", linewidth=0)
                for t in times:
                    bottom[t] += points.get(t, 0)
            else:
                axes.plot(sorted(points), [points[t] for t in sorted(points)], color=shade, linewidth=1.2)
            calc = sum(points.values()) if bars and self.unit(name) in ("short", "currencyUSD") else points[max(points)]
            handles.append((name, shade, shown(calc, self.unit(name))))
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: shown(v, self.defaults["unit"])))
        axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
        for kind, marks in self.marks.items():
            for at in marks:
                if times and times[0] <= at <= times[-1]:
                    axes.axvline(at, color=MARKS[kind], linestyle="--", linewidth=0.9)
        self.legend(figure, box, handles, legend_right)

    def legend(self, figure, box, handles, right):
        x, y, w, h = box
        line = 0.165 / figure.get_figheight()
        if right:
            room = int(h / line) - 1
            for i, (name, shade, value) in enumerate(handles[:room]):
                at = y + h - (i + 0.8) * line
                figure.text(x + w - 0.152, at, "■", color=shade, fontsize=8, va="center")
                figure.text(x + w - 0.142, at, clipped(name, 25), color=TEXT, fontsize=7, va="center")
                figure.text(x + w - 0.004, at, value, color=DIM, fontsize=7, va="center", ha="right")
            return
        at = x + 0.01
        for name, shade, value in handles:
            label = f"{clipped(name, 24)} {value}"
            width = 0.012 + 0.0042 * len(label)
            if at + width > x + w:
                break
            figure.text(at, y + line * 0.6, "■", color=shade, fontsize=8, va="center")
            figure.text(at + 0.009, y + line * 0.6, label, color=TEXT, fontsize=7, va="center")
            at += width

    def stat(self, figure, box):
        x, y, w, h = box
        for i, name in enumerate(self.columns):
            value = self.rows[0][i]
            at = x + w * (i + 0.5) / len(self.columns)
            text = shown(value, self.unit(name)) or self.defaults.get("noValue", "-")
            figure.text(at, y + h * 0.58, text, color=self.threshold(name, value) or TEXT, fontsize=19 if len(self.columns) < 3 else 16, ha="center", va="center", weight="bold")
            if len(self.columns) > 1:
                figure.text(at, y + h * 0.16, name, color=DIM, fontsize=8, ha="center", va="center")

    def barchart(self, figure, box):
        axes = self.axes(figure, box, left=0.05)
        x = self.columns.index(self.spec["options"]["xField"])
        hidden = [n for n in self.columns if "custom.hideFrom" in self.properties(n)]
        numbers = [i for i, n in enumerate(self.columns) if i != x and n not in hidden]
        names = [str(row[x]) for row in self.rows]
        width = 0.8 / len(numbers)
        for k, i in enumerate(numbers):
            own = self.properties(self.columns[i])
            shade = color(own["color"]["fixedColor"]) if "color" in own else color(self.defaults["color"]["fixedColor"])
            values = [float(row[i] or 0) for row in self.rows]
            at = [n + k * width - 0.4 + width / 2 for n in range(len(names))]
            axes.bar(at, values, width=width * 0.95, color=shade)
            for px, value in zip(at, values):
                axes.text(px, value, shown(value, self.unit(self.columns[i])), color=TEXT, fontsize=7, ha="center", va="bottom")
        axes.margins(y=0.15)
        axes.set_xticks(range(len(names)), names)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: shown(v, self.defaults["unit"])))

    def table(self, figure, box):
        x, y, w, h = box
        line = 0.2 / figure.get_figheight()
        room = max(int(h / line) - 1, 1)
        if len(self.columns) > COLUMNS_MAX:
            # Grafana scrolls to the side.
            self.columns = self.columns[:COLUMNS_MAX]
            figure.text(x + w - 0.005, y + h + 0.17 / figure.get_figheight(), "more columns to the right", color=DIM, fontsize=7, ha="right", va="center")
        rows = self.rows[:room]
        texts = [[shown(v, self.unit(n)) for n, v in zip(self.columns, row)] for row in rows]
        total = w * figure.get_figwidth() * 13.5
        widths = [min(max([len(n)] + [len(t[i]) for t in texts]) + 2, 60) for i, n in enumerate(self.columns)]
        scale = min(1, total / sum(widths))
        at, starts = x + 0.004, []
        for width in widths:
            starts.append(at)
            at += width * scale / 13.5 / figure.get_figwidth()
        for i, name in enumerate(self.columns):
            own = self.properties(name)
            fits = max(int(widths[i] * scale) - 1, 2)
            figure.text(starts[i], y + h - line * 0.6, clipped(own.get("displayName", name), fits), color="#6e9fff", fontsize=7, va="center", weight="bold")
            largest = max([abs(float(r[i])) for r in rows if isinstance(r[i], (int, float))] or [1]) or 1
            for k, row in enumerate(rows):
                level = y + h - (k + 1.6) * line
                cell = own.get("custom.cellOptions", {}).get("type")
                shade, ink = None, TEXT
                if cell == "color-background":
                    shade = self.threshold(name, row[i]) if row[i] is not None else None
                    ink = "#111217" if shade else TEXT
                if "mappings" in own:
                    ink = color(own["mappings"][0]["options"].get(row[i], {}).get("color", TEXT))
                width = widths[i] * scale / 13.5 / figure.get_figwidth() - 0.003
                if shade:
                    figure.patches.append(plt.Rectangle((starts[i] - 0.002, level - line * 0.45), width, line * 0.9, transform=figure.transFigure, color=shade, zorder=0))
                if cell == "gauge" and isinstance(row[i], (int, float)):
                    figure.patches.append(plt.Rectangle((starts[i] - 0.002, level - line * 0.4), width * abs(row[i]) / largest, line * 0.8, transform=figure.transFigure, color="#1F60C4", zorder=0))
                figure.text(starts[i], level, clipped(texts[k][i], fits), color=ink, fontsize=7, va="center")


def clipped(text, length):
    return text if len(text) <= length else text[: max(length - 1, 1)] + "…"


def draw(dashboard, answers, path):
    rows = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p in dashboard["panels"])
    cell = 0.32
    figure = plt.figure(figsize=(15, rows * cell + 0.5), facecolor=BACKGROUND)
    height = figure.get_figheight()
    figure.text(0.006, 1 - 0.25 / height, dashboard["title"], color=TEXT, fontsize=13, weight="bold", va="center")
    marks = {kind: [datetime.datetime.fromisoformat(r[0][:19]) for r in answers[kind]["rows"]] for kind in MARKS}
    for spec in dashboard["panels"]:
        if spec["type"] == "row":
            continue
        p = spec["gridPos"]
        gap = 0.002
        box = (p["x"] / 24 + gap, 1 - (0.5 + (p["y"] + p["h"]) * cell) / height + gap, p["w"] / 24 - 2 * gap, p["h"] * cell / height - 2 * gap)
        Panel(spec, answers[str(spec["id"])], marks).draw(figure, box)
    figure.savefig(path, dpi=80, facecolor=BACKGROUND)
    plt.close(figure)
    # A palette makes the file a third as large.
    Image.open(path).convert("RGB").quantize(96).save(path, optimize=True)


def main():
    answers, out = map(pathlib.Path, sys.argv[1:3])
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(HERE.glob("*.json")):
        dashboard = json.loads(path.read_text())
        draw(dashboard, json.loads((answers / path.name).read_text()), out / f"{path.stem}.png")
        print("drew", out / f"{path.stem}.png")


if __name__ == "__main__":
    main()
