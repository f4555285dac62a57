"""Bytes that nobody would write on purpose, given to every reader: only its own errors, within bounded memory and time.

`test_readers.py` does it with hypothesis in each run of the tests; `python -m tests.fuzz READER --minutes 10` does it by
hand, led by what the code covers (atheris). What was found lies in `found/`, a folder a reader, and is tried at each run.
"""
