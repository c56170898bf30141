"""Each kind of fault on every route of every service, met through retries and ledger.

For each: how often the service was asked, how long was waited, what the error is, what the ledger
says, and that the same request is answered once the service works again, and is paid once.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from azure_server.faults import Fault
from azure_server.identity import IdentityService, environment
from azure_server.openai import KEY as OPENAI_KEY
from azure_server.openai import OpenAIService
from azure_server.safety import KEY as SAFETY_KEY
from azure_server.safety import SafetyService
from azure_server.search import KEY as SEARCH_KEY
from azure_server.search import SearchService
from azure_server.server import AzureServer
from azure_server.tls import certificates
from azure_server.vault import VaultService
from fake_clock import FakeClock
from liftwright.adapters.azure import AzureContentSafety, AzureOpenAI, AzureSearch, KeyVault
from liftwright.adapters.azure.content_safety import AzureContentSafetyScreen
from liftwright.adapters.azure.identity import credential_for
from liftwright.adapters.azure.key_vault import KeyVaultSecrets
from liftwright.adapters.azure.openai import AzureOpenAIComplete, AzureOpenAIEmbed
from liftwright.adapters.azure.search import AzurePassageSearch
from liftwright.adapters.azure.search_index import AzureSearchIndex
from liftwright.adapters.embedded.sqlite import SqliteStore
from liftwright.calls.cache_policy import (
    complete_policy,
    embed_policy,
    screen_policy,
    search_policy,
)
from liftwright.calls.client import Calls, PortClient
from liftwright.calls.ledger import Ledger
from liftwright.config import Authentication, CallSettings, EmbeddingPrice, Price, Services
from liftwright.errors import ProviderError, ProviderRefused, ProviderUnavailable
from liftwright.model import Document, Limits, Prompt, Query, Section, Segment
from waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PRICE = Price(
    input_usd_per_million=10,
    cached_input_usd_per_million=1,
    output_usd_per_million=50,
    as_of=date(2026, 11, 1),
)
SERVICES = Services(
    prices={"gpt-5-mini": PRICE},
    embedding_prices={"vectors": EmbeddingPrice(input_usd_per_million=1, as_of=PRICE.as_of)},
)
DOUBLING = [2.0, 4.0, 8.0]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A fault that stays, and what a call that meets it comes to.

    Attributes:
        gaps: seconds between the attempts; none where it is not asked again.
        dated: whether the service names a date 50 s ahead.
    """

    name: str
    fault: Fault
    gaps: tuple[float, ...] = ()
    dated: bool = False

    @property
    def attempts(self) -> int:
        return 1 + len(self.gaps)

    @property
    def error(self) -> type[ProviderError]:
        return ProviderUnavailable if self.gaps else ProviderRefused


def status(code: int, gaps: list[float], headers: dict[str, str], name: str = "") -> Case:
    fault = Fault(kind="status", status=code, headers=headers)
    return Case(name=f"{code}{name}", fault=fault, gaps=tuple(gaps))


# Which faults there are is shown port by port in the contracts; here is one of each kind.
LASTING = [status(401, [], {"Retry-After": "1"})]
PASSING = [
    status(503, DOUBLING, {}),
    status(429, [1.5] * 3, {"retry-after-ms": "1500"}, " in ms"),
    status(429, [60.0] * 3, {"Retry-After": "3600"}, " in an hour"),
    replace(status(503, [50.0] * 3, {}, " with a date"), dated=True),
    *(
        Case(name=kind, fault=Fault(kind=kind), gaps=tuple(DOUBLING))
        for kind in ("reset", "cut", "wrong_schema")
    ),
]
CASES = {case.name: case for case in (*LASTING, *PASSING)}


