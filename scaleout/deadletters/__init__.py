"""Dead letters and the people who deal with them: a store that outlives the runs, and the commands on it."""

from scaleout.deadletters.database import problem_of
from scaleout.deadletters.letters import Letter, NewLetter, Selection, Settlement, Status
from scaleout.deadletters.store import Limits, Store

__all__ = ["Letter", "Limits", "NewLetter", "Selection", "Settlement", "Status", "Store", "problem_of"]
