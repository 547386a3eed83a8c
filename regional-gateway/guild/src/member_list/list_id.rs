//! Which list a channel has: channels with the same viewers share one.

use rookery_model::channel::{Channel, OverwriteType};
use rookery_model::{GuildId, Permissions, RoleId};

/// The id of a channel's list: `everyone` where no overwrite keeps anybody out, else a hash of those overwrites that
/// decide who views the channel.
///
/// The hash is the one that people's clients compute for themselves: MurmurHash3 (x86, 32 bits, seed 0) of
/// `allow:{id}` and `deny:{id}`, sorted and joined with commas, as a decimal number.
pub fn list_id(guild_id: GuildId, everyone_views: bool, channel: &Channel) -> String {
    let everyone = RoleId::from(guild_id);
    let mut views = everyone_views;
    let mut denies_others = false;
    let mut parts: Vec<String> = Vec::new();
    for overwrite in &channel.permission_overwrites {
        let (allow, deny) =
            (overwrite.allow.contains(Permissions::VIEW_CHANNEL), overwrite.deny.contains(Permissions::VIEW_CHANNEL));
        let is_everyone = overwrite.kind == OverwriteType::Role && overwrite.is_for_role(everyone);
        if is_everyone && (allow || deny) {
            views = allow;
        } else if deny && !allow {
            denies_others = true;
        }
        if allow {
            parts.push(format!("allow:{}", overwrite.id));
        } else if deny {
            parts.push(format!("deny:{}", overwrite.id));
        }
    }
    if views && !denies_others {
        return "everyone".into();
    }
    parts.sort_unstable();
    murmur3_32(parts.join(",").as_bytes()).to_string()
}

/// MurmurHash3, x86, 32 bits, seed 0 (public domain, Austin Appleby): short enough that a crate would be more to trust.
fn murmur3_32(bytes: &[u8]) -> u32 {
    let scramble = |k: u32| k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = 0_u32;
    let mut chunks = bytes.chunks_exact(4);
    for chunk in &mut chunks {
        let word = chunk.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = (hash ^ scramble(word)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    hash ^= scramble(chunks.remainder().iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte)));
    // The algorithm takes the length modulo 2^32.
    hash ^= bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_model::channel::{ChannelType, Overwrite};
    use rookery_model::{ChannelId, Snowflake};

    #[test]
    fn published_vectors() {
        assert_eq!(murmur3_32(b""), 0);
        assert_eq!(murmur3_32(b"test"), 0xba6b_d213);
        assert_eq!(murmur3_32(b"Hello, world!"), 0xc036_3e43);
        assert_eq!(murmur3_32(b"The quick brown fox jumps over the lazy dog"), 0x2e4f_f723);
    }

    #[test]
    fn a_list_is_everyones_where_nobody_is_kept_out() {
        const VIEW: Permissions = Permissions::VIEW_CHANNEL;
        const NONE: Permissions = Permissions::empty();
        let guild = GuildId::new(1);
        let of = |everyone_views: bool, overwrites: &[(u64, Permissions, Permissions)]| {
            let mut channel = Channel::new(ChannelId::new(9), ChannelType::GuildText);
            let overwrite =
                |&(id, allow, deny)| Overwrite { id: Snowflake(id), kind: OverwriteType::Role, allow, deny };
            channel.permission_overwrites = overwrites.iter().map(overwrite).collect();
            list_id(guild, everyone_views, &channel)
        };
        assert_eq!(of(true, &[]), "everyone");
        assert_eq!(of(true, &[(7, VIEW, NONE), (8, NONE, Permissions::SEND_MESSAGES)]), "everyone");
        assert_eq!(of(false, &[(1, VIEW, NONE)]), "everyone");
        let hidden = of(true, &[(1, NONE, VIEW), (7, VIEW, NONE)]);
        assert_eq!(hidden, murmur3_32(b"allow:7,deny:1").to_string());
        assert_eq!(hidden, of(false, &[(7, VIEW, NONE), (1, NONE, VIEW | Permissions::CONNECT)]));
        assert_ne!(of(true, &[(7, NONE, VIEW)]), "everyone");
        assert_ne!(of(false, &[]), "everyone");
    }
}
