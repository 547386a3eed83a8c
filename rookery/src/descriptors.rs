//! File descriptors: raises what the process may open, and keeps connections from using up what the store needs.

use rookery_pop::PopConfig;
use rookery_region::GatewayConfig;

/// Kept for the store, the link, the listeners, logs: a store that cannot open its files refuses every write.
const RESERVE: u64 = 512;
/// Assumed where the limit cannot be read: what Linux gives a process at least.
const FALLBACK: u64 = 1_024;

/// Raises the process's soft limit to its hard one and fits the connections of the parts that run into it.
///
/// Where both parts run, the point of presence gets a quarter at the most: its connections are short, the gateway's stay.
pub fn share_out(gateway: Option<&mut GatewayConfig>, pop: Option<&mut PopConfig>) {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_else(|error| {
        tracing::warn!(%error, "the limit of open files could not be raised");
        rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(FALLBACK, |(soft, _)| soft)
    });
    let mut places = limit.saturating_sub(RESERVE).max(limit / 2);
    if let Some(pop) = pop {
        let most = if gateway.is_some() { places / 4 } else { places };
        let fitting = fit(u64::from(pop.connections.max_open), most, "pop.connections.max_open", limit);
        pop.connections.max_open = u32::try_from(fitting).unwrap_or(u32::MAX);
        pop.connections.max_open_per_client = pop.connections.max_open_per_client.min(pop.connections.max_open);
        places -= fitting;
    }
    if let Some(gateway) = gateway {
        let fitting = fit(gateway.max_connections as u64, places, "gateway.max_connections", limit);
        gateway.max_connections = usize::try_from(fitting).unwrap_or(usize::MAX);
    }
}

fn fit(wanted: u64, places: u64, setting: &str, limit: u64) -> u64 {
    let fitting = wanted.min(places.max(1));
    if fitting < wanted {
        tracing::info!(
            setting,
            wanted,
            now = fitting,
            open_files_limit = limit,
            "fewer connections than configured: raise the limit of open files (`ulimit -n`, LimitNOFILE=) for more"
        );
    }
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_stays_where_it_fits() {
        assert_eq!(fit(100, 101, "x", 1_024), 100);
        assert_eq!(fit(100, 99, "x", 1_024), 99);
        assert_eq!(fit(100, 0, "x", 1_024), 1);
    }

    #[test]
    fn both_parts_leave_the_reserve() {
        let (mut gateway, mut pop) = (GatewayConfig::default(), PopConfig::default());
        gateway.max_connections = usize::MAX >> 4;
        pop.connections.max_open = u32::MAX;
        share_out(Some(&mut gateway), Some(&mut pop));
        let (limit, _) = rlimit::getrlimit(rlimit::Resource::NOFILE).unwrap();
        let taken = gateway.max_connections as u64 + u64::from(pop.connections.max_open);
        assert!(taken <= limit.saturating_sub(RESERVE).max(limit / 2), "{taken} of {limit}");
        assert!(pop.connections.max_open_per_client <= pop.connections.max_open);
    }
}
