"""Helpers that tests share. No tests here.

sessions    factories (events and OTLP requests), claude_code_records, strategies (Hypothesis), plugin_schedules,
            metric_producer, random_metric_runs
the core    core_runs (offline and streaming), virtual_time (a clock that only sleep moves), span_laws,
            trace_scoring (against a known truth), read_counter, changes, series_points, seeds
the program processes (a receiver and a backend as processes), operator_endpoints, silent_server, troubleshooting_page
files       otlp_requests (recordings), certificates, dockerfile, paths
"""
