"""Skills: named, versioned analyses of a tree, run at once inside a phase, each result found only once.

    names, a tree ── run_skills ──> one table of findings   (`running`)
      registry      what skills there are: adw's own (`builtin`), and those of other packages (entry points, `adw.skills`)
      bench         how a skill runs a tool: kept, in the slot's sandbox where there is a slot
      cache         what was found, by all that decides it
      at_work       what plan, build and review make of it

Import from here what a skill of your own needs; it is light, as also the processes import it that run skills which hold the GIL.
"""

from adw.skills.finding import Finding
from adw.skills.registry import Given, skill

__all__ = ["Finding", "Given", "skill"]
