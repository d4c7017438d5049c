"""Whose issues adw takes by itself: those by people who may write to the repository, and those that such people have vouched for.

A label vouches for the text that it was set on. GitHub's `author_association` is not asked: MEMBER and COLLABORATOR may well be
people who can only read. A form or a template of issues may set labels for whoever uses it: it is asked who set one.
"""

from adw.errors import Declined
from adw.issues.board import Board, Ticket


def doubt(board: Board, ticket: Ticket, label: str) -> str:
    """Why adw does not take an issue by itself; empty if it does."""
    if board.may_write(ticket.author):
        return ""
    by, vouching = f"{ticket.author or 'somebody who is gone'} may not write to {board.repository}", board.set_by(ticket, label)
    if vouching is None or not board.may_write(vouching.who):
        return f"{by}, and nobody who may has set its label {label}"
    try:
        later = [change.who for change in board.changes(ticket) if change.when >= vouching.when and not board.may_write(change.who)]
    except Declined as no:
        return f"{by}, and it does not show whether it was edited after {vouching.who} had set its label {label} ({no})"
    if later:
        return f"{by}, and {later[0] or 'somebody'} edited it after {vouching.who} had set its label {label}: read it, and set the label anew"
    return ""
