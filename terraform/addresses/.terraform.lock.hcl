# The version is locked here; the hashes of its packages are added by the first `terraform init`, and are yours to commit.

provider "registry.terraform.io/hetznercloud/hcloud" {
  version     = "1.68.0"
  constraints = "1.68.0"
}
