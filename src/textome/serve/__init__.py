"""The REST service and its page: one process, several models, requests of all clients computed together."""
