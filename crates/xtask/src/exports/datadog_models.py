"""Finds the parts of an object that the models of Datadog's own client do not know.

The models accept unknown parts: they mark an unknown enumeration value, and keep an unknown key
separately. Therefore every nested object is checked.
"""

import json

from datadog_api_client.configuration import Configuration
from datadog_api_client.model_utils import (
    ModelComposed,
    ModelNormal,
    ModelSimple,
    validate_and_convert_types,
)


def read(value, model):
    return validate_and_convert_types(
        value, (model,), ["value"], True, True, configuration=Configuration()
    )


def faults(value, path):
    """Yields the parts that the models do not know."""
    if getattr(value, "_unparsed", False):
        yield f"{path}: a value that is not known"
    if isinstance(value, ModelNormal):
        for key, inner in value._data_store.items():
            if key not in value.attribute_map:
                yield f"{path}.{key}: a key that is not known"
            yield from faults(inner, f"{path}.{key}")
    elif isinstance(value, ModelComposed):
        for inner in value._composed_instances:
            yield from faults(inner, path)
    elif isinstance(value, ModelSimple):
        yield from faults(value.value, path)
    elif isinstance(value, (list, tuple)):
        for place, inner in enumerate(value):
            yield from faults(inner, f"{path}[{place}]")
    elif isinstance(value, dict):
        yield f"{path}: an object that no model reads"


def damages_not_found(value, model, damages):
    """The number of damages that are not found: proves that the check can fail."""
    count = 0
    for damage in damages:
        damaged = json.loads(json.dumps(value))
        damage(damaged)
        if not list(faults(read(damaged, model), "value")):
            count += 1
    return count
