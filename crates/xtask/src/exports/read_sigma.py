"""Parses exported Sigma rules with pySigma, the library of Sigma converters. Argument: the folder of the
golden files.
"""

import sys
from pathlib import Path

from sigma.collection import SigmaCollection


def main(folder):
    paths = sorted(folder.glob("*/yaml/*.yml"))
    count = 0
    for profile in sorted({path.parent for path in paths}):
        # All rules of a profile at once, to check references and duplicate names.
        rules = SigmaCollection.load_ruleset([profile], recursion_pattern="*.yml")
        for rule in rules.rules:
            if rule.errors:
                sys.exit(f"{rule.source}: {rule.errors}")
            if hasattr(rule, "detection"):
                for condition in rule.detection.parsed_condition:
                    condition.parsed
            count += 1
    if count == 0:
        sys.exit("there is nothing to read")
    print(f"sigma: {count} rules read")


main(Path(sys.argv[1]))
