"""The list of all checks on messages.

To add a check, define a `Check` in its agent and add a line here. Its settings are then part of the
run's fingerprint, of the keys of the stages that run it, and of `policy_sha256` in the audit log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.agents import generation, safety
from liftwright.agents.safety.prohibited_phrases import prohibited_phrases_check

if TYPE_CHECKING:
    from liftwright.campaign.context import RunContext
    from liftwright.config import Settings
    from liftwright.model.checks import Check
    from liftwright.ports import Screen


def message_checks(context: RunContext, screen: Screen | None = None) -> tuple[Check, ...]:
    """Every check on a message, in the order in which they run.

    Args:
        context: the settings and ports; no service is called.
        screen: a screener to use instead of the run's, such as one with prefetched replies.
    """
    settings = context.settings
    experiment, judge = settings.experiment, context.judge
    limits = generation.message_limits(settings.channel.variant)
    return (
        *generation.drafting_checks(
            brand=experiment.brand, limits=limits, templates=settings.prompts
        ),
        context.grounder.check,
        safety.screener_check(screen or context.screen, settings.safety),
        prohibited_phrases_check(settings.prohibited_phrases),
        *((safety.groundedness_check(judge),) if judge else ()),
    )


def frame_lines(settings: Settings) -> dict[str, tuple[str, ...]]:
    """The composer's fixed lines by tone, with names filled in; they make no claims."""
    brand = settings.experiment.brand.name
    return {
        tone: tuple(
            line.replace("{brand}", brand)
            for line in (
                *(frames.greetings + frames.openings + frames.bridges),
                *(frames.closings + frames.calls_to_action),
            )
        )
        for tone, frames in settings.frames.items()
    }
