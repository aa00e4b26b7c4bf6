#!/usr/bin/env python3
"""Makes the dashboards (*.json) from the tables in source/.

A dashboard is a TOML file: its variables, and panels that flow from left to right. This program adds what is the same
everywhere: data source, time filter, variables, colours, links, positions. Standard library only (Python 3.11).

    dashboards/generate.py           write the JSON
    dashboards/generate.py --check   fail if what is committed is not what would be written
"""

import json
import pathlib
import re
import sys
import tomllib
import urllib.parse

HERE = pathlib.Path(__file__).parent
PLUGIN = "grafana-clickhouse-datasource"
SOURCE = {"type": PLUGIN, "uid": "${datasource}"}
COLUMNS = 24
COMMON = tomllib.loads((HERE / "source/common.toml").read_text())

# The link from a trace id to its spans in Grafana's Explore. The table of times bounds the search.
TRACE_SQL = """WITH '${__value.raw}' AS trace_id,
  (SELECT min(Start) FROM otel_traces_trace_id_ts WHERE TraceId = trace_id) AS trace_start,
  (SELECT max(End) + 1 FROM otel_traces_trace_id_ts WHERE TraceId = trace_id) AS trace_end
SELECT
  TraceId AS traceID,
  SpanId AS spanID,
  ParentSpanId AS parentSpanID,
  ServiceName AS serviceName,
  SpanName AS operationName,
  toUnixTimestamp64Milli(Timestamp) AS startTime,
  Duration / 1e6 AS duration,
  arrayMap(key -> map('key', key, 'value', SpanAttributes[key]), mapKeys(SpanAttributes)) AS tags,
  arrayMap(key -> map('key', key, 'value', ResourceAttributes[key]), mapKeys(ResourceAttributes)) AS serviceTags,
  StatusCode AS statusCode,
  SpanKind AS kind,
  StatusMessage AS statusMessage
FROM otel_traces
WHERE TraceId = trace_id AND Timestamp >= trace_start AND Timestamp <= trace_end
ORDER BY Timestamp
LIMIT 1000"""


def condition(name):
    """A variable as a condition; true for `All`."""
    column = COMMON["variables"][name]["column"]
    return f"$__conditionalAll({column} IN (${{{name}:singlequote}}), ${name})"


def where(table, variables, time):
    known = [v for v in variables if v in COMMON["tables"][table]]
    return "\n  AND ".join([f"$__timeFilter({time})", *map(condition, known)])


def expand(sql, variables):
    """Puts fragments into their braces; `{name:a,b}` gives the fragment its {0} and {1}."""

    def fragment(found):
        name, arguments = found[1], (found[2] or "").split(",")
        if name.startswith("where_"):
            time = found[2] or "timestamp"
            return where(name.removeprefix("where_"), variables, time)
        text = COMMON["sql"][name].strip()
        for i, argument in enumerate(arguments):
            text = text.replace("{%d}" % i, argument)
        return expand(text, variables)

    return re.sub(r"(?<!\$)\{([a-z_][a-z_0-9]*)(?::([^{}]*))?\}", fragment, sql).strip()


def link(to, passed, more=None, title=None):
    """A link to another dashboard with the same range and variables."""
    parts = ["${__url_time_range}", "var-datasource=${datasource}"]
    parts += [f"${{{name}:queryparam}}" for name in passed if name not in (more or {})]
    parts += [f"var-{name}={value}" for name, value in (more or {}).items()]
    return {"title": title or "Show these calls", "url": f"/d/{to}?" + "&".join(parts), "targetBlank": False}


def trace_link():
    query = {"refId": "A", "datasource": SOURCE, "editorType": "sql", "queryType": "traces", "format": 3, "rawSql": TRACE_SQL}
    panes = {"trace": {"datasource": "${datasource}", "queries": [query], "range": {"from": "${__from}", "to": "${__to}"}}}
    quoted = urllib.parse.quote(json.dumps(panes), safe="${}")
    # Grafana's own braces stay as they are; those of JSON do not.
    quoted = re.sub(r"(?<!\$)\{", "%7B", quoted)
    quoted = re.sub(r"(\$%7B|\$\{)([A-Za-z_.:]+)\}", r"${\2<<", quoted).replace("}", "%7D").replace("<<", "}")
    return {"title": "Open the trace", "url": f"/explore?schemaVersion=1&panes={quoted}", "targetBlank": True}


def override(name, **properties):
    return {"matcher": {"id": "byName", "options": name}, "properties": [{"id": k.replace("__", "."), "value": v} for k, v in properties.items()]}


