"""What annotation tools take and give, one file a tool; `annotation_tools` reads the records of those that write JSON."""
