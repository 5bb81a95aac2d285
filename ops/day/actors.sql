SELECT actor, sum(events) AS events, min(first_at) AS first, max(last_at) AS last
  FROM audit.actor_activity GROUP BY actor ORDER BY events DESC, actor
