"""Laws are about answers, not about time: a busy machine must not break one."""

from hypothesis import settings

settings.register_profile("laws", deadline=None)
settings.load_profile("laws")
