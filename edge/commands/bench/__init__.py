"""Real images in, latency and throughput stage by stage out, with what is needed to believe them: `edge-bench`.

    file             does
    ---------------  ------------------------------------------------------------------------------------
    command.py       wires it all together and writes the `edge.bench/1` document
    scenarios.py     the pipeline itself under load: single-stream, multi-stream, offline
    end_to_end.py    closed file → verdict at a subscriber, through the real daemon and a real broker
    profile.py       layers, as the inference libraries count them
    rival.py         a rival pipeline in a process of its own, in turns with ours
    statistics.py    percentiles that the samples allow, drift, ratios with their intervals
    environment.py   the machine, its load, clocks, memory
    power.py         power mode, governor and clocks
    energy.py        joules, where the machine counts them
    comparison.py    this run against an earlier one
    report.py        the table and the picture

The daemon imports nothing of it.
"""
