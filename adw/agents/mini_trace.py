"""An agent for mini-SWE-agent that prints each message as a line of JSON; `mini` imports it from the job's folder.

{"role": "assistant", "text": "…", "commands": ["…"], "usage": {…}, "usd": 0.01}
{"role": "exit", "text": "…", "exit": "Submitted"}  or, after an error: "exit": "RateLimitError", "status": 429, "retry_after": 2.0
"""

import json
from typing import Any

from minisweagent.agents.default import DefaultAgent


class TracedAgent(DefaultAgent):
    """The default agent, that says what it does."""

    def add_messages(self, *messages: dict[str, Any]) -> list[dict[str, Any]]:
        """Print the messages of the model, and the last one, as they come."""
        for message in messages:
            extra = message.get("extra") or {}
            response = extra.get("response")
            usage = response.get("usage") if isinstance(response, dict) else None
            if usage or message.get("role") in {"assistant", "exit"}:
                commands = [action.get("command", "") for action in extra.get("actions") or []]
                event = {"role": message.get("role"), "text": str(message.get("content") or ""), "commands": commands, "usage": usage}
                event |= {"usd": extra.get("cost"), "exit": extra.get("exit_status"), **getattr(self, "failed", {})}
                print(json.dumps(event), flush=True)
        added: list[dict[str, Any]] = super().add_messages(*messages)
        return added

    def handle_uncaught_exception(self, e: Exception) -> list[dict[str, Any]]:
        """Keep what is known of an API's answer before the exception becomes a message."""
        headers = getattr(getattr(e, "response", None), "headers", None) or {}
        wait = str(headers.get("retry-after") or "")
        self.failed = {"status": getattr(e, "status_code", None), "retry_after": float(wait) if wait.isdecimal() else None}
        handled: list[dict[str, Any]] = super().handle_uncaught_exception(e)
        return handled
