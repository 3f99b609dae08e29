"""Validates exported rules with the models of Datadog's own client, and their Terraform files with a
parser of its language. Argument: the folder of the golden files for Datadog.
"""

import json
import re
import sys
from datetime import datetime
from pathlib import Path

import hcl2
from datadog_api_client.v2.model.security_monitoring_standard_rule_create_payload import (
    SecurityMonitoringStandardRuleCreatePayload as Rule,
)

from datadog_api_client.v2.model.security_monitoring_suppression_create_request import (
    SecurityMonitoringSuppressionCreateRequest as Suppression,
)

from datadog_models import damages_not_found, faults, read


def plain(value):
    """Converts a value of Terraform's language to JSON."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, str):
        if value.startswith('"<<END\n'):
            value = value[len('"<<END\n') : -len('\nEND"')]
        else:
            value = json.loads(value)
        return value.replace("$${", "${").replace("%%{", "%{")
    return value


def snake(key):
    return re.sub("[A-Z]", lambda it: "_" + it[0].lower(), key)


def expected(rule):
    """The content of the JSON, with the names of the Terraform provider."""
    blocks = {"queries": "query", "cases": "case", "is_enabled": "enabled"}
    wanted = {}
    for key, value in rule.items():
        key = blocks.get(snake(key), snake(key))
        if isinstance(value, dict):
            value = [expected(value)]
        elif isinstance(value, list):
            value = [expected(it) if isinstance(it, dict) else it for it in value]
        wanted[key] = value
    if wanted.get("aggregation") == "new_value":
        wanted.pop("distinct_fields")
    return wanted


def read_suppressions(folder, wrong):
    """Validates the suppressions and their resources, and returns the number of suppressions."""
    paths = sorted(folder.glob("*/json/suppressions/*.json"))
    for path in paths:
        request = json.loads(path.read_text())
        wrong.extend(f"{path}: {it}" for it in faults(read(request, Suppression), path.stem))
        name = f"suppression-{path.stem}.tf"
        resource = path.parent.parent.parent / "terraform" / name
        if not resource.exists():
            continue
        (named,) = hcl2.loads(resource.read_text())["resource"][0].values()
        (block,) = named.values()
        got, wanted = plain(block), request["data"]["attributes"]
        until = datetime.fromisoformat(got.pop("expiration_date")).timestamp()
        # Terraform's times are whole seconds.
        if until != wanted.pop("expiration_date") // 1000:
            wrong.append(f"{resource}: another time than {path}")
        wanted["enabled"] = str(wanted["enabled"]).lower()
        got["enabled"] = str(got["enabled"]).lower()
        if got != wanted:
            wrong.append(f"{resource}: {got} is not {wanted}")
    damages = (
        lambda it: it["data"].update(type="suppression"),
        lambda it: it["data"]["attributes"].update(query="x"),
    )
    if not paths or damages_not_found(json.loads(paths[0].read_text()), Suppression, damages):
        wrong.append("a damaged suppression is not found")
    return len(paths)


def main(folder):
    wrong = []
    suppressions = read_suppressions(folder, wrong)
    rules = sorted(folder.glob("*/json/*.json"))
    terraform = sorted(folder.glob("*/terraform/*.tf"))
    for path in rules:
        found = faults(read(json.loads(path.read_text()), Rule), path.stem)
        wrong.extend(f"{path}: {fault}" for fault in found)
    for path in terraform:
        parsed = hcl2.loads(path.read_text())
        if path.stem.startswith("suppression-"):
            continue
        if path.stem == "versions":
            if "terraform" not in parsed:
                wrong.append(f"{path}: no provider")
            continue
        resources = parsed["resource"]
        (kind, named), = resources[0].items()
        (_, block), = named.items()
        json_path = path.parent.parent / "json" / f"{path.stem}.json"
        wanted = expected(json.loads(json_path.read_text()))
        if json.loads(kind) != "datadog_security_monitoring_rule":
            wrong.append(f"{path}: a resource {kind}")
        got = plain(block)
        for key in sorted(wanted.keys() | got.keys()):
            if wanted.get(key) != got.get(key):
                wrong.append(f"{path}: {key} is {got.get(key)!r}, not {wanted.get(key)!r}")
    damages = (
        lambda it: it["cases"][0].update(status="informational"),
        lambda it: it["options"].update(keepAlive=700),
        lambda it: it["queries"][0].update(aggregation="all"),
        lambda it: it["queries"][0].update(group_by=[]),
        lambda it: it.update(severity="high"),
    )
    if damages_not_found(json.loads(rules[0].read_text()), Rule, damages):
        wrong.append("a damaged rule is not found")
    if not rules or not terraform or wrong:
        sys.exit("\n".join(wrong) or "there is nothing to read")
    print(
        f"datadog: {len(rules)} rules, {suppressions} suppressions, {len(terraform)} resources read"
    )


main(Path(sys.argv[1]))
