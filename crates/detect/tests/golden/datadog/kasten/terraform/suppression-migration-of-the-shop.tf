resource "datadog_security_monitoring_suppression" "migration_of_the_shop" {
  name    = "migration-of-the-shop"
  enabled = true
  description = <<END
The shop moves to another cluster.

https://tickets.example.com/4711

This export does not hide the same events: the comparison is case-sensitive: user.username; the comparison is case-sensitive: objectRef.name
END
  rule_query           = "type:log_detection keepwatch_rule:(kasten-restorepoints-manually-deleted OR kasten-restorepoints-excessive-deletion)"
  data_exclusion_query = "@User.username:alice @ObjectRef.Namespace:(shop OR blog) -@ObjectRef.Name:rp\\-keep* -(@ObjectRef.APIGroup:siem.keepwatch.io @ObjectRef.Resource:suppressions)"
  expiration_date      = "2026-12-31T12:00:00Z"
}
