// OpenTofu, pinned: set-up builds it where neither Terraform nor OpenTofu is installed.
module rookery.example/terraform/opentofu

go 1.26

require github.com/opentofu/opentofu v1.11.4

// As its own go.mod has it.
replace github.com/hashicorp/hcl/v2 => github.com/opentofu/hcl/v2 v2.20.2-0.20251021132045-587d123c2828
