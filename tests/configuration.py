"""A small configuration of the tests' own, laid down in a folder; the shipped one is not read."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "azure_config.yaml": """
        adapters:
          complete: embedded
        calls:
          retries: 3
          backoff_seconds: 0.01
        """,
    "experiment_config.yaml": """
        name: test-campaign
        seed: 7
        brand:
          name: Larkspur
          postal_address: 1 Example Street, Sampleton
          unsubscribe_url: https://larkspur.example/unsubscribe
          link_hosts: [larkspur.example]
        tones: [urgent, informational, friendly]
        content:
          path: data/content
        simulation:
          uplift:
            urgent: {mean: 0.1, sd: 0.05}
        """,
    "customers.yaml": """
        path: data/customers.csv
        """,
    "safety_thresholds.yaml": """
        threshold: 4
        """,
    "segments.yaml": """
        method: rules
        rules:
          - label: Loyal regulars
            description: Customers who order often and lately.
            audience: [loyal customers]
            conditions:
              - {when: "frequency_score >= 4", weight: 2}
              - {when: "recency_score >= 3", weight: 1}
          - label: Gone quiet
            description: Customers who have not been seen for long.
            audience: [lapsed customers]
            conditions:
              - {when: "recency_score <= 2", weight: 2}
          - label: Everyone else
            description: Customers between the others.
            audience: [new customers]
            conditions: []
        rfm:
          - {label: Best, description: The best customers., at_least: 11}
          - {label: Middle, description: The middle., at_least: 7}
          - {label: Low, description: The rest., at_least: 3}
        feature_words:
          purchase_frequency:
            low: {label: Occasional, words: order rarely, audience: [new customers]}
            high: {label: Frequent, words: order often, audience: [loyal customers]}
          avg_order_value:
            low: {label: Small baskets, words: spend little per order}
            high: {label: Large baskets, words: spend much per order}
          last_engagement_days:
            low: {label: Recent, words: were active lately}
            high: {label: Lapsed, words: have been away for long, audience: [lapsed customers]}
          historical_open_rate:
            low: {label: Quiet readers, words: seldom open messages}
            high: {label: Keen readers, words: often open messages}
          historical_click_rate:
            low: {label: Few clicks, words: seldom click}
            high: {label: Many clicks, words: often click}
        """,
    "channels.yaml": """
        email:
          variant: {subject_max_characters: 60, body_min_words: 150, body_max_words: 200}
          control: {subject_max_characters: 60, body_min_words: 10, body_max_words: 200}
          footer: "{brand}"
        """,
    "prompts/base_template.txt": """
        Write for {brand}. {segment_description} {segment_features} {tone_instructions}
        {passages} Subject at most {subject_max_characters} characters, body
        {body_min_words} to {body_max_words} words.
        """,
    "prompts/tone_urgent.txt": "Be urgent.",
    "prompts/tone_informational.txt": "Be informational.",
    "prompts/tone_friendly.txt": "Be friendly.",
    "prompts/control_message.txt": """\
        Subject: News from {brand}

        Thank you for being with {brand}. Visit us whenever you like, and tell us what you think.
        """,
}

FRAMES = """
    subjects: ["News from {brand}", "Something for you"]
    greetings: [Hello,]
    openings: [We put together a few things that may be of use to you.]
    bridges: ["Worth knowing:"]
    closings: [Thank you for reading.]
    calls_to_action: [Have a look today.]
    """


def lay_down(root: Path) -> Path:
    """Write the configuration under `root`; gives `root`."""
    files = {
        **FILES,
        **{f"frames/{t}.yaml": FRAMES for t in ("urgent", "informational", "friendly")},
    }
    for name, text in files.items():
        file = root / "config" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return root
