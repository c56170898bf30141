"""From the passages to the messages, and what proves their claims."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from liftwright.agents import generation, grounding
from liftwright.agents.segmentation import Segmentation
from liftwright.log import event
from liftwright.model import Passage
from liftwright.model.artifacts import Sending, VariantClaims, Variants
from liftwright.model.checks import DRAFTING, in_stage

if TYPE_CHECKING:
    from liftwright.campaign.run_context import Work
    from liftwright.config import Settings


def generate(work: Work) -> str:
    """For each segment one variant per tone, checked until it is valid; and the control."""
    settings = work.settings
    segments = work.folder.read("segments.json", Segmentation).segments
    passages = work.folder.read("passages.json", dict[str, tuple[Passage, ...]])
    limits, control_limits = generation.channel_limits(settings.channel)
    control = generation.control_variant(
        settings.prompts["control_message"], brand=settings.experiment.brand, limits=control_limits
    )
    found = [passage for of_segment in passages.values() for passage in of_segment]
    with ThreadPoolExecutor(max_workers=1) as ahead:
        # While the writer is at work, the sources are made ready to judge its drafts by.
        ahead.submit(grounding.prepare, found, work.ports.embed)
        variants, failures = generation.generate_variants(
            segments,
            passages,
            writing=generation.Writing(
                brand=settings.experiment.brand,
                tones=settings.experiment.tones,
                limits=limits,
                templates=settings.prompts,
                max_redrafts=settings.experiment.generation.max_redrafts,
                concurrency=work.concurrency,
            ),
            complete=work.complete,
            checks=in_stage(work.checks, DRAFTING),
            known_tiers={tier for one in segments for tier in one.tiers},
        )
    sent = Sending(channel=settings.experiment.channel, footer=_footer(settings))
    work.folder.write("channel.json", sent)
    work.folder.write("variants.json", Variants(control=control, variants=variants))
    work.folder.write("failures.json", failures)
    return f"{len(variants)} variants, {len(failures)} failed"


def ground(work: Work) -> str:
    """The claims of every variant that was kept, each with what supports it."""
    claims = []
    for variant in work.folder.read("variants.json", Variants).variants:
        # Proven already where this process accepted the draft.
        found = work.grounder.ground(variant.body, variant.passages, variant.tone)
        claims.append(
            VariantClaims(variant_id=variant.variant_id, score=found.score, claims=found.claims)
        )
        event(
            "variant_grounded",
            agent="grounding",
            variant_id=variant.variant_id,
            claims=len(found.claims),
            score=found.score,
        )
    work.folder.write("claims.json", claims)
    return f"{sum(len(entry.claims) for entry in claims)} sentences checked"


def _footer(settings: Settings) -> str:
    brand, text = settings.experiment.brand, settings.channel.footer
    values = {
        "brand": brand.name,
        "postal_address": brand.postal_address,
        "unsubscribe_url": brand.unsubscribe_url,
    }
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text.strip()
