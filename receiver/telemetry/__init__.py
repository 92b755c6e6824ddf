"""The program's own metrics: counted by what happens (metrics.py), asked of the store when someone looks (state.py),
and served for Prometheus (exposition.py, server.py). Every instrument stands in one table (instruments.py). An edge:
nothing here decides or changes anything.
"""
