"""Where people see the work: a tracker of tasks that adw keeps up to date, and that nothing depends on.

    model.py     the port: a card (a task as adw wants it), what a tracker has, and the mark by which both know each other
    archon.py    Archon, over REST
    cards.py     the events of a run, as cards
    spool.py     what is not there yet, on disk
    sender.py    one round of sending, and what may go wrong with it
    people.py    what a person has changed there
    courier.py   all of that, in a thread of its own

The embedded default is no code: Prefect's own history, and `adw status`, which read what the run writes anyway.
"""
