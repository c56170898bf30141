"""Liftwright: measured, cited, screened messages from a customer list and approved content.

`Workspace(folder).run()` runs a whole campaign; the functions are its parts, for notebooks.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liftwright.analysis import ExperimentResult, ManyExperimentsResult, PowerPlan
    from liftwright.api import (
        AzureOpenAIClient,
        Rows,
        analyze,
        anonymize_customer_id,
        apply_policy_threshold,
        assign_customers_to_arms,
        calculate_lift,
        calculate_metrics,
        check_safety,
        create_index,
        design_experiment,
        extract_citations,
        extract_snippet,
        generate_segment_summary,
        generate_variant,
        index_exists,
        load_customer_data,
        power,
        retrieve_content,
        segment_customers,
        simulate_engagement,
        test_connection,
    )
    from liftwright.campaign import (
        AnalyzeRequest,
        RunOutcome,
        RunRequest,
        Workspace,
        analyze_file,
        init_workspace,
    )
    from liftwright.errors import (
        InputError,
        IntegrityError,
        LiftwrightError,
        NoExperiment,
        ProviderError,
    )

__version__ = "0.1.0"

__all__ = [
    "AnalyzeRequest",
    "AzureOpenAIClient",
    "ExperimentResult",
    "InputError",
    "IntegrityError",
    "LiftwrightError",
    "ManyExperimentsResult",
    "NoExperiment",
    "PowerPlan",
    "ProviderError",
    "Rows",
    "RunOutcome",
    "RunRequest",
    "Workspace",
    "analyze",
    "analyze_file",
    "anonymize_customer_id",
    "apply_policy_threshold",
    "assign_customers_to_arms",
    "calculate_lift",
    "calculate_metrics",
    "check_safety",
    "create_index",
    "design_experiment",
    "extract_citations",
    "extract_snippet",
    "generate_segment_summary",
    "generate_variant",
    "index_exists",
    "init_workspace",
    "load_customer_data",
    "power",
    "retrieve_content",
    "segment_customers",
    "simulate_engagement",
    "test_connection",
]

_HOMES = {
    "liftwright.api": frozenset(
        name for name in __all__ if name[0].islower() or name in {"AzureOpenAIClient", "Rows"}
    )
    - {"analyze_file", "init_workspace"},
    "liftwright.analysis": frozenset({"ExperimentResult", "ManyExperimentsResult", "PowerPlan"}),
    "liftwright.errors": frozenset(name for name in __all__ if name.endswith(("Error", "ment"))),
    "liftwright.campaign": frozenset(
        {
            "AnalyzeRequest",
            "RunOutcome",
            "RunRequest",
            "Workspace",
            "analyze_file",
            "init_workspace",
        }
    ),
}


def __getattr__(name: str) -> object:
    """Import a public name at first use, to keep `liftwright --help` fast."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'liftwright' has no attribute {name!r}")
