-- What became of dead letters; NULL leaves a column as it is.
-- $1 int[] streams, $2 bigint[] offsets, $3 text[] states, $4 text[] causes, $5 text[] details,
-- $6 int[] redrives without success, $7 text[] verdicts, $8 text[] their reasons,
-- $9 text[] who, $10 text[] why, $11 bigint[] offsets of the acts, $12 bytea[] edited data
UPDATE busline.dead_letter d
   SET state = w.state, cause = coalesce(w.cause, d.cause),
       detail = coalesce(w.detail, d.detail),
       redrives = CASE WHEN w.edited IS NULL THEN d.redrives + w.redrives ELSE 0 END,
       edited = coalesce(w.edited, d.edited),
       edited_at = CASE WHEN w.edited IS NULL THEN d.edited_at ELSE now() END,
       edited_by = CASE WHEN w.edited IS NULL THEN d.edited_by ELSE w.who END,
       edit_reason = CASE WHEN w.edited IS NULL THEN d.edit_reason ELSE w.why END,
       verdict = coalesce(w.verdict::busline.verdict, d.verdict),
       verdict_reason = coalesce(w.verdict_reason, d.verdict_reason),
       resolved_at = CASE WHEN w.state = 'open' THEN d.resolved_at ELSE now() END,
       resolved_by = CASE WHEN w.state = 'open' THEN d.resolved_by ELSE w.who END,
       resolve_reason = CASE WHEN w.state = 'open' THEN d.resolve_reason ELSE w.why END,
       act_offset = w.act
  FROM unnest($1::int[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::int[],
	      $7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[], $12::bytea[])
       AS w (stream, "offset", state, cause, detail, redrives, verdict, verdict_reason, who, why,
	     act, edited)
 WHERE d.stream = w.stream AND d."offset" = w."offset"
