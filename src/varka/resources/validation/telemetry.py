"""Telemetry: what is sampled, tagged and selected."""

from __future__ import annotations

from varka.resources import cel_expressions
from varka.resources import telemetry as written
from varka.resources.parsing import Meta
from varka.resources.validation import names
from varka.resources.validation.findings import Findings


def check(spec: written.Telemetry, meta: Meta, found: Findings) -> None:
    """Check a whole Telemetry."""
    names.check_targets(spec.selector, spec.target_ref, spec.target_refs, found)
    if len(spec.tracing) > 1:
        found.warning("spec.tracing", "multiple tracing is not currently supported; only the first counts")
    for index, tracing in enumerate(spec.tracing):
        path = f"spec.tracing[{index}]"
        if len(tracing.providers) > 1:
            found.warning(f"{path}.providers", "multiple providers is not currently supported; only the first counts")
        share = tracing.random_sampling_percentage
        if share is not None and not 0 <= share <= 100:
            found.error(f"{path}.randomSamplingPercentage", f"randomSamplingPercentage {share} must be in range [0.0, 100.0]")
        for name, tag in tracing.custom_tags.items():
            if not name:
                found.error(f"{path}.customTags", "the name of a tag must not be empty")
            if tag == written.CustomTag():
                found.error(f"{path}.customTags[{name}]", f"tag '{name}' may not have a nil value")
            _check_tag(tag, f"{path}.customTags[{name}]", found)
    for index, metrics in enumerate(spec.metrics):
        for number, override in enumerate(metrics.overrides):
            _check_override(override, f"spec.metrics[{index}].overrides[{number}]", found)
    for index, logging in enumerate(spec.access_logging):
        if logging.filter is not None and logging.filter.expression:
            _check_filter(logging.filter.expression, f"spec.accessLogging[{index}].filter.expression", found)


def _check_tag(tag: written.CustomTag, path: str, found: Findings) -> None:
    if tag.literal is not None and not tag.literal.value:
        found.error(f"{path}.literal.value", "literal tag value may not be empty")
    if tag.header is not None and not tag.header.name:
        found.error(f"{path}.header.name", "header tag name may not be empty")
    if tag.environment is not None and not tag.environment.name:
        found.error(f"{path}.environment.name", "environment tag name may not be empty")


def _check_filter(expression: str, path: str, found: Findings) -> None:
    if "%" in expression:
        found.warning(path, "an access-log operator stands where a CEL expression is expected; write, for example, response.code >= 400")
        return
    problem = cel_expressions.problem(expression)
    if problem and cel_expressions.is_syntax(problem):
        found.error(path, f"must be a CEL expression: {problem}")
    elif problem:
        found.warning(path, f"no proxy can evaluate the expression, everything is logged: {problem}")


def _check_override(override: written.MetricsOverride, path: str, found: Findings) -> None:
    for name, tag in override.tag_overrides.items():
        where = f"{path}.tagOverrides[{name}]"
        if tag.operation == "REMOVE" and tag.value:
            found.error(where, "tagOverrides.value may only be set when operation is UPSERT")
        if tag.operation == "UPSERT" and not tag.value:
            found.error(where, "tagOverrides.value must be set when operation is UPSERT")
        if "%" in tag.value:
            found.warning(where, "an access-log operator stands where a CEL expression is expected; write, for example, request.host")
        elif tag.operation == "UPSERT" and tag.value and (problem := cel_expressions.problem(tag.value)):
            found.info(where, f"no proxy can evaluate the expression, the label stays as it is: {problem}")
