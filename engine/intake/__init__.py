"""The listener for webhooks: limits first, then one delivery, then one answer."""
