-- The digest of all platform state.
SELECT busline.state_digest() AS state_digest
