variable "deployment_file" {
  description = "Path of deployment.json."
  type        = string
}

variable "release" {
  description = "The binary: where machines download it, and its SHA-256. Null where the operator copies it."
  type        = object({ url = string, sha256 = string })
  default     = null
}

variable "admin_networks" {
  description = "Networks from which operators reach SSH, Prometheus and Grafana, in CIDR notation."
  type        = list(string)
}

variable "ssh_keys" {
  description = "Names of SSH keys in the account."
  type        = list(string)

  validation {
    condition     = length(var.ssh_keys) > 0
    error_message = "Without a key nobody could bring the machines their credentials."
  }
}

variable "dns" {
  description = "geodns: the deployment's own name servers (geodns in deployment.json). hcloud: the cloud's DNS, which knows no places. none: neither."
  type        = string
  default     = "geodns"

  validation {
    condition     = contains(["geodns", "hcloud", "none"], var.dns)
    error_message = "dns must be geodns, hcloud or none."
  }
}

variable "database_apt_source" {
  description = "The line of sources.list that ScyllaDB is installed from, as its documentation gives it."
  type        = string
  default     = null
}

variable "multi_node" {
  description = "Whether regions are told of the others."
  type        = bool
  default     = false
}

variable "hcloud_token" {
  description = "The account's token, TF_VAR_hcloud_token. Ephemeral: it gets into no state and no plan."
  type        = string
  sensitive   = true
  ephemeral   = true
}
