"""The gateway: where adw holds a key, agents reach the model through a proxy on loopback, and never see it.

    agent ── token of its lease ──> proxy.py ── the key ──> the model's API
                                      │  counted, limited, held back together, stopped when the budget is spent
    client.py, in the process that runs phases, keeps that program up (serve.py), and tells it of leases

It is a process of its own, so that a slow phase delays no answer, and a gateway that dies takes nothing with it.
"""
