"""The Python functions for notebooks and scripts: thin wrappers around `campaign`.

Customers are passed and returned as rows; arms are named `control`, `treatment_1`, `treatment_2` …
in the order of the configured tones. No function writes a run, an audit record or a ledger entry;
`Workspace.run` does. The configuration is that of `workspace`, else of the folder that the variable
LIFTWRIGHT_WORKSPACE names, else of the current folder, else the bundled sample.
"""

from __future__ import annotations

from liftwright.analysis import calculate_lift
from liftwright.analysis import plan_rates as power
from liftwright.api.analysis import analyze
from liftwright.api.experiment import (
    assign_customers_to_arms,
    calculate_metrics,
    design_experiment,
    simulate_engagement,
)
from liftwright.api.messages import (
    anonymize_customer_id,
    apply_policy_threshold,
    check_safety,
    extract_citations,
    extract_snippet,
    generate_variant,
    retrieve_content,
)
from liftwright.api.rows import Rows
from liftwright.api.segments import (
    generate_segment_summary,
    load_customer_data,
    segment_customers,
)
from liftwright.api.services import (
    AzureOpenAIClient,
    create_index,
    index_exists,
    test_connection,
)

__all__ = [
    "AzureOpenAIClient",
    "Rows",
    "analyze",
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
    "load_customer_data",
    "power",
    "retrieve_content",
    "segment_customers",
    "simulate_engagement",
    "test_connection",
]
