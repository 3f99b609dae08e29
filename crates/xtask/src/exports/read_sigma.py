"""Reads exported Sigma with pySigma, which converters are built on. Argument: the folder with what is
kept of the exports.
"""

import sys
from pathlib import Path

from sigma.collection import SigmaCollection


def main(folder):
    paths = sorted(folder.glob("*/yaml/*.yml"))
    count = 0
    for profile in sorted({path.parent for path in paths}):
        # Together, so that references and names that come twice are seen.
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
