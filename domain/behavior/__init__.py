"""Rules that shape what agents do, saved as whole versions, in force from the next step."""
