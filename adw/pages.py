"""Where a commit of a remote can be looked at in a browser."""

from adw.github.forge import address

COMMITS = {"github": "commit", "gitlab": "-/commit"}  # by a word of the host's name: how its pages are called


def of_commit(remote: str, sha: str) -> str:
    """The page of a commit, by the URL of its remote as git has it; empty if that is none of those that are known."""
    host, path = address(remote)
    page = next((page for word, page in COMMITS.items() if word in host), "")
    return f"https://{host}/{path}/{page}/{sha}" if page and path else ""
