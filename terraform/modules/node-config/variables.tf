variable "machine" {
  description = "One of modules/deployment's machines."
  type = object({
    name       = string
    role       = string
    region     = string
    node       = string
    number     = optional(number)
    private_ip = string
    ipv4       = optional(string)
    ipv6       = optional(string)
  })

  validation {
    condition     = contains(["region", "voice", "pop", "database", "bus", "geodns", "observability"], var.machine.role)
    error_message = "The role must be region, voice, pop, database, bus, geodns or observability."
  }
  validation {
    condition     = can(cidrhost("${var.machine.private_ip}/32", 0))
    error_message = "private_ip must be an IPv4 address."
  }
}

variable "machines" {
  description = "All machines of the deployment, by name."
  type        = any
}

variable "deployment" {
  description = "deployment.json, decoded."
  type        = any
}

variable "deployment_text" {
  description = "deployment.json as it is."
  type        = string
}

variable "release" {
  description = "The binary that machines install: where it is downloaded from, and its SHA-256. Null where the operator copies it."
  type = object({
    url    = string
    sha256 = string
  })
  default = null

  validation {
    condition     = var.release == null || can(regex("^https://[^\\s'\"]+$", var.release.url)) && can(regex("^[0-9a-f]{64}$", var.release.sha256))
    error_message = "The release must be an https:// URL and 64 hexadecimal digits."
  }
}

variable "admin_networks" {
  description = "Networks from which operators reach SSH and Grafana, in CIDR notation."
  type        = list(string)

  validation {
    condition     = length(var.admin_networks) > 0 && alltrue([for network in var.admin_networks : can(cidrsubnet(network, 0, 0))])
    error_message = "Every entry must be a CIDR block, and there must be one, or nobody could sign in."
  }
}

variable "database_apt_source" {
  description = "The line of sources.list that ScyllaDB is installed from; database machines install nothing without it."
  type        = string
  default     = null
}

variable "multi_node" {
  description = "Whether regions are told of the others (deployment_file, node and bus in their configuration)."
  type        = bool
  default     = false
}
