"""The fault bench: a real daemon, a real broker and real models, with something broken in between, and a judge.

    writers ──► folder ──► edge-daemon ──► chaos ──► mosquitto ──► subscriber
       │           │            │                        │              │
       │       namespace     kills, strace,            kills            │
       │       (tmpfs)     another clock                                │
       └──► book ─────────────────────► judge ◄─────────────────────────┘

`scenarios.py` is the table of what is broken. Each runs for seconds in the tests and for as long as one likes by hand:
`python -m tests.faults --minutes 60 --seed 7 --json FILE`.

`rows/` is the table of what is counted; `count.py` does trials of a row, `log.py` keeps them. `points.py` names where a daemon
is killed, `killed_at.py` kills it there, `nursery.py` forks daemons that start in a tenth of the time.
"""
