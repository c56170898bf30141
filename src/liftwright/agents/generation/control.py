"""The control: one generic message without citations, the same for all segments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.agents.generation.drafting import text_sha256, variant_id
from liftwright.agents.generation.format_checks import check_form
from liftwright.agents.generation.prompts import fill
from liftwright.config.prompt_templates import CONTROL_MESSAGE
from liftwright.errors import ConfigurationError
from liftwright.model import CONTROL, Tokens, Variant, utc_now

if TYPE_CHECKING:
    from liftwright.config import Brand
    from liftwright.model import Limits

_LABEL = "subject:"


def control_variant(template: str, *, brand: Brand, limits: Limits) -> Variant:
    """The control message: its template with the brand name filled in.

    Args:
        template: a line `Subject: …`, a blank line, the body; `{brand}` is allowed in both.
        brand: the sender.
        limits: the limits for the channel's control message.

    Raises:
        ConfigurationError: the template has no subject line, or its text exceeds the limits.
    """
    file = f"{CONTROL_MESSAGE}.txt"
    head, _, rest = fill(template.strip().replace("\r\n", "\n"), {"brand": brand.name}).partition(
        "\n"
    )
    if not head.lower().startswith(_LABEL) or not rest.startswith("\n"):
        raise ConfigurationError(
            f'{file}: the first line must be "Subject: …", then a blank line, then the body'
        )
    subject, body = head[len(_LABEL) :].strip(), rest.strip()
    reasons = tuple(check_form(subject, body, limits))
    if reasons:
        raise ConfigurationError(f"{file}: {' '.join(reasons)}")
    return Variant(
        variant_id=variant_id(CONTROL, None, subject, body),
        arm=CONTROL,
        segment=None,
        tone=None,
        subject=subject,
        body=body,
        citations=(),
        passages=(),
        prompt=template,
        prompt_sha256=text_sha256(template),
        model="template",
        tokens=Tokens(),
        cost_usd=0.0,
        attempts=1,
        created_at=utc_now(),
        latency_ms=0.0,
    )