def fixed(color):
    return {"mode": "fixed", "fixedColor": color}


def steps(pairs):
    """Thresholds from `[[color, from], ...]`; the first is the base."""
    values = [{"color": c, "value": None if i == 0 else v} for i, (c, v) in enumerate(pairs)]
    return {"mode": "absolute", "steps": values}


def cell(name, panel, passed):
    """How one column of a table is shown."""
    out = {}
    if name in panel.get("units", {}):
        out["unit"] = panel["units"][name]
    if name in panel.get("widths", {}):
        out["custom__width"] = panel["widths"][name]
    if name in panel.get("limits", {}):
        out["thresholds"] = steps(panel["limits"][name])
        out["custom__cellOptions"] = {"type": "color-background", "mode": "basic"}
    if name in panel.get("bars", []):
        out["custom__cellOptions"] = {"type": "gauge", "mode": "basic"}
        out["min"] = 0
    if name in panel.get("words", {}):
        out["mappings"] = [{"type": "value", "options": {w: {"color": c, "index": i} for i, (w, c) in enumerate(panel["words"][name].items())}}]
        out["custom__cellOptions"] = {"type": "color-text"}
    if name in panel.get("cells", {}):
        out["links"] = [link(panel.get("to", "lapwing-explorer"), passed, {panel["cells"][name]: "${__value.raw}"})]
    if name == panel.get("trace"):
        out["links"] = [trace_link()]
    return override(name, **out) if out else None


