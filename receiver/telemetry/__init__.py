"""The program's own metrics: counters (metrics.py), gauges read from the store at each scrape (state.py), the page for
Prometheus (exposition.py, server.py), and the push over OTLP (push.py). instruments.py has the table of all
instruments. Nothing here decides or changes anything.
"""
