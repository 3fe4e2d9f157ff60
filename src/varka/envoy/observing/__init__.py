"""What a proxy tells of its traffic: access logs and request metrics."""
