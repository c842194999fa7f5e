"""The processes of the service: running them, their connections, memory and added metrics."""
