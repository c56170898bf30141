"""A seeded simulator of engagement, with the same results on every machine.

Each customer's own open and click rates are the baseline, and the configured uplift multiplies them
in the treatment arms. sql/simulate.sql has the statement and its random numbers.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

from liftwright import log
from liftwright.data import literal, text_at
from liftwright.model import Identity, fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liftwright.config import Simulation, Uplift
    from liftwright.data import Tables

_VERSION = "3"
_DIGEST = 16
# The standard deviation of the sum of four bytes.
_RESPONSE_SD = math.sqrt(4 * (256**2 - 1) / 12)
# The limits keep word * step + start within 63 bits.
_STEPS, _STARTS = 2**31, 2**32 - 5


class EmbeddedSimulator:
    """The port `observe` by simulation; the source of every row is `simulated`."""

    metered = False

    def __init__(self, tables: Tables, config: Simulation, *, seed: int, salt: str) -> None:
        """Simulate on these tables.

        Args:
            tables: hold the assignments and `customers`.
            config: rates and uplifts.
            seed: of the random numbers.
            salt: of the customers' hashes: the experiment's name, as in the assignment.
        """
        self._tables = tables
        self._config = config
        self._seed = seed
        self._salt = salt

    @property
    def identity(self) -> Identity:
        """The simulator's version; the corpus is the fingerprint of configuration and seed."""
        return Identity(
            provider="embedded",
            model="simulator",
            version=_VERSION,
            corpus=fingerprint(self._config.model_dump(mode="json"), self._seed, self._salt)[
                :_DIGEST
            ],
        )

    def __call__(self, request: str, /) -> str:
        """The table `engagement` for the table of assignments `request`, computed at each use."""
        config = self._config
        assigned, customer = self._tables.with_features(request)
        self._tables.keep(
            "engagement",
            self._tables.sql(
                "simulate",
                assigned=assigned,
                customer=customer,
                # The numbers of the configuration, by key.
                **{
                    key: literal(float(value))
                    for key, value in config
                    if isinstance(value, int | float)
                },
                uplift=_uplift_case(config.uplift),
                response_sd=literal(_RESPONSE_SD),
                **self._words(request),
                order_salt=literal(f"{self._seed}:order:{self._salt}:"),
                source=text_at(["simulated"], "1"),
                **self._steps(),
            ),
            stored=False,
        )
        log.event("engagement_simulated", agent="experimentation", seed=self._seed)
        return "engagement"

    def _words(self, request: str) -> dict[str, str]:
        """SQL of the hash words; a new table of assignments has them as columns."""
        columns = self._tables.columns(request)
        digest = f"digest({literal(self._salt)} || a.customer_id)"
        return {
            f"word_{n}": f"a.word_{n}" if f"word_{n}" in columns else f"u32({digest}, {n})"
            for n in (1, 2, 3)
        }

    def _steps(self) -> dict[str, str]:
        """A step and a start for each random number, derived from the seed."""
        steps = {}
        for event in ("opening", "clicking", "delivery"):
            digest = hashlib.sha256(f"{self._seed}:{event}".encode()).digest()
            steps[f"{event}_step"] = str(1 + int.from_bytes(digest[:8], "big") % (_STEPS - 1))
            steps[f"{event}_start"] = str(int.from_bytes(digest[8:16], "big") % _STARTS)
        return steps


def _uplift_case(uplifts: Mapping[str, Uplift]) -> str:
    branches = []
    for arm, uplift in uplifts.items():
        mean, sd = literal(float(uplift.mean)), literal(float(uplift.sd))
        branches.append(f"when arm = {literal(arm)} then {mean} + {sd} * z")
    return f"case {' '.join(branches)} else 0e0 end" if branches else "0e0"
