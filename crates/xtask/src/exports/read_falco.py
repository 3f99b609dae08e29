"""Validates the structure of exported Falco rules. Argument: the folder of the golden files.

Falco's loader is in no package registry, so this checks the keys, priorities and types that the loader
accepts. It does not check conditions and fields.
"""

import copy
import sys
from pathlib import Path

import yaml

# The required and the optional keys of each kind of item.
KINDS = {
    "required_engine_version": (set(), set()),
    "required_plugin_versions": (set(), set()),
    "list": ({"items"}, set()),
    "macro": ({"condition"}, set()),
    "rule": (
        {"desc", "condition", "output", "priority"},
        {"source", "tags", "enabled", "exceptions"},
    ),
}
PRIORITIES = "EMERGENCY ALERT CRITICAL ERROR WARNING NOTICE INFO INFORMATIONAL DEBUG".split()


def faults(items):
    if not isinstance(items, list):
        return ["a list is expected"]
    found = []
    for item in items:
        kind = next((kind for kind in KINDS if kind in item), None)
        if kind is None:
            found.append(f"an item of no kind: {sorted(item)}")
            continue
        needed, allowed = KINDS[kind]
        keys = item.keys() - {kind}
        found += [f"{kind} without {key}" for key in sorted(needed - keys)]
        found += [f"{kind} with {key}" for key in sorted(keys - needed - allowed)]
        texts = ["desc", "condition", "output", "source", *({kind} - {"required_plugin_versions"})]
        found += [f"{key} is no text" for key in texts if not isinstance(item.get(key, ""), str)]
        if kind == "rule" and item.get("priority") not in PRIORITIES:
            found.append(f"a priority {item.get('priority')}")
        if not all(isinstance(tag, str) for tag in item.get("tags", [])):
            found.append("tags are texts")
        for plugin in item.get("required_plugin_versions", []):
            if plugin.keys() - {"alternatives"} != {"name", "version"}:
                found.append(f"a plugin with {sorted(plugin)}")
    return found


def main(folder):
    paths = sorted(folder.glob("*/yaml/*.yaml"))
    wrong, names = [], []
    for path in paths:
        items = yaml.safe_load(path.read_text())
        wrong += [f"{path}: {fault}" for fault in faults(items)]
        names += [item["rule"] for item in items if "rule" in item]
    wrong += [f"two rules are {name}" for name in sorted({it for it in names if names.count(it) > 1})]
    rules = [it for path in paths for it in yaml.safe_load(path.read_text()) if "rule" in it]
    # Prove that the check can fail.
    for damage in (
        lambda it: it.update(priority="HIGH"),
        lambda it: it.update(severity="high"),
        lambda it: it.pop("output"),
        lambda it: it.update(tags=[1]),
    ):
        damaged = copy.deepcopy(rules[:1])
        for rule in damaged:
            damage(rule)
        if not faults(damaged):
            wrong.append("a damaged rule is not found")
    if not rules or wrong:
        sys.exit("\n".join(wrong) or "there is nothing to read")
    print(f"falco: {len(rules)} rules read")


main(Path(sys.argv[1]))
