"""Calls to paid or remote services: observed, cached, budgeted, retried and rate limited.

`client.py` puts the layers together; agents and stages call its `PortClient`. A layer wraps a
callable `(request, CallContext) -> reply` in another one. From the outside in:

    observed    observe.py       a span, a log line and the totals of each call
    cached      ledger.py        a paid reply is replayed; equal calls in flight become one
    budgeted    budget.py        reserves before the call and settles after it, in the ledger's row
    retried     retry.py         1 + 3 attempts, with exponential backoff or as Retry-After asks
    limited     rate_limiter.py  waits for a slot; a service that stays down is refused
    charged     client.py        asks the adapter once, and adds up what that used

`prefetch.py` makes calls of low priority before their replies are needed, while slots are idle.

What stays on this machine is neither limited nor cached.
"""
