"""What can go wrong, as one family: each level is a decision of whoever catches it.

    AdwError            raised on purpose; its text says what, where and how to mend
    ├── Misuse          wrong use or configuration: nothing was started (exit 2)
    ├── Transient       the same call may work later: tasks retry on this and nothing else
    │   ├── AgentCrashed    killed by a signal: says nothing about the work
    │   │   └── AgentSilent     stopped by adw, as it gave no sign of life
    │   ├── ModelAway       the model's API cannot be reached, or failed
    │   │   └── RateLimited     it has too much to do, for us (429) or for all (529)
    │   ├── SetupFailed     the setup command of a slot failed
    │   ├── HubAway         the hub, or the forge it is at, is on another host, and does not answer
    │   │   └── Unheard         what was asked did not reach it: it can be asked again, whatever it is
    │   │       └── Limited         it has had too much of us, and says for how long
    │   └── GitBusy         a lock was held
    │       └── GitKilled       git itself was killed, and may have left its locks
    ├── AgentFailed     the agent answered no, or left nothing: counts as a try
    │   ├── Collided        the change fails only together with what landed since: it is mended there
    │   ├── AgentCut        it was stopped: it took too long, too much room, too many turns; the next try goes on from there
    │   └── SessionLost     the session to go on with is gone: begin anew
    ├── Halted          no agent can go on before a person does something
    │   ├── KeyRefused      the model's API does not take the key, or its account is empty
    │   └── BudgetSpent     what may be spent is spent
    ├── Conflict        a change does not merge onto the tip: it is built again there
    ├── Blocked         the change is good, but something of the user's stands in the way of landing
    │   └── Declined        the forge says no
    ├── Interrupted     the run was told to end, or nobody waits for this any more; what was done is kept
    ├── SkillFailed     a skill did not come to an end: it is said, and the others' results stand
    │   └── ToolMissing     what it needs is not there, or the repository does not use it
    ├── DiskFull        no lease is given before room is made
    └── GitFailed       someone must look

Every error hands all its arguments to `Exception`, so that it comes back from a Dask worker as it was.
"""


class AdwError(Exception):
    """Everything adw raises on purpose."""


class Misuse(AdwError):
    """Wrong use or configuration, found before anything was started."""


class Transient(AdwError):
    """The same call may work later."""


class AgentCrashed(Transient):
    """The agent's process was killed from outside, by the kernel or by a person."""


class AgentSilent(AgentCrashed):
    """The agent printed nothing and did nothing for so long that it was stopped; it goes on with its session."""


class ModelAway(Transient):
    """The model's API cannot be reached, or failed."""


class RateLimited(ModelAway):
    """The model's API has too much to do: for us, or for all who use it."""


class GitBusy(Transient):
    """Git could not take a lock, or was killed."""


class GitKilled(GitBusy):
    """Git was killed while it worked: it may have left locks behind."""


class HubAway(Transient):
    """The hub is on another host, and git cannot reach it now."""


class Unheard(HubAway):
    """What was asked did not reach the other host: whatever it is, it can be asked again."""


class Limited(Unheard):
    """The other host has had too much of us: a text, and after how many seconds it may be asked again."""

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def seconds(self) -> float:
        """How long to wait."""
        return float(self.args[1])


class SetupFailed(Transient):
    """The pool's setup command failed: the slot cannot be lent."""


class AgentFailed(AdwError):
    """The agent did not do what its phase asks; the text is fed back to the next try."""


class Collided(AgentFailed):
    """The change merges, but fails its tests on top of what others have landed since it was begun."""


class AgentCut(AgentFailed):
    """The agent, or a test, was stopped: a limit was reached. What it had written is pinned."""


class SessionLost(AgentFailed):
    """The agent's CLI does not know the session that it was to go on with."""


class Halted(AdwError):
    """No agent can go on before a person does something; the text says what. What was done is kept."""


class KeyRefused(Halted):
    """The model's API does not take the key, or its account is empty."""


class BudgetSpent(Halted):
    """What the run or the issue may spend is spent."""


class Conflict(AdwError):
    """A change does not merge onto the tip; the text names the files. No try is lost: somebody else was faster."""


class Blocked(AdwError):
    """A finished change cannot land because of something of the user's."""


class Declined(Blocked):
    """A forge's no, in a user's words, and the HTTP status that it came with."""

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def status(self) -> int:
        """The status."""
        return int(self.args[1])


class Interrupted(AdwError):
    """The run was told to end, or nobody waits for this piece of it any more."""


class SkillFailed(AdwError):
    """A skill could not look at what it was to look at."""


class ToolMissing(SkillFailed):
    """The tool of a skill is not there, or the repository does not use it."""


class DiskFull(AdwError):
    """Too little room is left for another lease."""


class GitFailed(AdwError):
    """A git command failed in a way that was not foreseen."""
