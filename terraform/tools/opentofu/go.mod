// OpenTofu, pinned: set-up builds it where neither Terraform nor OpenTofu is installed.
module rookery.example/terraform/opentofu

go 1.26

require github.com/opentofu/opentofu v1.11.4
