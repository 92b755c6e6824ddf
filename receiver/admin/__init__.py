"""The admin gRPC service of proto/receiver/admin/admin.proto: shows and flushes sessions, shows and resends queues.
server.py serves it, servicer.py has its methods, client.py and view.py are for the command line.
"""
