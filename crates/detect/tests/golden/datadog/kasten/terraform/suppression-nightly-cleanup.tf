resource "datadog_security_monitoring_suppression" "nightly_cleanup" {
  name    = "nightly-cleanup"
  enabled = true
  description = <<END
Expired copies are removed every night.
END
  rule_query           = "type:log_detection keepwatch_rule:*"
  data_exclusion_query = "((@User.username:system\\:serviceaccount\\:kasten\\-io\\:* @ImpersonatedUser.username:?* -@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:* @ImpersonatedUser.username:\"system:serviceaccount:ops:cleanup\") OR (-(@User.username:system\\:serviceaccount\\:kasten\\-io\\:* @ImpersonatedUser.username:?* -@ImpersonatedUser.username:system\\:serviceaccount\\:kasten\\-io\\:*) @User.username:\"system:serviceaccount:ops:cleanup\")) @ResponseStatus.code:>=200 @ResponseStatus.code:<300 -(@ObjectRef.APIGroup:siem.keepwatch.io @ObjectRef.Resource:suppressions)"
  expiration_date      = "2027-06-30T00:00:00Z"
}
