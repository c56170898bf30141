"""Azure AI Content Safety: the port `screen`, Prompt Shields and groundedness detection.

An incomplete response is an error; it never counts as harmless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.adapters.azure.content_safety_client import NAME, ContentSafetyService, pieces
from liftwright.errors import ProviderRefused
from liftwright.model import CATEGORIES, Finding, Judgment, Usage, fingerprint, text_records
from liftwright.ports import Meter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from azure.core.credentials import TokenCredential

    from liftwright.adapters.azure import AzureContentSafety
    from liftwright.model import JudgeRequest
    from liftwright.ports import Reply

BLOCKLIST = "blocklist"

_CODE_VERSION = "1"
# Limits of the service, in code points; the vendor's client does not check them.
_MOST_ANALYSED, _MOST_SHIELDED, _MOST_GROUNDED, _MOST_SOURCES = 10_000, 10_000, 7_500, 55_000
_SHIELD_VERSION, _GROUNDEDNESS_VERSION = "2024-09-01", "2024-09-15-preview"

_VENDORS_NAMES = {
    "hate": "Hate",
    "violence": "Violence",
    "self_harm": "SelfHarm",
    "sexual": "Sexual",
}
_LEVELS = {"FourSeverityLevels": (0, 2, 4, 6), "EightSeverityLevels": tuple(range(8))}


class AzureContentSafetyScreen:
    """The port `screen` with Azure AI Content Safety.

    A reply has one finding of the check `safety` for each of the four categories. Each blocklist
    with a match adds a finding of the check and category `blocklist`, with the highest severity
    and the list's name as its reason, since a listed word belongs to none of the categories.

    Args:
        config: the resource, its severity levels and its blocklists.
        api_key: None if a credential is given.
        credential: None if a key is given.
        timeout_seconds: the time-out of one request.

    Raises:
        ConfigurationError: the package is not installed, the address is not https, or not exactly
            one of key and credential is given.
    """

    metered = True

    def __init__(
        self,
        config: AzureContentSafety,
        *,
        api_key: str | None = None,
        credential: TokenCredential | None = None,
        timeout_seconds: float,
    ) -> None:
        self._config = config
        self._levels = _LEVELS[config.output_type]
        self._service = ContentSafetyService(config, api_key, credential, timeout_seconds)
        rest = fingerprint(_CODE_VERSION, config.output_type, sorted(config.blocklists))[:12]
        self.identity = self._service.identity(f"{config.api_version}-{rest}")

    def __call__(self, request: str, /) -> tuple[Finding, ...]:
        """The findings of a text; for a long text, the worst of its pieces per category.

        Raises:
            ProviderUnavailable: time-out, overload, lost connection or malformed response.
            ProviderRefused: credentials, bad request, or a response without one of the categories.
        """
        return self.call_with_usage(request).value

    def call_with_usage(self, request: str, /) -> Reply[tuple[Finding, ...]]:
        """As the plain call, with the text records of the pieces."""
        spans = list(pieces(request, _MOST_ANALYSED))
        worst = dict.fromkeys(CATEGORIES, 0)
        where: dict[str, tuple[int, int]] = {}
        hits: dict[str, None] = {}
        with Meter() as meter:
            for start, end in spans:
                answer = self._analyse(request[start:end], meter)
                for category, severity in _severities(answer, self._levels).items():
                    if severity > worst[category]:
                        worst[category], where[category] = severity, (start, end)
                hits.update(dict.fromkeys(_hits(answer)))
        if len(spans) == 1:
            where = {}
        return meter.reply(
            (
                *(self._finding(name, worst[name], where.get(name)) for name in CATEGORIES),
                *(self._hit(name) for name in hits),
            )
        )

    def _analyse(self, text: str, meter: Meter) -> Mapping[str, object]:
        body: dict[str, object] = {
            "text": text,
            "categories": list(_VENDORS_NAMES.values()),
            "outputType": self._config.output_type,
        }
        if self._config.blocklists:
            # Do not halt on a match, as the severities are needed as well.
            body |= {"blocklistNames": list(self._config.blocklists), "haltOnBlocklistHit": False}
        answer = self._service.post("/text:analyze", self._config.api_version, body)
        meter.add(Usage(units=text_records(text)))
        return answer

    def _finding(self, category: str, severity: int, where: tuple[int, int] | None) -> Finding:
        return Finding(
            check="safety",
            category=category,
            severity=severity,
            score=severity / self._levels[-1],
            reason="classifier" if severity else "",
            start=where[0] if where else None,
            end=where[1] if where else None,
        )

    def _hit(self, name: str) -> Finding:
        highest = self._levels[-1]
        return Finding(
            check=BLOCKLIST, category=BLOCKLIST, severity=highest, score=1.0, reason=name
        )


class AzurePromptShields:
    """The port `shield`: detects prompt injection in a document of any length.

    Args:
        service: the resource.
    """

    metered = True

    def __init__(self, service: ContentSafetyService) -> None:
        self._service = service
        self.identity = service.identity(f"shieldPrompt-{_SHIELD_VERSION}-{_CODE_VERSION}")

    def __call__(self, request: str, /) -> bool:
        """Whether a document contains an attack.

        Raises:
            ProviderUnavailable: time-out, overload, lost connection or malformed response.
            ProviderRefused: credentials, bad request, or an incomplete response.
        """
        return self.call_with_usage(request).value

    def call_with_usage(self, request: str, /) -> Reply[bool]:
        """As the plain call, with the text records of the checked pieces."""
        with Meter() as meter:
            spans = pieces(request, _MOST_SHIELDED)
            return meter.reply(any(self._attacks(request[a:b], meter) for a, b in spans))

    def _attacks(self, document: str, meter: Meter) -> bool:
        body = {"userPrompt": "", "documents": [document]}
        answer = self._service.post("/text:shieldPrompt", _SHIELD_VERSION, body)
        meter.add(Usage(units=text_records(document)))
        analyses = answer.get("documentsAnalysis")
        first = analyses[0] if isinstance(analyses, list) and len(analyses) == 1 else None
        attack = first.get("attackDetected") if isinstance(first, dict) else None
        if not isinstance(attack, bool):
            raise ProviderRefused(f"{NAME}: the response does not say whether there is an attack")
        return attack


class AzureGroundedness:
    """The port `judge`: a second opinion on whether sources support a text.

    Args:
        service: the resource.
    """

    metered = True

    def __init__(self, service: ContentSafetyService) -> None:
        self._service = service
        self.identity = service.identity(
            f"detectGroundedness-{_GROUNDEDNESS_VERSION}-{_CODE_VERSION}"
        )

    def __call__(self, request: JudgeRequest, /) -> Judgment:
        """The service's verdict; a text without sources is ungrounded and not sent.

        Raises:
            ProviderUnavailable: time-out, overload, lost connection or malformed response.
            ProviderRefused: credentials, bad request, sources longer than the service's limit, or
                an incomplete response.
        """
        return self.call_with_usage(request).value

    def call_with_usage(self, request: JudgeRequest, /) -> Reply[Judgment]:
        """As the plain call, with the text records of text and sources."""
        with Meter() as meter:
            return meter.reply(self._judge(request, meter))

    def _judge(self, request: JudgeRequest, meter: Meter) -> Judgment:
        sources = [source for source in request.sources if source.strip()]
        length = sum(map(len, sources))
        if length > _MOST_SOURCES:
            raise ProviderRefused(
                f"{NAME}: groundedness: found sources of {length} characters, "
                f"allowed: {_MOST_SOURCES}"
            )
        spans = list(pieces(request.text, _MOST_GROUNDED))
        if not sources or not spans:
            empty = not spans
            return Judgment(grounded=empty, ungrounded_share=0.0 if empty else 1.0)
        parts = [(b - a, self._judge_part(request.text[a:b], sources, meter)) for a, b in spans]
        total = sum(size for size, _ in parts)
        return Judgment(
            grounded=all(part.grounded for _, part in parts),
            ungrounded_share=sum(size * part.ungrounded_share for size, part in parts) / total,
        )

    def _judge_part(self, text: str, sources: list[str], meter: Meter) -> Judgment:
        body = {
            "domain": "Generic",
            "task": "Summarization",
            "text": text,
            "groundingSources": sources,
            "reasoning": False,
        }
        answer = self._service.post("/text:detectGroundedness", _GROUNDEDNESS_VERSION, body)
        meter.add(Usage(units=text_records("".join([text, *sources]))))
        ungrounded, share = answer.get("ungroundedDetected"), answer.get("ungroundedPercentage")
        if (
            not isinstance(ungrounded, bool)
            or isinstance(share, bool)
            or not isinstance(share, int | float)
            or not 0 <= share <= 1
        ):
            raise ProviderRefused(f"{NAME}: the response does not say if the text is grounded")
        return Judgment(grounded=not ungrounded, ungrounded_share=float(share))


def _severities(answer: Mapping[str, object], levels: Sequence[int]) -> dict[str, int]:
    """The severity of each category.

    Raises:
        ProviderRefused: a category does not have exactly one severity, or not one of the levels.
    """
    listed = answer.get("categoriesAnalysis")
    by_category: dict[str, list[object]] = {category: [] for category in CATEGORIES}
    for item in listed if isinstance(listed, list) else ():
        for category, name in _VENDORS_NAMES.items():
            if isinstance(item, dict) and item.get("category") == name:
                by_category[category].append(item.get("severity"))
    severities: dict[str, int] = {}
    for category, values in by_category.items():
        if values in ([], [None]):
            raise ProviderRefused(f"{NAME}: missing category: the response has no {category}")
        if len(values) > 1:
            raise ProviderRefused(f"{NAME}: the response names {category} more than once")
        (value,) = values
        if not isinstance(value, int) or isinstance(value, bool) or value not in levels:
            raise ProviderRefused(
                f"{NAME}: the severity of {category} is not one of {', '.join(map(str, levels))}"
            )
        severities[category] = value
    return severities


def _hits(answer: Mapping[str, object]) -> Iterator[str]:
    """The names of the blocklists with a match.

    Raises:
        ProviderRefused: a match is malformed.
    """
    matches = answer.get("blocklistsMatch")
    for match in matches if isinstance(matches, list) else [matches] if matches else []:
        name = match.get("blocklistName") if isinstance(match, dict) else None
        if not isinstance(name, str):
            raise ProviderRefused(f"{NAME}: the response does not name the matching blocklist")
        yield name
