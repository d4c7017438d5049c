"""GitHub, by its REST API.

forge.py    where a repository's API is, and the user's own token for it
client.py   the transport: pages, rate limits, what passes by itself, tokens that expire; a no in a user's words
tags.py     answers that GitHub need not give again as long as nothing has changed
pulls.py    pull requests
remarks.py  what people say of them
people.py   who may write
comments.py, statuses.py    what issues and commits show of adw's work
"""