class Site:
    """A server with every service, and clients that are made once."""

    def __init__(self, server: AzureServer) -> None:
        self.server = server
        self.number = itertools.count(1)
        self._made: dict[str, Any] = {}

    def made(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = getattr(self, f"_{name}")()
        return self._made[name]

    def _complete(self) -> AzureOpenAIComplete:
        return AzureOpenAIComplete(
            self._openai(),
            api_key=OPENAI_KEY,
            token_provider=None,
            price=PRICE,
            timeout_seconds=PATIENCE_SECONDS,
        )

    def _embed(self) -> AzureOpenAIEmbed:
        return AzureOpenAIEmbed(
            self._openai(),
            api_key=OPENAI_KEY,
            token_provider=None,
            timeout_seconds=PATIENCE_SECONDS,
        )

    def _openai(self) -> AzureOpenAI:
        return AzureOpenAI(
            endpoint=self.server.url,
            deployment="thinker",
            model="gpt-5-mini",
            embedding_deployment="vectors",
        )

    def _index(self) -> AzureSearchIndex:
        return AzureSearchIndex(
            self._plain_search(),
            None,
            api_key=SEARCH_KEY,
            timeout_seconds=PATIENCE_SECONDS,
            wait=lambda _: None,
        )

    def _search(self) -> AzurePassageSearch:
        report = self.made("index")((document("searched"),), progress=lambda _, __: None)
        return AzurePassageSearch(
            self._plain_search(),
            None,
            report.name,
            api_key=SEARCH_KEY,
            timeout_seconds=PATIENCE_SECONDS,
        )

    def _plain_search(self) -> AzureSearch:
        return AzureSearch(endpoint=self.server.url, vectors=False)

    def _screen(self) -> AzureContentSafetyScreen:
        return AzureContentSafetyScreen(
            AzureContentSafety(endpoint=self.server.url),
            api_key=SAFETY_KEY,
            timeout_seconds=PATIENCE_SECONDS,
        )

    def _secrets(self) -> KeyVaultSecrets:
        found = KeyVaultSecrets(
            KeyVault(url=self.server.url),
            credential_for(Authentication(method="managed_identity")),
            {},
            verify_challenge_resource=False,
            timeout_seconds=PATIENCE_SECONDS,
        )
        # Through the challenge first, so that one request is one attempt.
        found("ABSENT")
        return found


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    secrets = {f"SECRET-{number}": "value" for number in range(200)}
    handlers = [
        OpenAIService(),
        SearchService(),
        SafetyService(),
        IdentityService(),
        VaultService(secrets),
    ]
    with pytest.MonkeyPatch.context() as environ, AzureServer(handlers).running() as server:
        for name, value in {**certificates().environment, **environment(server.url)}.items():
            environ.setenv(name, value)
        # The path of an alias ends as that of an index does.
        server.script("/aliases", itertools.repeat(None))
        yield Site(server)


def document(name: str) -> Document:
    return Document(
        document_id=name,
        title=f"About {name}",
        category="Product",
        sections=(Section(title="Overview", paragraphs=(f"Boots {name} are warm.",)),),
        approval_date=date(2026, 1, 1),
    )


# ── The routes ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route that goes wrong: its path, and who asks for it.

    Attributes:
        path: as the server's script takes it.
        client: the name of the client that asks.
        ask: a new request.
        metered: whether the ledger remembers what it gives.
        differs: cases that come to something else here than elsewhere.
    """

    path: str
    client: str
    ask: Callable[[Site, Calls, Ledger, int], Callable[[], object]]
    metered: bool
    differs: tuple[Case, ...] = ()

    def case(self, name: str) -> Case:
        return next((case for case in self.differs if case.name == name), CASES[name])


def write(site: Site, calls: Calls, ledger: Ledger, number: int) -> Callable[[], object]:
    prompt = Prompt(
        text=f"Write about boots {number}.",
        brand="Acme",
        segment=Segment(label="A", size=1, share=1.0, definition="", description=""),
        tone="friendly",
        passages=(),
        limits=Limits(subject_max_characters=60, body_min_words=1, body_max_words=200),
    )

    def ask() -> object:
        port = site.made("complete")
        policy = complete_policy(SERVICES, port)
        assert policy.reserve_usd(prompt) > 0
        return PortClient(port, policy, calls, ledger=lambda: ledger)(prompt)

    return ask


def embed(site: Site, calls: Calls, ledger: Ledger, number: int) -> Callable[[], object]:
    def ask() -> object:
        port = site.made("embed")
        client = PortClient(port, embed_policy(SERVICES, port), calls, ledger=lambda: ledger)
        return client((f"boots {number}",)).tolist()

    return ask


def search(site: Site, calls: Calls, ledger: Ledger, number: int) -> Callable[[], object]:
    query = Query(text=f"boots {number}", top_k=1)

    def ask() -> object:
        port = site.made("search")
        policy = search_policy(SERVICES, port)
        return PortClient(port, policy, calls, ledger=lambda: ledger)(query)

    return ask


def index(site: Site, calls: Calls, _: Ledger, number: int) -> Callable[[], object]:
    documents = (document(f"d{number}"),)

    def ask() -> object:
        port = site.made("index")
        return calls.make("index", lambda: port(documents, progress=lambda _, __: None))

    return ask


def screen(site: Site, calls: Calls, ledger: Ledger, number: int) -> Callable[[], object]:
    text = f"Our boots are warm, all {number} of them."

    def ask() -> object:
        port = site.made("screen")
        policy = screen_policy(SERVICES, port)
        return PortClient(port, policy, calls, ledger=lambda: ledger)(text)

    return ask


def secret(site: Site, calls: Calls, _: Ledger, number: int) -> Callable[[], object]:
    def ask() -> object:
        port = site.made("secrets")
        return calls.make("secrets", lambda: port(f"SECRET_{number}"))

    return ask


ROUTES = {
    "responses": Route(path="/openai/v1/responses", client="complete", ask=write, metered=True),
    "embeddings": Route(path="/openai/v1/embeddings", client="embed", ask=embed, metered=True),
    "search": Route(path="*/docs/search.post.search", client="search", ask=search, metered=True),
    "index create": Route(path="*')", client="index", ask=index, metered=False),
    "index upload": Route(path="*/docs/search.index", client="index", ask=index, metered=False),
    "content safety": Route(
        path="/contentsafety/text:analyze",
        client="screen",
        ask=screen,
        metered=True,
        # An answer without the categories is no passing fault: it fails closed at once.
        differs=(Case(name="wrong_schema", fault=Fault(kind="wrong_schema")),),
    ),
    "key vault": Route(path="/secrets/", client="secrets", ask=secret, metered=False),
}


def met_on(site: Site, route: Route) -> list[object]:
    end = route.path.removeprefix("*")
    return [
        request
        for request in site.server.requests
        if request.path.startswith(route.path)
        or (end != route.path and request.path.endswith(end) and request.path[1] == "i")
    ]


def stays(route: str, case: str) -> bool:
    """Whether the fault keeps the request from being met; some lose only the answer to it."""
    return route != "index upload" or not CASES[case].fault.keeps_the_answer


MATRIX = [pair for pair in itertools.product(ROUTES, CASES) if stays(*pair)]


@pytest.mark.parametrize(("place", "name"), MATRIX)
def test_call_any_fault_on_any_route_is_asked_as_often_as_it_can_help_and_paid_once(
    site: Site, tmp_path: Path, place: str, name: str
) -> None:
    route = ROUTES[place]
    case, clock = route.case(name), FakeClock()
    calls = Calls(CallSettings(), sleep=clock.sleep, jitter=lambda: 0.0, clock=clock)
    store = SqliteStore(tmp_path / "ledger.sqlite")
    ledger = Ledger(store, run_id="r", budget_usd=0.6)
    ask = route.ask(site, calls, ledger, next(site.number))
    fault = case.fault
    if case.dated:
        moment = format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True)
        fault = replace(fault, headers={"Retry-After": moment})
    site.made(route.client)
    met = len(met_on(site, route))
    site.server.script(route.path, [fault] * case.attempts)

    with pytest.raises(ProviderError) as caught:
        ask()

    assert type(caught.value) is case.error, caught.value
    assert len(met_on(site, route)) - met == case.attempts
    if case.dated:
        assert len(clock.slept) == 3
        assert all(20 < gap <= 50 for gap in clock.slept)
    else:
        assert clock.slept == list(case.gaps)
    rows = list(store.rows())
    assert bool(rows) == route.metered
    assert {(row["status"], row["cost_usd"]) for row in rows} <= {("failed", 0.0)}
    # A whole answer of no use is charged for as any other, though these services cost nothing here.
    charged = sum("usage" in row for row in rows)
    assert (ledger.spent_usd, ledger.calls) == (0.0, charged)

    # The service works again: the same request is asked once more, and then remembered.
    reply = ask()
    if route.metered:
        asked = len(site.server.requests)
        assert ask() == reply
        assert len(site.server.requests) == asked
        (done,) = [row for row in store.rows() if row["status"] == "done"]
        assert {row["status"] for row in store.rows()} <= {"done", "failed", "part"}
        assert (ledger.calls, ledger.replayed) == (1 + charged, 1)
        assert ledger.spent_usd == done["cost_usd"]
    assert site.server.invalid == []
    store.close()


@pytest.mark.parametrize("name", [name for name in CASES if not stays("index upload", name)])
def test_index_upload_whose_answer_is_lost_is_not_sent_again(site: Site, name: str) -> None:
    clock, upload = FakeClock(), ROUTES["index upload"]
    calls = Calls(CallSettings(), sleep=clock.sleep, clock=clock)
    documents = (document(f"lost {name}"),)
    port = site.made("index")
    met = len(met_on(site, upload))
    site.server.script(upload.path, [CASES[name].fault])
    report = calls.make("index", lambda: port(documents, progress=lambda _, __: None))
    assert (report.documents, report.errors) == (1, ())
    assert len(met_on(site, upload)) - met == 1
    assert len(clock.slept) == 1
