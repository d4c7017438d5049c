"""Who may write to a repository at GitHub."""

from adw.errors import Declined
from adw.github.client import Client

WRITE = {"admin", "write"}  # those who maintain are told of as `write`, those who triage as `read`
NOT_TOLD = 403


class People:
    """Those who have to do with a repository. MEMBER or COLLABORATOR beside what they say does not tell whether they may write."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[str, bool] = {"": False}  # an account that is gone

    def may_write(self, login: str) -> bool:
        """Whether somebody may write, asked once; not if GitHub does not tell."""
        if login not in self._known:
            self._known[login] = self._permission(login) in WRITE
        return self._known[login]

    def _permission(self, login: str) -> str:
        try:
            return str(self._client.get(f"/collaborators/{login}/permission")["permission"])
        except Declined as no:
            if no.status == NOT_TOLD:
                self._client.tell(f"whether {login} may write to {self._client.forge.repository} is not told to this token: {no}")
            return ""
