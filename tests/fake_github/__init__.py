"""A stand-in for GitHub on loopback: one repository, which is a real bare one, with its issues and pull requests, by the REST API.

    with serving(bare) as github:
        …  # github.url is for github.api_url; github.pulls and github.issues are what it has, github.asked what it was asked

Statuses, names and errors are those of its published API description. It pages, tags its answers (ETags), and counts what is left
of the rate limit. `github.upset` may stand in the way of an answer, `github.dropped` has one lost, `github.tokens` are those it takes.

    server.py   the server, its state, and what all answers have in common
    routes.py   which address is answered by what
    pulls.py, issues.py, talk.py   the answers
"""

from tests.fake_github.server import BOB, TOKEN, GitHub, Json, Said, no, serving

__all__ = ["BOB", "TOKEN", "GitHub", "Json", "Said", "no", "serving"]
