"""What every feature stands on: errors, ids, time, database, leases, jobs."""
