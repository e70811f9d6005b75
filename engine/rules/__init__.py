"""What a rules file says: read with places, checked, and compiled into frozen rules."""
