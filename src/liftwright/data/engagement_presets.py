"""The columns and events in the exports of e-mail tools; docs/data.md has the sources."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from liftwright.config import Conversion

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What a tool calls our columns; the first name in a file is taken, in any case.

    Attributes:
        columns: by our column.
        event: the column with an event's name, in exports with one row per event.
        time: the column with its time.
        events: by our outcome, the names of its events, in lower case.
    """

    columns: Mapping[str, tuple[str | Conversion, ...]]
    event: tuple[str, ...] = ()
    time: tuple[str, ...] = ()
    events: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_SENDGRID_STATUS = Conversion.model_validate(
    {"from": "status", "values": {"delivered": "1", "not_delivered": "0", "processing": "0"}}
)

PRESETS = {
    "mailchimp": Preset(
        columns={
            "customer_id": ("Email Address", "Email", "email_address"),
            "opened": ("Opens", "Opened", "opens_count"),
            "clicked": ("Clicks", "Clicked"),
            "unsubscribed": ("Unsubscribed",),
            "complained": ("Abuse Complaint", "Abuse Reports"),
            "bounced": ("Bounced", "Bounces"),
            "revenue": ("Total Revenue", "Revenue"),
        },
        event=("Action",),
        time=("Timestamp",),
        events={
            "delivered": ("sent", "send"),
            "opened": ("open",),
            "clicked": ("click",),
            "unsubscribed": ("unsub", "unsubscribe"),
            "complained": ("abuse",),
            "bounced": ("bounce",),
        },
    ),
    "klaviyo": Preset(
        columns={
            "customer_id": ("Email", "Profile Email", "$email", "Email Address"),
            "delivered": ("Received Email",),
            "opened": ("Opened Email", "Opened"),
            "clicked": ("Clicked Email", "Clicked"),
            "converted": ("Placed Order",),
            "unsubscribed": ("Unsubscribed from Email Marketing", "Unsubscribed"),
            "complained": ("Marked Email as Spam",),
            "bounced": ("Bounced Email", "Bounced"),
            "revenue": ("Placed Order Value", "$value", "Value"),
        },
        event=("Metric", "Metric Name", "Event", "Event Name"),
        time=("Timestamp", "Event Timestamp", "Datetime", "Date"),
        events={
            "delivered": ("received email",),
            "opened": ("opened email",),
            "clicked": ("clicked email",),
            "converted": ("placed order",),
            "unsubscribed": ("unsubscribed", "unsubscribed from email marketing"),
            "complained": ("marked email as spam",),
            "bounced": ("bounced email", "dropped email"),
        },
    ),
    "sendgrid": Preset(
        columns={
            "customer_id": ("email", "to_email"),
            "delivered": (_SENDGRID_STATUS,),
            "opened": ("opens_count",),
            "clicked": ("clicks_count",),
        },
        event=("event",),
        time=("processed", "timestamp"),
        events={
            "delivered": ("delivered",),
            "opened": ("open", "opened"),
            "clicked": ("click", "clicked"),
            "unsubscribed": (
                *("unsubscribe", "group_unsubscribe", "group unsubscribe", "unsubscribed"),
            ),
            "complained": ("spamreport", "spam report", "spam_report"),
            "bounced": ("bounce", "bounced", "dropped", "blocked"),
        },
    ),
    "hubspot": Preset(
        columns={
            "customer_id": ("Recipient", "Email", "Email Address"),
            "delivered": ("Delivered",),
            "opened": ("Open", "Opened"),
            "clicked": ("Click", "Clicked"),
            "unsubscribed": ("Unsubscribed",),
            "complained": ("SpamReport", "Spam Report"),
            "bounced": ("Bounce", "Bounced"),
        },
        event=("type", "Event type"),
        time=("created", "Event date"),
        events={
            "delivered": ("delivered",),
            "opened": ("open",),
            "clicked": ("click",),
            "unsubscribed": ("unsubscribed", "statuschange"),
            "complained": ("spamreport",),
            "bounced": ("bounce", "dropped"),
        },
    ),
    "braze": Preset(
        columns={
            "customer_id": (
                *("external_user_id", "external_id", "user_id", "email_address", "email"),
            ),
        },
        event=("event_type", "event"),
        time=("time", "timestamp"),
        events={
            "delivered": ("users.messages.email.delivery",),
            "opened": ("users.messages.email.open",),
            "clicked": ("users.messages.email.click",),
            "converted": ("users.campaigns.conversion",),
            "unsubscribed": ("users.messages.email.unsubscribe",),
            "complained": ("users.messages.email.markasspam",),
            "bounced": ("users.messages.email.bounce",),
        },
    ),
}
