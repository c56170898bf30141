"""Calls to paid or remote services: observed, cached, budgeted, retried and rate limited.

`client.py` composes the layers; agents and stages call its `PortClient`. Each layer wraps a
callable `(request, CallContext) -> reply`. From the outside in:

    observed    observe.py       a span, a log line and the totals of each call
    cached      ledger.py        replays paid replies; merges equal calls in flight
    budgeted    budget.py        reserves before the call and settles after it, in the ledger's row
    retried     retry.py         1 + 3 attempts, with exponential backoff or by Retry-After
    limited     rate_limiter.py  waits for a slot; refuses calls while the circuit is open for good
    charged     client.py        calls the adapter once and adds up its usage

`concurrency.py` runs calls in threads and prefetches calls of low priority while slots are idle.

Calls that stay on this machine are neither limited nor cached.
"""
