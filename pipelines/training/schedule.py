"""How the models of texts and pictures are trained: their learning rate and longest gradient."""

from retrieval.learning_rate import Schedule

SCHEDULE = Schedule(least=0.01)
LONGEST_GRADIENT = 1.0
