"""The admin gRPC service of proto/receiver/admin/admin.proto: asked by people about a running receiver. An edge: what
it answers, the pipeline and the core know.
"""