def panel_json(spec, number, position, board):
    variables = board["variables"]
    kind, unit = spec["kind"], spec["unit"]
    passed = [v for v in variables if v in COMMON["variables"]]
    time_series = kind in ("lines", "bars")
    to = spec.get("to", "lapwing-explorer")
    passed_to = [v for v in passed if v in BOARDS[to]["variables"]]
    more = {spec["label_variable"]: "${__field.labels.%s}" % spec["label"]} if "label_variable" in spec else None
    defaults = {"unit": unit, "links": [] if kind == "table" and (spec.get("cells") or spec.get("trace")) else [link(to, passed_to, more, spec.get("link_title"))]}
    overrides, options = [], {}
    if time_series:
        defaults |= {
            "min": 0, "color": {"mode": "palette-classic"}, "noValue": spec.get("empty", "none"),
            "custom": {
                "drawStyle": kind, "lineWidth": 1 if kind == "bars" else 2, "fillOpacity": 75 if kind == "bars" else 5,
                "showPoints": "auto", "spanNulls": False, "axisPlacement": "auto", "axisSoftMin": 0, "axisLabel": spec.get("axis", ""),
                "stacking": {"mode": "normal" if kind == "bars" else "none", "group": "A"},
            },
        }
        defaults["custom"]["drawStyle"] = "bars" if kind == "bars" else "line"
        if "label" in spec:
            defaults["displayName"] = "${__field.labels.%s}" % spec["label"]
        overrides += [override(name, color=fixed(color)) for name, color in COMMON["colors"].items() if name in spec.get("known", []) or spec.get("known") == "all"]
        options = {
            "legend": {"displayMode": "table" if spec.get("w", 12) >= 8 else "list", "placement": spec.get("legend", "right" if "label" in spec else "bottom"), "showLegend": True, "calcs": ["sum"] if kind == "bars" and unit == "short" else ["lastNotNull", "max"], "sortBy": "Total", "sortDesc": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
        for name in spec.get("right", []):
            overrides.append(override(name, unit="percentunit", max=1, custom__axisPlacement="right", color=fixed("red"), custom__drawStyle="line", custom__fillOpacity=0, custom__stacking={"mode": "none", "group": "B"}))
    elif kind == "stat":
        defaults |= {"thresholds": steps(spec.get("limits", [["text", 0]])), "color": {"mode": "thresholds"}, "noValue": spec.get("empty", "no calls")}
        options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": spec.get("fields", ""), "values": False}, "colorMode": "value", "graphMode": "none", "textMode": spec.get("text", "auto"), "orientation": "auto", "justifyMode": "auto", "wideLayout": True}
        overrides += [override(n, unit=u) for n, u in spec.get("units", {}).items()]
    elif kind == "barchart":
        defaults |= {"min": 0, "color": {"mode": "fixed", "fixedColor": spec.get("color", "orange")}, "custom": {"fillOpacity": 80, "lineWidth": 1, "axisPlacement": "auto", "axisLabel": spec.get("axis", "")}, "noValue": "none"}
        options = {"orientation": spec.get("orientation", "auto"), "xField": spec["x"], "stacking": "none", "showValue": "always", "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}, "tooltip": {"mode": "multi", "sort": "none"}, "xTickLabelRotation": 0, "barWidth": 0.8, "groupWidth": 0.7}
        overrides += [override(n, color=fixed(c)) for n, c in spec.get("series", {}).items()]
        overrides += [override(n, unit=u) for n, u in spec.get("units", {}).items()]
        overrides += [override(n, custom__hideFrom={"viz": True, "legend": True, "tooltip": False}) for n in spec.get("hidden", [])]
    else:
        defaults |= {"custom": {"align": "auto", "filterable": True, "cellOptions": {"type": "auto"}}, "noValue": spec.get("empty", "-")}
        names = dict.fromkeys(n for key in ("units", "widths", "limits", "words", "cells") for n in spec.get(key, {}))
        names |= dict.fromkeys(spec.get("bars", []))
        names |= {spec["trace"]: None} if "trace" in spec else {}
        overrides += filter(None, (cell(n, spec, passed_to) for n in names))
        options = {"showHeader": True, "cellHeight": "sm"}
    sqls = spec["sql"] if isinstance(spec["sql"], list) else [spec["sql"]]
    targets = [
        {
            "refId": chr(ord("A") + i), "datasource": SOURCE, "editorType": "sql", "pluginVersion": "4.20.0",
            "queryType": "timeseries" if time_series else "table", "format": 0 if time_series else 1, "rawSql": expand(sql, variables),
        }
        for i, sql in enumerate(sqls)
    ]
    out = {
        "id": number, "type": {"lines": "timeseries", "bars": "timeseries"}.get(kind, kind), "title": spec["title"], "description": " ".join(spec["description"].split()),
        "datasource": SOURCE, "gridPos": position, "fieldConfig": {"defaults": defaults, "overrides": overrides}, "options": options, "targets": targets,
    }
    if time_series:
        out["interval"] = spec.get("interval", "1m")
    return out


def variable_json(name, board):
    own = board.get("texts", {}).get(name)
    if own:
        return {"name": name, "label": own["label"], "type": "textbox", "query": own["default"], "current": {"selected": True, "text": own["default"], "value": own["default"]}, "options": [], "hide": 0, "skipUrlSync": False}
    spec = COMMON["variables"][name]
    column, table = spec["column"], "llm_failures_1m" if name == "class" else "llm_calls_1h"
    # The hour before the range begins counts too: its bucket starts before the range.
    after = "toStartOfHour($__fromTime)" if table == "llm_calls_1h" else "$__fromTime"
    # Grafana's singlequote format leaves backslashes alone: such a name cannot be offered.
    sql = f"SELECT DISTINCT {column} FROM {table} WHERE timestamp >= {after} AND timestamp <= $__toTime AND {column} != '' AND position({column}, '\\\\') = 0 ORDER BY {column} LIMIT 1000"
    return {
        "name": name, "label": spec["label"], "type": "query", "datasource": SOURCE, "refresh": 2, "multi": True, "includeAll": True, "sort": 1, "hide": 0, "skipUrlSync": False, "regex": "", "options": [],
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]}, "definition": f"{column} of {table}",
        "query": {"refId": name, "editorType": "sql", "queryType": "table", "format": 1, "rawSql": sql},
    }


def annotation_json(spec):
    target = {"refId": "Anno", "datasource": SOURCE, "editorType": "sql", "queryType": "table", "format": 1, "rawSql": expand(spec["sql"], [])}
    return {"name": spec["name"], "datasource": SOURCE, "enable": True, "hide": False, "iconColor": spec["color"], "target": target}


def placed(panels):
    """Positions from left to right; a row title begins a new line."""
    x = y = height = 0
    for spec in panels:
        w, h = (COLUMNS, 1) if spec["kind"] == "row" else (spec.get("w", 12), spec.get("h", 8))
        if x + w > COLUMNS or spec["kind"] == "row":
            x, y, height = 0, y + height, 0
        yield spec, {"x": x, "y": y, "w": w, "h": h}
        x, height = x + w, max(height, h)


def dashboard_json(board):
    panels = []
    for number, (spec, position) in enumerate(placed(board["panel"]), 1):
        if spec["kind"] == "row":
            panels.append({"id": number, "type": "row", "title": spec["title"], "collapsed": False, "gridPos": position, "panels": []})
        else:
            panels.append(panel_json(spec, number, position, board))
    kinds = sorted({p["type"] for p in panels} - {"row"})
    source = {"name": "datasource", "label": "Data source", "type": "datasource", "query": PLUGIN, "current": {}, "hide": 0, "includeAll": False, "multi": False, "options": [], "refresh": 1, "regex": "", "skipUrlSync": False}
    return {
        "__requires": [
            {"type": "grafana", "id": "grafana", "name": "Grafana", "version": "11.6.0"},
            {"type": "datasource", "id": PLUGIN, "name": "ClickHouse", "version": "4.20.0"},
            *({"type": "panel", "id": kind, "name": kind, "version": ""} for kind in kinds),
        ],
        "id": None, "uid": board["uid"], "title": board["title"], "description": " ".join(board["description"].split()), "tags": ["lapwing", "llm", "clickhouse", "otel"],
        "schemaVersion": 42, "version": 1, "editable": True, "graphTooltip": 2, "timezone": "browser", "fiscalYearStartMonth": 0, "liveNow": False, "weekStart": "",
        "time": {"from": board.get("from", "now-3h"), "to": "now"}, "refresh": board.get("refresh", "30s"), "timepicker": {},
        "links": [{"type": "dashboards", "title": "Lapwing", "tags": ["lapwing"], "asDropdown": True, "includeVars": True, "keepTime": True, "targetBlank": False, "icon": "external link", "tooltip": "The other dashboards", "url": ""}],
        "templating": {"list": [source, *(variable_json(v, board) for v in board["variables"])]},
        "annotations": {"list": [annotation_json(a) for a in COMMON["annotations"]]},
        "panels": panels,
    }


def rule_json(rule):
    """A Grafana alert rule: the query, its newest value, the threshold."""
    query = {"refId": "A", "editorType": "sql", "queryType": "table", "format": 1, "rawSql": expand(rule["sql"], [])}
    reduce = {"refId": "B", "type": "reduce", "expression": "A", "reducer": "last"}
    above = {"refId": "C", "type": "threshold", "expression": "B", "conditions": [{"evaluator": {"type": "gt", "params": [rule["above"]]}}]}
    return {
        "uid": rule["uid"], "title": rule["title"], "condition": "C",
        "data": [
            {"refId": "A", "relativeTimeRange": {"from": rule["from"], "to": 0}, "datasourceUid": "lapwing-clickhouse", "model": query},
            {"refId": "B", "datasourceUid": "__expr__", "model": reduce},
            {"refId": "C", "datasourceUid": "__expr__", "model": above},
        ],
        "noDataState": "OK", "execErrState": "Error", "for": rule["for"], "isPaused": False,
        "annotations": {"summary": rule["summary"], "__dashboardUid__": rule["dashboard"]},
        "labels": {"severity": rule["severity"], "team": "llm"},
    }


def alerts_json():
    rules = tomllib.loads((HERE / "source/alerts.toml").read_text())["rule"]
    group = {"orgId": 1, "name": "lapwing", "folder": "Lapwing", "interval": "1m", "rules": [rule_json(r) for r in rules]}
    return {"apiVersion": 1, "groups": [group]}


ALERTS_HEAD = "# Made by dashboards/generate.py from source/alerts.toml. Copy to /etc/grafana/provisioning/alerting/.\n"
BOARDS = {}


def main():
    for path in sorted((HERE / "source").glob("*.toml")):
        if path.stem not in ("common", "alerts"):
            board = tomllib.loads(path.read_text())
            BOARDS[board["uid"]] = board
    wanted = {f"{uid}.json": json.dumps(dashboard_json(board), indent=1, ensure_ascii=False) + "\n" for uid, board in BOARDS.items()}
    # JSON is YAML; another ending would make Grafana take it for a dashboard.
    wanted["provisioning/alerting/lapwing-rules.yaml"] = ALERTS_HEAD + json.dumps(alerts_json(), indent=1, ensure_ascii=False) + "\n"
    (HERE / "provisioning/alerting").mkdir(exist_ok=True)
    stale = [name for name, text in wanted.items() if not (HERE / name).exists() or (HERE / name).read_text() != text]
    stale += [path.name for path in HERE.glob("*.json") if path.name not in wanted]
    if "--check" in sys.argv:
        if stale:
            sys.exit(f"not what dashboards/source makes: {', '.join(stale)}; run dashboards/generate.py")
        return
    for name in stale:
        if name in wanted:
            (HERE / name).write_text(wanted[name])
        else:
            (HERE / name).unlink()
        print("wrote" if name in wanted else "removed", name)


if __name__ == "__main__":
    main()
