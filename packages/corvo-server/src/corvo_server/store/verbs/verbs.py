"""The verbs of a store, and their order within a commit.

What brings jobs comes first, what takes them last, so that a fetch can be given a job of its own
commit.
"""

from corvo_server.store.verbs import (
    bulk,
    enqueue,
    fetch,
    maintenance,
    queues,
    schedules,
    transition,
)
from corvo_server.store.writer import Verb

ENQUEUE = Verb(0, enqueue.enqueue, enqueue.foresee)
TRANSITION = Verb(1, transition.transition, transition.foresee)
PROMOTE = Verb(2, maintenance.promote)
RECLAIM = Verb(3, maintenance.reclaim)
EXPIRE = Verb(4, maintenance.expire)
PRUNE = Verb(5, maintenance.prune)
CONFIGURE_QUEUE = Verb(6, queues.configure)
DROP_QUEUE = Verb(7, queues.drop)
EDIT_SCHEDULE = Verb(8, schedules.edit)
RUN_SCHEDULES = Verb(9, schedules.run_due)
EDIT_BULK = Verb(20, bulk.edit)
STEP_BULK = Verb(21, bulk.step, bulk.foresee)
FETCH = Verb(100, fetch.fetch, fetch.foresee)
