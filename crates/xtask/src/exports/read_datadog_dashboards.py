"""Validates dashboards with the models of Datadog's own client. Argument: the folder of their golden files."""

import json
import sys
from pathlib import Path

from datadog_api_client.v1.model.dashboard import Dashboard

from datadog_models import damages_not_found, faults, read


def request(dashboard, place):
    return dashboard["widgets"][place]["definition"]["requests"][0]


def main(folder):
    paths = sorted(folder.glob("*/*.json"))
    wrong = []
    for path in paths:
        dashboard = read(json.loads(path.read_text()), Dashboard)
        wrong.extend(f"{path}: {fault}"[:500] for fault in faults(dashboard, path.stem))
    damages = (
        lambda it: it.update(layout_type="grid"),
        lambda it: it["template_variables"][0].update(pre="x"),
        lambda it: it["widgets"][0]["layout"].update(z=1),
        lambda it: it["widgets"][0]["definition"].update(type="number"),
        lambda it: it["widgets"][0]["definition"].update(titel="x"),
        lambda it: request(it, 4).update(display_type="bar"),
        lambda it: request(it, 4)["queries"][0].update(facet="x"),
        lambda it: request(it, 4)["queries"][0]["compute"].update(aggregation="number"),
        lambda it: request(it, 4)["queries"][0]["group_by"][0].update(facets="x"),
        lambda it: request(it, -1)["query"].update(data_source="log"),
        lambda it: request(it, -1)["columns"][0].update(width="wide"),
    )
    if paths and (count := damages_not_found(json.loads(paths[0].read_text()), Dashboard, damages)):
        wrong.append(f"{count} damages of a dashboard are not found")
    if not paths or wrong:
        sys.exit("\n".join(wrong) or "there is nothing to read")
    print(f"datadog: {len(paths)} dashboards read")


main(Path(sys.argv[1]))
