"""Reads exported rules with the models of Datadog's own client, and their Terraform with a reader of
its language. Argument: the folder with what is kept of Datadog's exports.

The models pass over what they do not know: a value that no enumeration has is marked, a key that no
model has is kept beside the others. So every object is looked at, down to the last.
"""

import json
import re
import sys
from pathlib import Path

import hcl2
from datadog_api_client.configuration import Configuration
from datadog_api_client.model_utils import ModelNormal, ModelSimple, validate_and_convert_types
from datadog_api_client.v2.model.security_monitoring_standard_rule_create_payload import (
    SecurityMonitoringStandardRuleCreatePayload,
)


def faults(value, path):
    """Yields what the models did not understand."""
    if getattr(value, "_unparsed", False):
        yield f"{path}: a value that is not known"
    if isinstance(value, ModelNormal):
        for key, inner in value._data_store.items():
            if key not in value.attribute_map:
                yield f"{path}.{key}: a key that is not known"
            yield from faults(inner, f"{path}.{key}")
    elif isinstance(value, ModelSimple):
        yield from faults(value.value, path)
    elif isinstance(value, (list, tuple)):
        for place, inner in enumerate(value):
            yield from faults(inner, f"{path}[{place}]")
    elif isinstance(value, dict):
        yield f"{path}: an object that no model reads"


def read_json(rule):
    return validate_and_convert_types(
        rule,
        (SecurityMonitoringStandardRuleCreatePayload,),
        ["rule"],
        True,
        True,
        configuration=Configuration(),
    )


def plain(value):
    """A value of Terraform's language as JSON has it."""
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
    """What the JSON says, by the names of the Terraform provider."""
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


def main(folder):
    wrong = []
    rules = sorted(folder.glob("*/json/*.json"))
    terraform = sorted(folder.glob("*/terraform/*.tf"))
    for path in rules:
        found = faults(read_json(json.loads(path.read_text())), path.stem)
        wrong.extend(f"{path}: {fault}" for fault in found)
    for path in terraform:
        parsed = hcl2.loads(path.read_text())
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
    # What proves that the check can fail.
    rule = json.loads(rules[0].read_text())
    for damage in (
        lambda it: it["cases"][0].update(status="informational"),
        lambda it: it["options"].update(keepAlive=700),
        lambda it: it["queries"][0].update(aggregation="all"),
        lambda it: it["queries"][0].update(group_by=[]),
        lambda it: it.update(severity="high"),
    ):
        damaged = json.loads(json.dumps(rule))
        damage(damaged)
        if not list(faults(read_json(damaged), "rule")):
            wrong.append("a damaged rule is not found")
    if not rules or not terraform or wrong:
        sys.exit("\n".join(wrong) or "there is nothing to read")
    print(f"datadog: {len(rules)} rules and {len(terraform)} resources read")


main(Path(sys.argv[1]))
