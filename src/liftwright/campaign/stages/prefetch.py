"""What is known early: the control, and that a message will be screened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.agents import generation, safety

if TYPE_CHECKING:
    from liftwright.campaign.run_context import Work
    from liftwright.model import Variant


def control_of(work: Work) -> Variant:
    """The message that every segment's variants are held against."""
    settings = work.settings
    _, limits = generation.channel_limits(settings.channel)
    return generation.control_variant(
        settings.prompts["control_message"], brand=settings.experiment.brand, limits=limits
    )


def screen_early(work: Work, variant: Variant) -> None:
    """Have a screener that is far away asked for a message's parts, beside what is waited for."""
    work.screen_ahead.ask(part.text for part in safety.message_parts(variant))
