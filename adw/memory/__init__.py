"""What is remembered of a repository from one run to the next, by Mem0.

    model.py    a memory, its kinds, and the port: what a store of memories can do
    stores.py   the port's three implementations, each by Mem0's own API; the only one that imports Mem0
    fts.py      the store below the lexical one: SQLite and FTS5
    unfit.py    what is never stored: secrets
    partition.py, question.py  whose memories, and what of them a phase asks for
    lessons.py  what is learnt from what phases return
    border.py   the memory of a run: whatever is wrong with it is a warning, and the run goes on

It is a mirror: losing it loses no work, and it is in no cache key.
"""
